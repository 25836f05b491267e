//! One replica's part in one limit, as a machine without clock or network: what it hears and when decides what it does.

use super::clock::ServerClock;
use super::promises::Promises;
use super::script::{Ask, Micros, Mode, Reply, Taken, Terms};
use super::share::Share;
use super::standing::{Standing, Start};
use super::{BEATS, LATE, LATENESS, LEASE, RETRY, RETRY_APART, SCAN, UNCERTAINTY, VALID};

/// More promises than this are asked for in several calls, so that none holds up the others.
const MOST_AT_ONCE: u32 = 250;
/// A start of the process waits no longer for its first load.
const LONG_START: Micros = 3_000_000;
/// So many calls may renew what others think of us without that we hear of it, before we only ask to join anew.
const LOST: u32 = 2;

/// A member, or one who would like to be one.
#[derive(Debug)]
pub(in crate::limit) struct Member {
    terms: Terms,
    stand: Stand,
    server: Option<ServerClock>,
    promised: Promises,
    epoch: i64,
    rank: Option<i64>,
    turn: i64,
    members: i64,
    /// Whether the server's clock has stepped since the epoch began.
    stepped: bool,
    /// When the last call was sent that may have renewed what the others think of us.
    counted: Option<Micros>,
    /// The same before the call that is under way.
    counted_before: Option<Micros>,
    /// When the last call was sent that made us a member and was answered.
    confirmed: Option<Micros>,
    /// Calls of that kind without such an answer, in a row.
    lost: u32,
    /// What is under way.
    calling: Option<Mode>,
    last_call: Micros,
    not_before: Micros,
    born: Micros,
    /// Nothing starts before.
    open: Micros,
    /// Until then nothing more would be promised.
    full_until: Micros,
    /// How long a call takes, by the last ones.
    round_trip: Micros,
    share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Not a member yet, since then.
    Joining(Micros),
    /// A member.
    Joined,
    /// On our own.
    Apart,
}

impl Member {
    /// One who has yet to hear from the others. `turn` is its number among them as long as they have not said it.
    pub(in crate::limit) fn new(terms: Terms, turn: i64, now: Micros) -> Member {
        Member {
            share: Share::new(&terms),
            terms,
            stand: Stand::Joining(now),
            server: None,
            promised: Promises::default(),
            epoch: 0,
            rank: None,
            turn,
            members: 0,
            stepped: false,
            counted: None,
            counted_before: None,
            open: now,
            born: now,
            confirmed: None,
            lost: 0,
            calling: None,
            last_call: now,
            not_before: now,
            full_until: now,
            round_trip: 0,
        }
    }

    /// Whose limit it is.
    pub(in crate::limit) fn standing(&self) -> Standing {
        match self.stand {
            Stand::Joining(_) => Standing::Joining,
            Stand::Joined => Standing::Fleet,
            Stand::Apart => Standing::Share,
        }
    }

    /// Another limit. What was promised stays so.
    pub(in crate::limit) fn change(&mut self, terms: Terms) {
        self.terms = terms;
        self.share.change(&terms);
    }

    /// The limit.
    pub(in crate::limit) fn terms(&self) -> Terms {
        self.terms
    }

    /// How many starts it has been promised.
    pub(in crate::limit) fn promised(&self) -> usize {
        self.promised.len()
    }

    /// Whether loads can start: with the others, or apart.
    pub(in crate::limit) fn is_settled(&self, now: Micros) -> bool {
        match self.stand {
            // A window of a minute would be a long start.
            Stand::Joined => now >= self.open.min(self.born + LONG_START),
            Stand::Apart => true,
            Stand::Joining(_) => false,
        }
    }

    /// How long one more would have to wait with so many before it, if that is known to be too long.
    pub(in crate::limit) fn refuses(&self, now: Micros, before: usize, max_wait: Micros) -> Option<Micros> {
        match self.stand {
            Stand::Joined => (now < self.full_until && before >= self.promised.len()).then_some(self.terms.horizon),
            Stand::Apart => {
                let forecast = self.share.takes(before, &self.terms);
                (forecast > max_wait).then_some(forecast)
            }
            Stand::Joining(_) => None,
        }
    }

