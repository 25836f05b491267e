//! The gate and those before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::fleet::{Ask, CALL, Member, Micros, Reply, Standing, Start, Terms, micros};
use super::lanes::{Call, Lanes};
use super::window::Window;
use crate::config::LoadLimit;
use crate::lifecycle::Tasks;
use crate::model::Clock;
use crate::telemetry::metrics::LoadMetrics;

/// Who says when a load may start.
pub(super) enum Gate {
    /// This process alone.
    Own(Window),
    /// All replicas together.
    Fleet(Box<Member>),
}

/// Who waits for one limit.
pub(super) struct Queue {
    state: Mutex<State>,
    clock: Clock,
    tasks: Tasks,
    /// Rung when there may be something to do, for who serves a gate of the fleet.
    bell: Notify,
}

struct State {
    limit: LoadLimit,
    gate: Gate,
    lanes: Lanes,
    /// When the gate opens next; in the past when nobody waits.
    opens: Micros,
    /// Of those who still listen.
    waiting: usize,
    /// Whether a task serves the lanes.
    served: bool,
    /// Whether it was ever known how loads start. It stays so: no outage makes us unready.
    settled: bool,
}

/// What the one who serves a gate of the fleet has to do.
pub(super) struct Chores {
    /// What to ask Redis now.
    pub(super) ask: Option<(Ask, Terms)>,
    /// How long there is nothing else.
    pub(super) pause: Duration,
    /// Whose limit it is.
    pub(super) standing: Standing,
}

impl Queue {
    pub(super) fn new(limit: &LoadLimit, gate: Gate, clock: Clock, tasks: Tasks) -> Arc<Queue> {
        // A gate of the fleet always has somebody who serves it.
        let served = matches!(gate, Gate::Fleet(_));
        let (lanes, limit) = (Lanes::default(), limit.clone());
        let state = State { limit, gate, lanes, opens: 0, waiting: 0, served, settled: !served };
        Arc::new(Queue { state: Mutex::new(state), clock, tasks, bell: Notify::new() })
    }

