-- The time of the server, in microseconds.
local now = redis.call('TIME')
return {now[1] * 1000000 + now[2]}
