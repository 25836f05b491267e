//! Who waits, in fair order: first come first served for each viewer, viewers in turn.
//!
//! governor's own `until_ready` wakes its waiters as in a lottery (46 % of pairs out of order, measured), so the order is
//! ours.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fleet::Micros;

/// What one who waits is told: to start by then, or when to ask again.
pub(super) type Call = Result<Micros, Duration>;

/// A lane for each viewer with somebody waiting.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<u64, VecDeque<oneshot::Sender<Call>>>,
    /// Viewers with somebody in their lane, in the order in which they are served.
    turn: VecDeque<u64>,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.turn.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lanes.values().map(VecDeque::len).sum()
    }

    /// Joins this viewer's lane.
    pub(super) fn join(&mut self, viewer: u64) -> oneshot::Receiver<Call> {
        let (sender, receiver) = oneshot::channel();
        let lane = self.lanes.entry(viewer).or_default();
        lane.push_back(sender);
        if lane.len() == 1 {
            self.turn.push_back(viewer);
        }
        receiver
    }

    /// Who would be served before one more of this viewer, with viewers in turn.
    pub(super) fn ahead_of(&self, viewer: u64) -> usize {
        let own = self.lanes.get(&viewer).map_or(0, VecDeque::len);
        let others = self.lanes.iter().filter(|(other, _)| **other != viewer);
        own + others.map(|(_, lane)| lane.len().min(own + 1)).sum::<usize>()
    }

    /// Takes away those who have hung up.
    pub(super) fn forget_the_gone(&mut self) {
        self.lanes.retain(|_, lane| {
            lane.retain(|waiter| !waiter.is_closed());
            !lane.is_empty()
        });
        let lanes = &self.lanes;
        self.turn.retain(|viewer| lanes.contains_key(viewer));
    }

    /// Gives a start that was just taken to the next who still listens. False if there is none.
    pub(super) fn call_next(&mut self, until: Micros) -> bool {
        while let Some(viewer) = self.turn.pop_front() {
            let Some(lane) = self.lanes.get_mut(&viewer) else { continue };
            let called = lane.pop_front();
            if lane.is_empty() {
                self.lanes.remove(&viewer);
            } else {
                self.turn.push_back(viewer);
            }
            if called.is_some_and(|waiter| waiter.send(Ok(until)).is_ok()) {
                return true;
            }
        }
        false
    }

    /// Sends the last one of the longest lane away.
    pub(super) fn dismiss_one(&mut self, after: Duration) {
        let longest = self.lanes.iter_mut().max_by_key(|(_, lane)| lane.len());
        let Some((viewer, lane)) = longest.map(|(viewer, lane)| (*viewer, lane)) else { return };
        if let Some(waiter) = lane.pop_back() {
            // Who has hung up needs no answer.
            let _ = waiter.send(Err(after));
        }
        if lane.is_empty() {
            self.lanes.remove(&viewer);
            self.turn.retain(|other| *other != viewer);
        }
    }
}
