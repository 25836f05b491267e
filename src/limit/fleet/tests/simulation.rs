//! Replicas, a server and a network in virtual time, with everything that breaks: at no moment more loads than the
//! limit in the window before it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::super::member::{Member, Start};
use super::super::script::{Ask, Reply, Terms};
use super::super::{Micros as Us, margin};
use super::model::{Key, Server};

const MS: Us = 1_000;
const S: Us = 1_000_000;

/// What happens at a moment.
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

struct Replica {
    member: Member,
    /// Grows with each restart: what was meant for the one before is nothing to this one.
    life: u32,
    waiting: usize,
    /// Ahead of true time.
    clock: Us,
    cut: bool,
    cut_since: Us,
    /// Does nothing until then.
    stalled: Us,
    woken: Us,
}

impl Replica {
    fn heal(&mut self) {
        self.cut = false;
    }
}

/// What may go wrong.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) troubles: bool,
    /// The most that a call takes to the server, or back.
    pub(super) latency: Us,
}

pub(super) struct World {
    now: Us,
    dice: fastrand::Rng,
    events: BinaryHeap<Reverse<(Us, u64)>>,
    what: std::collections::HashMap<u64, Event>,
    number: u64,
    replicas: Vec<Replica>,
    server: Server,
    server_clock: Us,
    server_down: Us,
    /// When somebody who knew something was last gone.
    forgot: Us,
    terms: Terms,
    weather: Weather,
    backup: Option<Key>,
    recent: VecDeque<Us>,
    pub(super) started: u64,
    story: VecDeque<String>,
    window: Us,
    seed: u64,
}

impl World {
    pub(super) fn new(seed: u64, starts: u32, replicas: u32, weather: Weather) -> World {
        let terms = Terms { starts, span: S + margin(S), horizon: 1950 * MS, replicas };
        let mut dice = fastrand::Rng::with_seed(seed);
        let server_clock = 1_800_000_000 * S + dice.i64(0..S);
        let mut world = World {
            now: 0,
            events: BinaryHeap::new(),
            what: std::collections::HashMap::new(),
            number: 0,
            replicas: Vec::new(),
            server: Server { run: 1, ..Server::default() },
            server_clock,
            server_down: 0,
            forgot: 0,
            terms,
            weather,
            backup: None,
            recent: VecDeque::new(),
            started: 0,
            story: VecDeque::new(),
            window: S,
            seed,
            dice,
        };
        for number in 0..replicas as usize {
            let clock = world.dice.i64(0..1000 * S);
            let member = Member::new(terms, number as i64, clock);
            world.replicas.push(Replica {
                member,
                life: 0,
                waiting: 0,
                clock,
                cut: false,
                cut_since: 0,
                stalled: 0,
                woken: 0,
            });
            world.at(0, Event::Wake(number, 0));
        }
        if weather.troubles {
            world.at(5 * S, Event::Trouble);
        }
        world
    }