    /// What to ask now, if anything.
    pub(in crate::limit) fn call(&mut self, now: Micros, waiting: usize) -> Option<Ask> {
        self.pass(now);
        if self.calling.is_some() || now < self.due(waiting) {
            return None;
        }
        let mode = self.mode(now);
        // Who joins does not start yet, and does not know who is there by then.
        let want = if mode == Mode::Take { self.want(now, waiting) } else { 0 };
        self.calling = Some(mode);
        self.last_call = now;
        if mode == Mode::Take {
            self.counted_before = self.counted.replace(now);
        }
        Some(Ask { mode, want, ..self.words(now) })
    }

    /// As long as all goes well, what keeps us a member. If it does not, only what does no harm if its answer is lost: to
    /// join makes us one who is away, as whoever is on its own has to be for the others.
    fn mode(&self, now: Micros) -> Mode {
        let in_touch = self.confirmed.is_some_and(|confirmed| now <= confirmed + LEASE) && self.lost < LOST;
        match (self.server, self.stand) {
            (None, _) => Mode::Probe,
            (_, Stand::Joined) if in_touch => Mode::Take,
            _ => Mode::Join,
        }
    }

    /// The last call: others need not wait until we are thought silent.
    pub(in crate::limit) fn farewell(&mut self, now: Micros) -> Option<Ask> {
        self.server?;
        self.promised.clear();
        Some(Ask { mode: Mode::Leave, want: 0, ..self.words(now) })
    }

    fn words(&self, now: Micros) -> Ask {
        let unsure = self.server.map_or(0, |server| server.uncertainty());
        Ask {
            mode: Mode::Probe,
            at: now,
            sent: self.server.map_or(0, |server| server.shows(now)),
            epoch: self.epoch,
            stepped: self.stepped,
            members: self.members,
            rank: self.rank.unwrap_or(-1),
            want: 0,
            held: u32::try_from(self.promised.len()).unwrap_or(u32::MAX),
            lead: self.round_trip,
            // Late by as much, and a step of as much behind it.
            slack: self.promised.tardy() + (2 * unsure - UNCERTAINTY).max(0),
            tardy: self.promised.tardy(),
            unsure: (unsure - UNCERTAINTY).max(0),
        }
    }

    fn want(&self, now: Micros, waiting: usize) -> u32 {
        // The same as long as nothing starts anyway.
        if now < self.full_until.max(self.open) {
            return 0;
        }
        let missing = waiting.saturating_sub(self.promised.len());
        u32::try_from(missing).unwrap_or(u32::MAX).min(MOST_AT_ONCE)
    }

    /// When to call next.
    fn due(&self, waiting: usize) -> Micros {
        let beat = self.last_call + BEATS[usize::from(waiting == 0 && self.promised.len() == 0)];
        let at = match self.stand {
            Stand::Joined if waiting > self.promised.len() => beat.min(self.full_until.max(self.open)),
            Stand::Joined if self.lost == 0 => beat,
            Stand::Joined | Stand::Joining(_) | Stand::Apart => self.not_before,
        };
        at.max(self.not_before)
    }

    /// When there is something to do at the latest, besides what [`Member::start`] says.
    pub(in crate::limit) fn next(&self, waiting: usize) -> Micros {
        let call = if self.calling.is_some() { Micros::MAX } else { self.due(waiting) };
        let change = match self.stand {
            Stand::Joining(_) | Stand::Joined => self.apart_at(),
            Stand::Apart => Micros::MAX,
        };
        call.min(change)
    }

    /// When we would be on our own, if nothing were heard until then.
    fn apart_at(&self) -> Micros {
        let since = match self.stand {
            // There may have been a process before this one.
            Stand::Joining(since) => since,
            Stand::Joined | Stand::Apart => self.counted.unwrap_or(0),
        };
        // All think us silent, have been told so, and their last starts have passed.
        since + LATE + LEASE + SCAN + VALID + self.terms.span
    }

    /// What time alone changes.
    fn pass(&mut self, now: Micros) {
        if self.stand == Stand::Apart || now < self.apart_at() {
            return;
        }
        self.promised.clear();
        // Who slept itself has not yet tried.
        let slept = self.calling.is_none() && now > self.last_call + LEASE;
        self.stand = if slept { Stand::Joining(now) } else { Stand::Apart };
    }

