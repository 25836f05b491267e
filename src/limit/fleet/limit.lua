-- One workspace's limit, shared by all replicas: who is there, and when which load may start.
--
-- KEYS[1]  a hash that belongs to this script alone and expires when no replica calls any more.
-- Returns  {now, status, epoch, void, open, rank, members, after, opens, start, ...}; times are microseconds by this
--          server's clock. How it all fits together is told in mod.rs; numbers in capitals are the same there.
local LATE, VALID, LEASE, SCAN, FORGET, KEEP = 100000, 200000, 400000, 100000, 300000000, 600000
-- An epoch is an era of the log and, below this, how often the limit was cut down in it.
local ERA = 4096
local PROBED, TAKEN, TOO_LATE = 0, 1, 2

local key, run, mode, id = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local sent, known, stepped = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local was, hint = tonumber(ARGV[7]), tonumber(ARGV[8])
local want, held, lead, slack = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local unsure = tonumber(ARGV[13])
local starts, span, max_wait = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local replicas = tonumber(ARGV[17])
local own = 'm:' .. id

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

if mode == 'probe' then return {now, PROBED} end
-- Whoever asked has given up: what came of it would never be used.
if now - sent > LATE then return {now, TOO_LATE} end
if mode == 'leave' then
  local mine = redis.call('HGET', key, own)
  if mine then
    local rank, seen, ready = string.match(mine, '^(%d+) (%d+) (%d+)$')
    if now - seen <= LEASE and now >= tonumber(ready) then
      redis.call('HDEL', key, own)
    else
      -- Starts of its own are behind it: away until they have passed, and then forgotten.
      redis.call('HSET', key, own, string.format('%s %.0f %.0f', rank, now - FORGET + span, now + span))
    end
    redis.call('HSET', key, 'scan', 0)
  end
  return {now, PROBED}
end

local h = redis.call('HMGET', key, 'run', 'epoch', 'void', 'open', 'seq', 'last', 'scan', 'missing', 'expect',
  'until', 'count', 'tail', 'scanned', own)
local function number(i) return tonumber(h[i] or 0) end
local epoch, void, open, seq, scan = number(2), number(3), number(4), number(5), number(7)
local missing, expect, doubt, count, tail = number(8), number(9), number(10), number(11), number(12)
local scanned, mine = number(13), h[14]

-- Start and slack of one in the log: it may begin so much later than it was promised for.
local function logged(n)
  local text = redis.call('HGET', key, 's' .. n)
  if not text then return nil, 0 end
  local start, late = string.match(text, '^(%d+) (%d+)$')
  return tonumber(start), tonumber(late)
end

local same_era = math.floor(known / ERA) == math.floor(epoch / ERA)

-- A new epoch: the log is lost (or a clock makes it worthless), so nothing starts before all that was promised is over.
local new = not h[2] or h[1] ~= run or now < number(6) or (stepped and same_era)
if new then
  redis.call('DEL', key)
  mine, seq, tail, void, missing, scan = false, 0, 1, 0, 0, 0
  -- Like no other there was: not even if this key is an old one of a backup, or the clock shows an hour once more.
  epoch = tonumber(string.sub(redis.sha1hex(table.concat({run, id, now, sent, epoch, known}, ' ')), 1, 10), 16) * ERA
  open = now + VALID + span
  expect, doubt = math.max(count, was), now + FORGET
  redis.call('HSET', key, 'run', run, 'epoch', epoch, 'void', 0, 'open', open, 'seq', 0, 'tail', 1)
else
  -- Nobody was heard for a while, so nobody who is silent was seen to be: all may be on their own.
  if now - number(6) > LEASE then expect, doubt, scan = math.max(expect, count), now + FORGET, 0 end
  if now < doubt and was > expect and not same_era then expect, scan = was, 0 end
end

-- Who joins may have starts behind it that are not in this log, its own or those of the process before it, and so is away
-- until they have passed.
local rank, ready
if mine then
  rank, ready = string.match(mine, '^(%d+) %d+ (%d+)$')
  rank, ready = tonumber(rank), tonumber(ready)