    /// Runs until so much time has passed. Everybody always wants more than there is.
    pub(super) fn run(&mut self, time: Us) {
        let end = self.now + time;
        while let Some(Reverse((at, number))) = self.events.pop() {
            let Some(event) = self.what.remove(&number) else { continue };
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

    fn at(&mut self, at: Us, event: Event) {
        self.number += 1;
        self.what.insert(self.number, event);
        self.events.push(Reverse((at, self.number)));
    }

    fn note(&mut self, what: String) {
        if self.story.len() > 200 {
            self.story.pop_front();
        }
        self.story.push_back(format!("{:>12} {what}", self.now));
    }

    fn wake(&mut self, who: usize, life: u32) {
        let now = self.now;
        let replica = &mut self.replicas[who];
        if replica.life != life || replica.woken > now {
            return;
        }
        if replica.stalled > now {
            let later = replica.stalled;
            return self.at(later, Event::Wake(who, life));
        }
        // Those who come, and those who give up.
        replica.waiting = (replica.waiting + self.dice.usize(0..20 + self.terms.starts as usize / 10))
            .min(self.terms.starts as usize * 4);
        if self.dice.u8(0..50) == 0 {
            replica.waiting /= 2;
        }
        let local = now + replica.clock;
        let mut wakes = local + 40 * MS;
        let mut starts = 0;
        while replica.waiting > 0 {
            match replica.member.start(local, now + self.server_clock) {
                Start::Now => {
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
        let late = if self.weather.troubles && self.dice.u8(0..200) == 0 {
            self.dice.i64(0..60 * MS)
        } else {
            self.dice.i64(0..2 * MS)
        };
        let wakes = wakes.max(local + 1) - replica.clock + late;
        replica.woken = wakes;
        self.at(wakes, Event::Wake(who, life));
        (0..starts).for_each(|_| self.judge(who));
        if let Some(ask) = ask {
            let there = now + self.latency();
            let over = if self.replicas[who].cut || self.server_down > now { None } else { Some(there) };
            match over {
                Some(there) => self.at(there, Event::Arrives(who, life, ask)),
                None => self.at(now + 100 * MS, Event::Returns(who, life, ask, None)),
            }
        }
    }

    fn latency(&mut self) -> Us {
        match self.dice.u16(0..1000) {
            0 if self.weather.troubles => self.dice.i64(0..400 * MS),
            _ => self.dice.i64(50..self.weather.latency),
        }
    }

    fn arrives(&mut self, who: usize, life: u32, ask: Ask) {
        let sent = ask.at - self.replicas[who].clock;
        let (reply, _) = if self.server_down > self.now {
            (None, false)
        } else {
            let (reply, late) = self.server.answer(self.now + self.server_clock, who as u32, &ask, &self.terms);
            (Some(reply), late)
        };
        let back = self.now + self.latency();
        if ask.mode != super::super::Mode::Probe {
            self.note(format!("{who} asks {ask:?} -> {reply:?}"));
        }
        // Who waits gives up, and an answer may be lost.
        if back > sent + 100 * MS || self.replicas[who].cut || reply.is_none() {
            return self.at((sent + 100 * MS).max(self.now), Event::Returns(who, life, ask, None));
        }
        self.at(back, Event::Returns(who, life, ask, reply));
    }

    fn returns(&mut self, who: usize, life: u32, ask: &Ask, reply: Option<Reply>) {
        let replica = &mut self.replicas[who];
        if replica.life != life {
            return;
        }
        let local = self.now.max(replica.stalled) + replica.clock;
        match reply {
            Some(reply) => {
                if replica.member.answered(ask, local, reply).is_some() {
                    replica.waiting = replica.waiting.saturating_sub(10);
                }
            }
            None => replica.member.lost(ask, local),
        }
        replica.woken = self.now.max(replica.stalled);
        let (at, life) = (replica.woken, replica.life);
        self.at(at, Event::Wake(who, life));
    }

    fn judge(&mut self, who: usize) {
        self.started += 1;
        self.note(format!("{who} starts"));
        if self.recent.len() == self.terms.starts as usize {
            let first = self.recent.pop_front().unwrap_or_default();
            if self.now - first < self.window {
                let from = self.now - 3 * S;
                let key = self.server.key.as_ref();
                println!(
                    "{key:?} {} {:?}",
                    self.now + self.server_clock,
                    self.replicas.iter().map(|r| format!("{:?} {}", r.member, r.cut)).collect::<Vec<_>>()
                );
                let story: Vec<_> = self
                    .story
                    .iter()
                    .filter(|line| line[..12].trim().parse::<i64>().unwrap() > from || line.contains("trouble"))
                    .collect();
                panic!(
                    "seed {}: {} and one more start in {} us at {} by {who}\n{story:#?}",
                    self.seed,
                    self.terms.starts,
                    self.now - first,
                    self.now
                );
            }
        }
        self.recent.push_back(self.now);
    }

    fn trouble(&mut self) {
        let who = self.dice.usize(0..self.replicas.len());
        let mut kind = self.dice.u8(0..12);
        // Where replicas take turns, they need the clock and the number that they last agreed on: the documented limit.
        if self.terms.starts < self.terms.replicas && matches!(kind, 1 | 3 | 4 | 9) {
            kind = 8;
        }
        // Who is away for longer than FORGET is forgotten, and its share is over the limit: documented, too.
        // And who is cut off while the log is lost is known of by those alone who were there before.
        let forgets = matches!(kind, 0 | 3 | 4 | 9);
        let long = |replica: &&mut Replica| replica.cut && (forgets || self.now - replica.cut_since > 12 * S);
        self.replicas.iter_mut().filter(long).for_each(Replica::heal);
        if forgets {
            self.forgot = self.now;
        } else if matches!(kind, 5..=7) && self.now - self.forgot < 3 * S {
            kind = 8;
        }
        self.note(format!("trouble {kind} with {who}"));
        match kind {
            0 => self.server.key = None,
            1 => {
                let step = self.dice.choice([3600 * S, 5 * S, S, 150 * MS, 30 * MS]).unwrap_or(S);
                let step = step * self.dice.choice([1, -1]).unwrap_or(1);
                self.server_clock += step;
                self.note(format!("trouble: clock steps by {step}"));
            }
            2 => self.server_down = self.now + self.dice.i64(0..6 * S),
            3 => {
                // A restart with nothing, or with what was saved before.
                self.server.run += 1;
                self.server.key = self.backup.clone().filter(|_| self.dice.bool());
            }
            4 => {
                // A failover to one that lacks the last words, and whose clock is another.
                self.server.run += 1;
                self.server.key = self.backup.clone();
                self.server_clock += self.dice.i64(-300 * MS..300 * MS);
            }
            5..=7 => {
                let replica = &mut self.replicas[who];
                match replica.cut {
                    true => replica.heal(),
                    // Not before it was back.
                    false if replica.member.is_joined() => (replica.cut, replica.cut_since) = (true, self.now),
                    false => {}
                }
            }
            8 => self.replicas[who].stalled = self.now + self.dice.i64(0..2 * S),
            9 => {
                let replica = &mut self.replicas[who];
                replica.life += 1;
                replica.waiting = 0;
                // It takes a moment to be back.
                let back = self.now + 300 * MS;
                replica.member = Member::new(self.terms, who as i64, back + replica.clock);
                replica.woken = back;
                let life = replica.life;
                self.at(back, Event::Wake(who, life));
            }
            10 => self.replicas.iter_mut().filter(|replica| replica.cut).for_each(Replica::heal),
            _ => self.backup = self.server.key.clone(),
        }
        let next = self.now + self.dice.i64(50 * MS..4 * S);
        self.at(next, Event::Trouble);
    }
}