    /// There was no answer.
    pub(in crate::limit) fn lost(&mut self, ask: &Ask, now: Micros) {
        self.calling = None;
        self.lost = self.lost.saturating_add(1);
        let retry = if self.stand == Stand::Apart { RETRY_APART } else { RETRY };
        self.not_before = now.max(ask.at + retry);
    }

    /// There was an answer. If it refuses starts that are wanted, how long the next one would be away.
    pub(in crate::limit) fn answered(&mut self, ask: &Ask, now: Micros, reply: Reply) -> Option<Micros> {
        if now > ask.at + LATE {
            // It may have been here for long, and nobody looked.
            self.lost(ask, now);
            return None;
        }
        self.calling = None;
        self.not_before = now;
        let steady = match &mut self.server {
            Some(server) => server.heard(reply.now, ask.at, now),
            None => {
                self.server = Some(ServerClock::new(reply.now, ask.at, now));
                true
            }
        };
        // A slow answer weighs for a while: a start that was promised for too early is a start lost.
        self.round_trip = (now - ask.at).max(self.round_trip * 7 / 8);
        self.pass(now);
        match reply.taken {
            Some(taken) if steady => return self.take(ask, now, reply.now, taken),
            // The server has not heard it in time: as if never said.
            None if ask.mode == Mode::Take => self.counted = self.counted_before,
            _ => {}
        }
        if !steady {
            // What was promised by the new time is not to be trusted before all know of it.
            self.stepped = self.epoch != 0;
        }
        if ask.mode != Mode::Probe {
            self.lost(ask, now);
        }
        None
    }

    fn take(&mut self, ask: &Ask, now: Micros, shown: Micros, taken: Taken) -> Option<Micros> {
        if ask.mode == Mode::Join {
            // As good as a call that keeps us a member, from when we are there again.
            self.counted = Some(ask.at);
        }
        self.stand = Stand::Joined;
        self.lost = 0;
        self.confirmed = Some(ask.at);
        if taken.epoch != self.epoch {
            let next = taken.epoch == self.epoch + 1 && taken.void != 0;
            self.promised.keep_until(if next { taken.void } else { Micros::MIN });
            if !next {
                // Perhaps another server, and its clock another one.
                self.server = Some(ServerClock::new(shown, ask.at, now));
            }
            self.stepped = false;
            self.full_until = now;
        }
        let server = self.server?;
        (self.epoch, self.rank, self.members) = (taken.epoch, Some(taken.rank), taken.members);
        self.open = server.when(taken.open);
        self.promised.add(&taken.starts, &server, ask.tardy);
        if taken.after == 0 {
            return None;
        }
        self.full_until = now + taken.opens;
        Some(taken.after)
    }

    /// A load that was to start by then came to it only now, and did not.
    pub(in crate::limit) fn missed(&mut self, until: Micros, now: Micros) {
        self.promised.note(now - until + LATENESS + self.promised.tardy());
    }

    /// Starts a load, if one may start now.
    pub(in crate::limit) fn start(&mut self, now: Micros, wall: impl FnOnce() -> Micros) -> Start {
        self.pass(now);
        match self.stand {
            Stand::Joined => self.start_as_promised(now),
            // If the answer comes, it counts from when this was asked.
            Stand::Apart if self.calling == Some(Mode::Join) => Start::At(Micros::MAX),
            Stand::Apart => {
                let agreed = self.server.map_or_else(wall, |server| server.shows(now));
                match self.share.start(now, agreed, self.rank.unwrap_or(self.turn)) {
                    Ok(()) => Start::Now(Micros::MAX),
                    Err(pause) => Start::At(now + pause),
                }
            }
            Stand::Joining(_) => Start::At(Micros::MAX),
        }
    }

    fn start_as_promised(&mut self, now: Micros) -> Start {
        match self.promised.next(now) {
            None => Start::At(Micros::MAX),
            Some(at) if at > now => Start::At(at),
            // The next answer may bring good news, or not.
            Some(_) if self.confirmed.is_none_or(|confirmed| now > confirmed + VALID) => Start::At(Micros::MAX),
            Some(at) => self.promised.take(now).map_or(Start::At(at), Start::Now),
        }
    }
}
