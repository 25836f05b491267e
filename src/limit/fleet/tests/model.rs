//! `limit.lua` once more, in Rust: fast enough for millions of calls. `script.rs` holds both against each other.

use std::collections::{BTreeMap, VecDeque};

use super::super::script::{Ask, Micros, Mode, Reply, Taken, Terms};
use super::super::{FORGET, LATE, LEASE, SCAN, VALID};

/// A server with one key.
#[derive(Default)]
pub(super) struct Server {
    pub(super) run: u64,
    pub(super) key: Option<Key>,
    pub(super) epochs: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    run: u64,
    epoch: i64,
    void: Micros,
    open: Micros,
    /// Starts, each with how much later it may begin.
    log: VecDeque<(Micros, Micros)>,
    last: Micros,
    scan: Micros,
    scanned: Micros,
    missing: u32,
    expect: i64,
    doubt: Micros,
    count: i64,
    members: BTreeMap<u32, Seat>,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    rank: i64,
    seen: Micros,
    ready: Micros,
}

impl Server {
    pub(super) fn answer(&mut self, now: Micros, id: u32, ask: &Ask, terms: &Terms) -> Reply {
        if ask.mode == Mode::Probe {
            return Reply { now, taken: None };
        }
        if now - ask.sent > LATE {
            return Reply { now, taken: None };
        }
        if ask.mode == Mode::Leave {
            self.leave(now, id, terms);
            return Reply { now, taken: None };
        }
        let (key, new) = self.key_for(now, ask, terms);
        let mine = key.members.get(&id).copied();
        let mut ready = mine.map(|seat| seat.ready);
        if ask.mode == Mode::Join {
            ready = Some(now + terms.span);
        }
        let mut rank = mine.map(|seat| seat.rank);
        if mine.is_none() || now >= key.scan || (ask.want > 0 && key.missing > 0) {
            let here = now >= ready.unwrap_or(now);
            let taken = key.look(now, id, here, terms.replicas, new);
            let free =
                || std::iter::once(ask.rank).filter(|hint| *hint >= 0).chain(0..).find(|rank| !taken.contains(rank));
            rank = rank.or_else(free);
        }
        let (rank, ready) = (rank.unwrap_or(0), ready.unwrap_or(now));
        key.members.insert(id, Seat { rank, seen: now, ready });
        key.last = now;
        let mut taken = Taken {
            epoch: key.epoch,
            void: key.void,
            open: key.open.max(ready),
            rank,
            members: key.count,
            ..Taken::default()
        };
        if ask.want > 0 {
            key.promise(now, ask, terms, &mut taken);
        }
        Reply { now, taken: Some(taken) }
    }

    fn leave(&mut self, now: Micros, id: u32, terms: &Terms) {
        let Some(key) = &mut self.key else { return };
        let Some(seat) = key.members.remove(&id) else { return };
        key.scan = 0;
        if now - seat.seen > LEASE || now < seat.ready {
            let gone = Seat { seen: now - FORGET + terms.span, ready: now + terms.span, ..seat };
            key.members.insert(id, gone);
        }
    }

    /// The key, and whether a new era begins with it.
    fn key_for(&mut self, now: Micros, ask: &Ask, terms: &Terms) -> (&mut Key, bool) {
        let same_era = |key: &Key| ask.epoch / 4096 == key.epoch / 4096;
        let run = self.run;
        let good = |key: &Key| key.run == run && now >= key.last && !(ask.stepped && same_era(key));
        let new = !self.key.as_ref().is_some_and(good);
        self.epochs += i64::from(new);
        let key = self.key.get_or_insert_default();
        if new {
            *key = Key {
                run,
                epoch: self.epochs * 4096,
                open: now + VALID + terms.span,
                expect: key.count.max(ask.members),
                doubt: now + FORGET,
                ..Key::default()
            };
        } else {
            if now - key.last > LEASE {
                (key.expect, key.doubt, key.scan) = (key.expect.max(key.count), now + FORGET, 0);
            }
            if now < key.doubt && ask.members > key.expect && !same_era(key) {
                (key.expect, key.scan) = (ask.members, 0);
            }
        }
        (key, new)
    }

    /// How many starts it remembers.
    pub(super) fn promised(&self) -> usize {
        self.key.as_ref().map_or(0, |key| key.log.len())
    }
}

impl Key {
    /// Who is there? Returns the ranks of the others.
    fn look(&mut self, now: Micros, id: u32, here: bool, replicas: u32, new: bool) -> Vec<i64> {
        let scanned = std::mem::replace(&mut self.scanned, now);
        self.members.retain(|other, seat| *other == id || now - seat.seen <= FORGET);
        let others: Vec<Seat> = self.members.iter().filter(|(other, _)| **other != id).map(|(_, seat)| *seat).collect();
        let is_here = |seat: &&Seat| now - seat.seen <= LEASE && now >= seat.ready;
        let live = others.iter().filter(is_here).count() as i64 + i64::from(here);
        let away = others.len() as i64 + 1 - live;
        let new_away = others.iter().filter(|seat| !is_here(seat) && scanned - seat.seen <= LEASE);
        let told = new_away.map(|seat| seat.seen + LEASE + SCAN + VALID);
        if now >= self.doubt {
            self.expect = 0;
        }
        let known = (live + away).max(self.expect);
        let gone = u32::try_from(known.min(replicas.into()) - live).unwrap_or(0);
        if gone > self.missing && !new {
            self.epoch += 1;
            self.void = told.fold(now + VALID, Micros::min);
            while self.log.back().is_some_and(|(start, _)| *start > self.void) {
                self.log.pop_back();
            }
        }
        (self.missing, self.count, self.scan) = (gone, known, now + SCAN);
        others.iter().map(|seat| seat.rank).collect()
    }

    /// When the n-th start from here would be.
    fn nth(&self, n: u32, earliest: Micros, most: u32, ask: &Ask, terms: &Terms) -> Micros {
        let (rounds, n) = ((n - 1) / most, (n - 1) % most + 1);
        let later = Micros::from(rounds) * terms.span;
        let before = (self.log.len() + n as usize - 1).checked_sub(most as usize).and_then(|at| self.log.get(at));
        before.map_or(earliest, |(before, late)| earliest.max(before + late + terms.span + ask.unsure)) + later
    }

    fn promise(&mut self, now: Micros, ask: &Ask, terms: &Terms, taken: &mut Taken) {
        let share = terms.starts / terms.replicas;
        let away = if share > 0 { self.missing * share } else { self.missing };
        let (most, turns) = (terms.starts.saturating_sub(away).max(1), away >= terms.starts);
        let step = terms.span / i64::from(terms.starts);
        let round = step * i64::from(terms.replicas);
        let mut earliest = (now + ask.lead).max(taken.open).max(self.log.back().map_or(0, |(start, _)| *start));
        let mut held = i64::from(ask.held);
        for _ in 0..ask.want {
            let mut start = self.nth(1, earliest, most, ask, terms);
            if turns {
                start += (taken.rank * step - start).rem_euclid(round);
            }
            let wait = start - now - ask.lead;
            let room = self.nth(1 + u32::try_from(held).unwrap().div_ceil(8), earliest, most, ask, terms);
            let refused = room.max(start) - now - ask.lead - terms.horizon;
            if refused > 0 {
                (taken.after, taken.opens) = (wait, refused);
                break;
            }
            held += i64::from(wait > 0);
            earliest = start;
            self.log.push_back((start, ask.slack));
            taken.starts.push(start);
        }
        while self.log.len() > 1 && self.log.front().is_some_and(|(start, late)| start + late <= now - terms.span) {
            self.log.pop_front();
        }
    }
}
