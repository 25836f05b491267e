//! Replicas, a server and a network in virtual time, with everything that breaks: at no moment more loads than the
//! limit in the window before it.
//!
//! What it leaves out is what docs/fleet.md names as what cannot be done: who is away for longer than it is remembered (no
//! world is that old), who is cut off when those are restarted who knew of it, and turns whose clock steps.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use super::super::member::Member;
use super::super::script::{Ask, Micros, Mode, Reply, Terms};
use super::super::standing::{Standing, Start};
use super::super::{LATE, margin};
use super::model::{Key, Server};

const MS: Micros = 1_000;
const S: Micros = 1_000_000;
/// What the vendor looks at.
const WINDOW: Micros = S;

/// What happens.
enum Event {
    /// A replica looks what there is to do.
    Wake(usize, u32),
    /// A call is at the server.
    Arrives(usize, u32, Ask),
    /// An answer is back, or the wait for it is over.
    Returns(usize, u32, Ask, Option<Reply>),
    /// Somebody breaks something.
    Trouble,
}

/// Something that happens at a moment, and its number, as no two are equal.
struct Due(Micros, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// What is told when something went wrong.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "read by Debug, in the message of a failure")]
enum Told {
    Starts(usize),
    Trouble(Trouble, usize),
    ClockSteps(Micros),
    Answered(usize, Mode, Option<i64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Flush,
    ClockSteps,
    ServerDown,
    ServerRestarts,
    Failover,
    Cut,
    Stall,
    Restart,
    Goodbye,
    WritesFail,
    AllHeal,
    Backup,
}

impl Trouble {
    const ALL: [Trouble; 14] = [
        Trouble::Flush,
        Trouble::ClockSteps,
        Trouble::ServerDown,
        Trouble::ServerRestarts,
        Trouble::Failover,
        Trouble::Cut,
        Trouble::Cut,
        Trouble::Cut,
        Trouble::Stall,
        Trouble::Restart,
        Trouble::Goodbye,
        Trouble::WritesFail,
        Trouble::AllHeal,
        Trouble::Backup,
    ];

    /// Whether somebody is gone who knew something.
    fn forgets(self) -> bool {
        matches!(self, Trouble::Restart | Trouble::Goodbye)
    }
}

#[derive(Debug)]
struct Replica {
    member: Member,
    /// Grows with each restart: what was meant for the one before is nothing to this one.
    life: u32,
    waiting: usize,
    /// Ahead of true time.
    clock: Micros,
    /// How long an answer is under way at least.
    far: Micros,
    /// Whether its calls go nowhere.
    cut: bool,
    /// Does nothing until then.
    stalled: Micros,
    woken: Micros,
}

/// What may go wrong.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) troubles: bool,
    /// The most that a call takes to the server, or back.
    pub(super) latency: Micros,
    /// How far some replicas are from the server, one way.
    pub(super) far: Micros,
}

pub(super) struct World {
    seed: u64,
    now: Micros,
    dice: fastrand::Rng,
    events: BinaryHeap<Reverse<Due>>,
    number: u64,
    weather: Weather,
    terms: Terms,
    replicas: Vec<Replica>,
    server: Server,
    /// Ahead of true time.
    server_clock: Micros,
    server_down: Micros,
    /// Until then it answers, and refuses to write.
    writes_fail: Micros,
    /// Until then nobody comes.
    quiet: Micros,
    /// What it would come back with.
    backup: Option<Key>,
    /// When somebody who knew something was last gone.
    forgot: Micros,
    recent: VecDeque<Micros>,
    pub(super) started: u64,
    story: VecDeque<(Micros, Told)>,
}

impl World {
    pub(super) fn new(seed: u64, starts: u32, replicas: u32, weather: Weather) -> World {
        let mut dice = fastrand::Rng::with_seed(seed);
        let terms = Terms { starts, span: S + margin(S), horizon: 1950 * MS, replicas };
        let mut world = World {
            seed,
            now: 0,
            events: BinaryHeap::new(),
            number: 0,
            weather,
            terms,
            replicas: Vec::new(),
            server: Server { run: 1, ..Server::default() },
            server_clock: 1_800_000_000 * S + dice.i64(0..S),
            server_down: 0,
            writes_fail: 0,
            quiet: 0,
            backup: None,
            forgot: 0,
            recent: VecDeque::new(),
            started: 0,
            story: VecDeque::new(),
            dice,
        };
        for number in 0..replicas as usize {
            let clock = world.dice.i64(0..1000 * S);
            let far = world.dice.choice([0, 0, weather.far]).unwrap_or(0);
            let member = Member::new(terms, number as i64, clock);
            let replica = Replica { member, life: 0, waiting: 0, clock, far, cut: false, stalled: 0, woken: 0 };
            world.replicas.push(replica);
            world.at(0, Event::Wake(number, 0));
        }
        if weather.troubles {
            world.at(5 * S, Event::Trouble);
        }
        world
    }

    /// Cuts a replica off, or lets it be back.
    pub(super) fn cut(&mut self, who: usize, cut: bool) {
        self.replicas[who].cut = cut;
    }

    /// What started of late, in quarters of a second.
    pub(super) fn starts_by_quarters(&self) -> String {
        let mut quarters = std::collections::BTreeMap::<(Micros, usize), usize>::new();
        for (at, told) in &self.story {
            if let Told::Starts(who) = told {
                *quarters.entry((at / (S / 4), *who)).or_default() += 1;
            }
        }
        format!("{quarters:?}")
    }

    /// From now on the server answers, and refuses to write.
    pub(super) fn refuse_writes(&mut self) {
        self.writes_fail = Micros::MAX;
    }

    /// Runs until so much time has passed. Everybody always wants more than there is.
    pub(super) fn run(&mut self, time: Micros) {
        let end = self.now + time;
        while let Some(Reverse(Due(at, _, event))) = self.events.pop() {
            self.now = at;
            match event {
                Event::Wake(who, life) => self.wake(who, life),
                Event::Arrives(who, life, ask) => self.arrives(who, life, ask),
                Event::Returns(who, life, ask, reply) => self.returns(who, life, &ask, reply),
                Event::Trouble => self.trouble(),
            }
            if self.now >= end {
                return;
            }
        }
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.number += 1;
        self.events.push(Reverse(Due(at, self.number, event)));
    }

    fn tell(&mut self, told: Told) {
        while self.story.len() > 500 {
            self.story.pop_front();
        }
        self.story.push_back((self.now, told));
    }

    fn wake(&mut self, who: usize, life: u32) {
        let (now, wall) = (self.now, self.now + self.server_clock);
        let replica = &mut self.replicas[who];
        if replica.life != life || replica.woken > now {
            return;
        }
        if replica.stalled > now {
            let later = replica.stalled;
            return self.at(later, Event::Wake(who, life));
        }
        // Those who come, and those who give up.
        let most = self.terms.starts as usize * 4;
        replica.waiting = (replica.waiting + self.dice.usize(0..20 + most / 40)).min(most);
        if self.dice.u8(0..50) == 0 {
            replica.waiting /= 2;
        }
        if now < self.quiet {
            replica.waiting = 0;
        }
        let local = now + replica.clock;
        let mut wakes = local + 40 * MS;
        let mut starts = 0;
        while replica.waiting > 0 {
            match replica.member.start(local, || wall) {
                Start::Now(_) => {
                    replica.waiting -= 1;
                    starts += 1;
                }
                Start::At(later) => {
                    wakes = wakes.min(later);
                    break;
                }
            }
        }
        let ask = replica.member.call(local, replica.waiting);
        wakes = wakes.min(replica.member.next(replica.waiting));
        // Timers are late by a little, and now and then by more.
        let very = self.weather.troubles && self.dice.u8(0..200) == 0;
        let late = self.dice.i64(0..if very { 60 * MS } else { 2 * MS });
        replica.woken = wakes.max(local + 1) - replica.clock + late;
        let (woken, nowhere) = (replica.woken, replica.cut || self.server_down > now);
        self.at(woken, Event::Wake(who, life));
        (0..starts).for_each(|_| self.judge(who));
        match ask {
            Some(ask) if nowhere => self.at(now + LATE, Event::Returns(who, life, ask, None)),
            Some(ask) => {
                let there = now + self.latency();
                self.at(there, Event::Arrives(who, life, ask));
            }
            None => {}
        }
    }

    fn latency(&mut self) -> Micros {
        match self.dice.u16(0..1000) {
            0 if self.weather.troubles => self.dice.i64(0..400 * MS),
            _ => self.dice.i64(50..self.weather.latency),
        }
    }

    fn arrives(&mut self, who: usize, life: u32, ask: Ask) {
        let up = self.server_down <= self.now && (ask.mode == Mode::Probe || self.writes_fail <= self.now);
        let shown = self.now + self.server_clock;
        let reply = up.then(|| self.server.answer(shown, who as u32, &ask, &self.terms));
        self.tell(Told::Answered(who, ask.mode, reply.as_ref().and_then(|reply| Some(reply.taken.as_ref()?.epoch))));
        // Who waits gives up, and an answer may be lost.
        let given_up = ask.at - self.replicas[who].clock + LATE;
        let back = self.now + self.replicas[who].far + self.latency();
        if back > given_up || self.replicas[who].cut || reply.is_none() {
            return self.at(given_up.max(self.now), Event::Returns(who, life, ask, None));
        }
        self.at(back, Event::Returns(who, life, ask, reply));
    }

    fn returns(&mut self, who: usize, life: u32, ask: &Ask, reply: Option<Reply>) {
        let replica = &mut self.replicas[who];
        if replica.life != life {
            return;
        }
        let now = self.now.max(replica.stalled);
        match reply {
            Some(reply) => {
                if replica.member.answered(ask, now + replica.clock, reply).is_some() {
                    replica.waiting = replica.waiting.saturating_sub(10);
                }
            }
            None => replica.member.lost(ask, now + replica.clock),
        }
        replica.woken = now;
        self.at(now, Event::Wake(who, life));
    }

    fn judge(&mut self, who: usize) {
        self.started += 1;
        self.tell(Told::Starts(who));
        if self.recent.len() == self.terms.starts as usize {
            let since = self.now - self.recent.pop_front().unwrap_or_default();
            let World { seed, terms: Terms { starts, .. }, now, story, replicas, server, server_clock, .. } = self;
            assert!(
                since >= WINDOW,
                "seed {seed}: {starts} and one more in {since} us at {now} by {who}\n{replicas:#?}\n{story:?}\n\
                 the server shows {}\n{:?}",
                *now + *server_clock,
                server.key
            );
        }
        self.recent.push_back(self.now);
    }

    fn trouble(&mut self) {
        let who = self.dice.usize(0..self.replicas.len());
        let trouble = self.dice.choice(Trouble::ALL).unwrap_or(Trouble::Stall);
        let trouble = self.possible(trouble);
        self.tell(Told::Trouble(trouble, who));
        let now = self.now;
        match trouble {
            Trouble::Flush => self.server.key = None,
            Trouble::ClockSteps => {
                let step = self.dice.choice([3600 * S, 5 * S, S, 150 * MS, 30 * MS]).unwrap_or(S);
                let step = if self.dice.bool() { step } else { -step };
                self.server_clock += step;
                self.tell(Told::ClockSteps(step));
            }
            Trouble::ServerDown => self.server_down = now + self.dice.i64(0..6 * S),
            Trouble::ServerRestarts => {
                self.server.run += 1;
                self.server.key = self.backup.clone().filter(|_| self.dice.bool());
            }
            Trouble::Failover => {
                // To one that lacks the last words, and whose clock is another.
                self.server.run += 1;
                self.server.key = self.backup.clone();
                self.server_clock += self.dice.i64(-300 * MS..300 * MS);
            }
            Trouble::Cut => {
                let replica = &mut self.replicas[who];
                // Not before it was back.
                replica.cut = !replica.cut && replica.member.standing() == Standing::Fleet;
            }
            Trouble::Stall => self.replicas[who].stalled = now + self.dice.i64(0..2 * S),
            Trouble::Restart => self.restart(who),
            Trouble::Goodbye => {
                let replica = &mut self.replicas[who];
                if let Some(ask) = replica.member.farewell(now + replica.clock) {
                    self.server.answer(now + self.server_clock, who as u32, &ask, &self.terms);
                }
                self.restart(who);
            }
            Trouble::WritesFail => self.writes_fail = now + self.dice.i64(0..6 * S),
            Trouble::AllHeal => self.replicas.iter_mut().for_each(|replica| replica.cut = false),
            Trouble::Backup => {
                self.backup = self.server.key.clone();
                self.quiet = now + self.dice.i64(0..6 * S);
            }
        }
        let next = now + self.dice.i64(50 * MS..4 * S);
        self.at(next, Event::Trouble);
    }

    /// This trouble, or another one where it would be beyond the limits of the protocol.
    fn possible(&mut self, trouble: Trouble) -> Trouble {
        let takes_turns = self.terms.starts < self.terms.replicas;
        if trouble.forgets() && !takes_turns {
            self.forgot = self.now;
            self.replicas.iter_mut().for_each(|replica| replica.cut = false);
        }
        match trouble {
            Trouble::ClockSteps | Trouble::ServerRestarts | Trouble::Failover if takes_turns => Trouble::Stall,
            Trouble::Restart | Trouble::Goodbye if takes_turns => Trouble::Stall,
            Trouble::Cut | Trouble::ServerDown | Trouble::WritesFail if self.now - self.forgot < 4 * S => {
                Trouble::Stall
            }
            _ => trouble,
        }
    }

    fn restart(&mut self, who: usize) {
        // It takes a moment to be back.
        let back = self.now + 300 * MS;
        let replica = &mut self.replicas[who];
        let member = Member::new(self.terms, who as i64, back + replica.clock);
        *replica = Replica { member, life: replica.life + 1, waiting: 0, stalled: 0, woken: back, ..*replica };
        let life = replica.life;
        self.at(back, Event::Wake(who, life));
    }
}