end
if mode == 'join' then ready = now + span end
-- With some away, whoever wants starts should have those of all who are back.
if not mine or now >= scan or (want > 0 and missing > 0) then
  local live, away, taken = 0, 0, {}
  local told = now + VALID
  if now >= (ready or now) then live = 1 else away = 1 end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'm:' and all[i] ~= own then
      local other, seen, since = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
      if now - seen > FORGET then
        redis.call('HDEL', key, all[i])
      else
        taken[tonumber(other)] = true
        if now - seen <= LEASE and now >= tonumber(since) then
          live = live + 1
        else
          away = away + 1
          -- If nobody called meanwhile, it may have been long enough on its own.
          if scanned - seen <= LEASE then told = math.min(told, seen + LEASE + SCAN + VALID) end
        end
      end
    end
  end
  if not mine then
    rank = (hint >= 0 and not taken[hint]) and hint or 0
    while taken[rank] do rank = rank + 1 end
  end
  if now >= doubt then expect = 0 end
  -- Who is away may be on its share. Beyond the replicas that there are, nobody is: those were replaced.
  local gone = math.max(0, math.min(replicas, math.max(live + away, expect)) - live)
  if gone > missing and not new then
    -- Until then all know of it; what was promised beyond that is void, and given out anew.
    epoch, void = epoch + 1, told
    while seq > 0 and (logged(seq) or 0) > void do
      redis.call('HDEL', key, 's' .. seq)
      seq = seq - 1
    end
  end
  missing, count, scan = gone, math.max(live + away, expect), now + SCAN
  redis.call('HSET', key, 'epoch', epoch, 'void', void, 'seq', seq, 'missing', missing, 'count', count, 'scan', scan,
    'scanned', now, 'expect', expect, 'until', doubt)
  redis.call('PEXPIRE', key, KEEP)
end
ready = ready or now
redis.call('HSET', key, own, string.format('%.0f %.0f %.0f', rank, now, ready), 'last', now)

open = math.max(open, ready)
local reply = {now, TAKEN, epoch, void, open, rank, count, 0, 0}
if want == 0 then return reply end
-- The n-th start before one is at least a span earlier: so no span holds more than n.
local share = math.floor(starts / replicas)
-- Where a share is less than one, it is a turn now and then, and those of all who are away may come one after another.
local most = starts - (share > 0 and missing * share or missing)
local step = math.floor(span / starts)
local turns = most < 1
if turns then most = 1 end
local earliest = math.max(now + lead, open)
if seq > 0 then earliest = math.max(earliest, logged(seq) or 0) end

-- When the n-th start from here would be.
local function nth(n)
  local later = 0
  while n > most do n, later = n - most, later + span end
  local before, late = logged(seq + n - most)
  if before then return math.max(earliest, before + late + span + unsure) + later end
  return earliest + later
end

for _ = 1, want do
  local start = nth(1)
  -- Nothing is left beside the turns of the others, but one's own is not theirs.
  if turns then start = start + (rank * step - start) % (step * replicas) end
  local wait = start - now - lead
  -- Who holds eight has to leave one to others, so that who holds nothing always finds room.
  local refused = math.max(start, nth(1 + math.ceil(held / 8))) - now - lead - max_wait
  if refused > 0 then
    reply[8], reply[9] = wait, refused
    break
  end
  if wait > 0 then held = held + 1 end
  seq, earliest = seq + 1, start
  redis.call('HSET', key, 's' .. seq, string.format('%.0f %.0f', start, slack))
  reply[#reply + 1] = start
end
-- What is over for a whole span bears on nothing that may yet be given out.
while tail < seq do
  local start, late = logged(tail)
  if start and start + late > now - span then break end
  redis.call('HDEL', key, 's' .. tail)
  tail = tail + 1
end
redis.call('HSET', key, 'seq', seq, 'tail', tail)
return reply