    /// Goes on with another limit of the fleet.
    pub(super) fn change(&self, limit: &LoadLimit) {
        let mut state = self.lock();
        state.limit = limit.clone();
        if let Gate::Fleet(member) = &mut state.gate {
            let replicas = member.terms().replicas;
            member.change(Terms::new(limit, replicas));
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Closes the gate for one window.
    pub(super) fn exhaust(&self) {
        let now = self.now();
        if let Gate::Own(window) = &mut self.lock().gate {
            window.exhaust(now);
        }
    }

    /// Whether one more of this viewer could queue up behind those who wait and those who are
    /// `coming`; else how long it would have to wait.
    pub(super) fn room(&self, viewer: u64, coming: usize) -> Result<(), Duration> {
        let state = self.lock();
        if state.waiting + coming >= state.limit.max_waiting.max(state.starts()) {
            return Err(state.limit.window);
        }
        self.admit(&state, viewer)
    }

    /// Starts at once, if nobody waits and the gate is open.
    pub(super) fn try_start(&self) -> bool {
        let mut state = self.lock();
        // Whoever comes later must not pass those who wait.
        if state.waiting > 0 {
            return false;
        }
        match state.start(&self.clock) {
            Start::Now(_) => true,
            Start::At(opens) => {
                state.opens = opens;
                false
            }
        }
    }

    /// Waits for a start, at most `max_wait`. The error says when to ask again.
    pub(super) async fn wait(self: &Arc<Self>, viewer: u64, metrics: &LoadMetrics) -> Result<Duration, Duration> {
        let begin = self.clock.now();
        let (mut called, longest, window) = self.join(viewer)?;
        let _seat = Seat::take(self, metrics);
        let end = tokio::time::Instant::now() + longest;
        loop {
            self.bell.notify_one();
            match tokio::time::timeout_at(end, called).await {
                Ok(Ok(Ok(until))) if self.is_in_time(until) => return Ok(self.clock.now().since(begin)),
                // Called, and only now come to it: a start that late would be one too many later on.
                Ok(Ok(Ok(_))) => called = self.lock().lanes.join(viewer),
                Ok(Ok(Err(after))) => return Err(after.max(window)),
                // Not reached in time, although the forecast was better: others came in between, fairly.
                _ => return Err(window),
            }
        }
    }

    /// Takes a place; how long it is kept, and the window.
    fn join(self: &Arc<Self>, viewer: u64) -> Result<(oneshot::Receiver<Call>, Duration, Duration), Duration> {
        let mut state = self.lock();
        self.admit(&state, viewer)?;
        let receiver = state.lanes.join(viewer);
        state.waiting += 1;
        if !std::mem::replace(&mut state.served, true) {
            let queue = Arc::clone(self);
            self.tasks.work(async move { queue.serve().await });
        }
        Ok((receiver, state.longest_wait(), state.limit.window))
    }

    fn is_in_time(&self, until: Micros) -> bool {
        let now = self.now();
        if now > until
            && let Gate::Fleet(member) = &mut self.lock().gate
        {
            member.missed(until, now);
            return false;
        }
        true
    }

    /// A forecast for one more of this viewer.
    fn admit(&self, state: &State, viewer: u64) -> Result<(), Duration> {
        let (now, before) = (self.now(), state.lanes.ahead_of(viewer));
        let LoadLimit { window, max_wait, max_waiting, .. } = state.limit;
        let (forecast, room) = match &state.gate {
            Gate::Own(_) => {
                let rounds = u32::try_from(before / state.starts()).unwrap_or(u32::MAX);
                (duration(state.opens - now) + window.saturating_mul(rounds), max_waiting)
            }
            Gate::Fleet(member) => {
                let longest = micros(max_wait);
                let refused = member.refuses(now, before, longest).map(|wait| duration(wait.max(longest + 1)));
                // Whoever starts at once waits, too: for one answer.
                (refused.unwrap_or_default(), max_waiting.max(state.starts()))
            }
        };
        if state.waiting >= room || forecast > max_wait {
            return Err(forecast.max(window));
        }
        Ok(())
    }

    /// Serves the lanes before a gate of our own, until all are empty.
    async fn serve(self: Arc<Self>) {
        loop {
            let pause = {
                let mut state = self.lock();
                state.lanes.forget_the_gone();
                if state.lanes.is_empty() {
                    state.served = false;
                    return;
                }
                match state.start(&self.clock) {
                    Start::Now(until) => {
                        state.lanes.call_next(until);
                        continue;
                    }
                    Start::At(opens) => {
                        state.opens = opens;
                        duration(opens - self.now())
                    }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Serves the lanes before a gate of the fleet as far as it is open. Nothing, if the gate is another one.
    pub(super) fn work(&self) -> Option<Chores> {
        let now = self.now();
        let mut state = self.lock();
        state.lanes.forget_the_gone();
        let opens = loop {
            if state.lanes.is_empty() {
                break Micros::MAX;
            }
            match state.start(&self.clock) {
                Start::Now(until) => state.lanes.call_next(until),
                Start::At(opens) => break opens,
            };
        };
        let State { gate, lanes, settled, .. } = &mut *state;
        let Gate::Fleet(member) = gate else { return None };
        *settled |= member.is_settled(now);
        let waiting = lanes.len();
        let ask = member.call(now, waiting).map(|ask| (ask, member.terms()));
        let pause = duration(member.next(waiting).min(opens).saturating_sub(now));
        Some(Chores { ask, pause, standing: member.standing() })
    }

    /// Takes in what Redis said to a call, or that it said nothing.
    pub(super) fn heard(&self, ask: &Ask, reply: Option<Reply>) {
        let now = self.now();
        let mut state = self.lock();
        let State { gate, lanes, .. } = &mut *state;
        let Gate::Fleet(member) = gate else { return };
        let Some(reply) = reply else { return member.lost(ask, now) };
        let Some(after) = member.answered(ask, now, reply) else { return };
        // For so many there is no start in time. Of all viewers those go who want most.
        lanes.forget_the_gone();
        for _ in member.promised()..lanes.len() {
            lanes.dismiss_one(duration(after));
        }
    }

    /// What to tell the others at the end.
    pub(super) fn farewell(&self) -> Option<(Ask, Terms)> {
        let now = self.now();
        match &mut self.lock().gate {
            Gate::Own(_) => None,
            Gate::Fleet(member) => member.farewell(now).map(|ask| (ask, member.terms())),
        }
    }

    /// Whose limit it is.
    pub(super) fn standing(&self) -> Standing {
        match &self.lock().gate {
            Gate::Own(_) => Standing::Process,
            Gate::Fleet(member) => member.standing(),
        }
    }

    /// This replica's share of the limit.
    pub(super) fn share(&self) -> f64 {
        match &self.lock().gate {
            Gate::Own(_) => 1.0,
            Gate::Fleet(member) => f64::from(member.terms().starts) / f64::from(member.terms().replicas.max(1)),
        }
    }

    /// Whether it was ever known how loads start.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().settled
    }

    /// What rings when there is something to do.
    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }

    fn now(&self) -> Micros {
        boot_micros(&self.clock)
    }

    /// All changes under the lock leave a state that is consistent, so a panic spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn starts(&self) -> usize {
        usize::try_from(self.limit.per_second).unwrap_or(usize::MAX).max(1)
    }

    fn longest_wait(&self) -> Duration {
        match self.gate {
            Gate::Own(_) => self.limit.max_wait,
            // Without the time for one answer nothing would ever start.
            Gate::Fleet(_) => self.limit.max_wait.max(CALL),
        }
    }

    fn start(&mut self, clock: &Clock) -> Start {
        let at = boot_micros(clock);
        match &mut self.gate {
            Gate::Own(window) => window.start(at).map_or_else(Start::At, |()| Start::Now(Micros::MAX)),
            Gate::Fleet(member) => member.start(at, || clock.now().wall / 1_000),
        }
    }
}

pub(super) fn boot_micros(clock: &Clock) -> Micros {
    Micros::try_from(clock.boot() / 1_000).unwrap_or(Micros::MAX)
}

/// Nothing for what is over.
fn duration(span: Micros) -> Duration {
    Duration::from_micros(u64::try_from(span).unwrap_or(0))
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
