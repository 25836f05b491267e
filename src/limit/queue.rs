//! Who waits, in fair order: first come first served for each viewer, viewers in turn.
//!
//! governor's own `until_ready` wakes its waiters as in a lottery (46 % of pairs out of order,
//! measured), so it only keeps the gate, and the order is ours.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::window::Window;
use crate::config::LoadLimit;
use crate::lifecycle::Tasks;
use crate::model::{Clock, Moment};
use crate::telemetry::metrics::LoadMetrics;

/// The gate and those before it.
pub(super) struct Queue {
    state: Mutex<State>,
    clock: Clock,
    tasks: Tasks,
    starts: usize,
    span: Duration,
    max_wait: Duration,
    max_waiting: usize,
}

struct State {
    window: Window,
    lanes: HashMap<u64, VecDeque<oneshot::Sender<()>>>,
    /// Viewers with somebody in their lane, in the order in which they are served.
    turn: VecDeque<u64>,
    /// When the gate opens next; in the past when nobody waits.
    opens: Moment,
    /// Of those who still listen.
    waiting: usize,
    /// Whether a task serves the lanes.
    served: bool,
}

impl Queue {
    pub(super) fn new(limit: &LoadLimit, clock: Clock, tasks: Tasks) -> Arc<Queue> {
        let state = State {
            window: Window::new(limit.per_second, limit.window, clock.clone()),
            lanes: HashMap::new(),
            turn: VecDeque::new(),
            opens: clock.now(),
            waiting: 0,
            served: false,
        };
        Arc::new(Queue {
            state: Mutex::new(state),
            clock,
            tasks,
            starts: usize::try_from(limit.per_second).unwrap_or(usize::MAX),
            span: limit.window,
            max_wait: limit.max_wait,
            max_waiting: limit.max_waiting,
        })
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Closes the gate for one window.
    pub(super) fn exhaust(&self) {
        self.lock().window.exhaust();
    }

    /// Whether one more of this viewer could queue up behind those who wait and those who are
    /// `coming`; else how long it would have to wait.
    pub(super) fn room(&self, viewer: u64, coming: usize) -> Result<(), Duration> {
        let state = self.lock();
        if state.waiting + coming >= self.max_waiting.max(self.starts) {
            return Err(self.span);
        }
        self.admit(&state, state.ahead_of(viewer))
    }

    /// Starts at once, if nobody waits and the window allows it.
    pub(super) fn try_start(&self) -> bool {
        let mut state = self.lock();
        // Whoever comes later must not pass those who wait.
        if state.waiting > 0 {
            return false;
        }
        match state.window.start() {
            Ok(()) => true,
            Err(pause) => {
                state.opens = self.clock.now().after(pause);
                false
            }
        }
    }

    /// Waits for a start, at most `max_wait`. The error says when to ask again.
    pub(super) async fn wait(self: &Arc<Self>, viewer: u64, metrics: &LoadMetrics) -> Result<Duration, Duration> {
        let (begin, started) = {
            let mut state = self.lock();
            self.admit(&state, state.ahead_of(viewer))?;
            let (sender, receiver) = oneshot::channel();
            let lane = state.lanes.entry(viewer).or_default();
            lane.push_back(sender);
            if lane.len() == 1 {
                state.turn.push_back(viewer);
            }
            state.waiting += 1;
            if !std::mem::replace(&mut state.served, true) {
                let queue = Arc::clone(self);
                self.tasks.work(async move { queue.serve().await });
            }
            (self.clock.now(), receiver)
        };
        let _seat = Seat::take(self, metrics);
        match tokio::time::timeout(self.max_wait, started).await {
            Ok(Ok(())) => Ok(self.clock.now().since(begin)),
            // Not reached in time, although the forecast was better: others came in between, fairly.
            _ => Err(self.span),
        }
    }

    /// A forecast for somebody with so many before them.
    fn admit(&self, state: &State, before: usize) -> Result<(), Duration> {
        let rounds = u32::try_from(before / self.starts.max(1)).unwrap_or(u32::MAX);
        let forecast = state.opens.since(self.clock.now()) + self.span.saturating_mul(rounds);
        if state.waiting >= self.max_waiting || forecast > self.max_wait {
            return Err(forecast.max(self.span));
        }
        Ok(())
    }

    /// Serves the lanes until all are empty.
    async fn serve(self: Arc<Self>) {
        loop {
            let pause = {
                let mut state = self.lock();
                state.forget_the_gone();
                if state.turn.is_empty() {
                    state.served = false;
                    return;
                }
                match state.window.start() {
                    Ok(()) => {
                        state.call_next();
                        continue;
                    }
                    Err(pause) => {
                        state.opens = self.clock.now().after(pause);
                        pause
                    }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// All changes under the lock leave a state that is consistent, so a panic spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who would be served before one more of this viewer, with viewers in turn.
    fn ahead_of(&self, viewer: u64) -> usize {
        let own = self.lanes.get(&viewer).map_or(0, VecDeque::len);
        let others = self.lanes.iter().filter(|(other, _)| **other != viewer);
        own + others.map(|(_, lane)| lane.len().min(own + 1)).sum::<usize>()
    }

    /// Takes away those at the head of their lane who have hung up.
    fn forget_the_gone(&mut self) {
        self.lanes.retain(|_, lane| {
            lane.retain(|waiter| !waiter.is_closed());
            !lane.is_empty()
        });
        let lanes = &self.lanes;
        self.turn.retain(|viewer| lanes.contains_key(viewer));
    }

    /// Gives a start that was just taken to the next who still listens.
    fn call_next(&mut self) {
        while let Some(viewer) = self.turn.pop_front() {
            let Some(lane) = self.lanes.get_mut(&viewer) else { continue };
            let called = lane.pop_front();
            if lane.is_empty() {
                self.lanes.remove(&viewer);
            } else {
                self.turn.push_back(viewer);
            }
            if called.is_some_and(|waiter| waiter.send(()).is_ok()) {
                return;
            }
        }
    }
}

/// One who waits; leaving by any way, hanging up included, makes room.
struct Seat<'a> {
    queue: &'a Queue,
    metrics: &'a LoadMetrics,
}

impl<'a> Seat<'a> {
    fn take(queue: &'a Queue, metrics: &'a LoadMetrics) -> Seat<'a> {
        metrics.waiting(1);
        Seat { queue, metrics }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.metrics.waiting(-1);
        self.queue.lock().waiting -= 1;
    }
}
