//! What one replica may start by itself while it does not hear from the others, so that the sum of all still holds.

use super::LATENESS;
use super::script::{Micros, Terms};
use crate::limit::window::Window;

/// A replica's share of the limit.
#[derive(Debug)]
pub(super) enum Share {
    /// A whole number in each span.
    Window(Window),
    /// More replicas than starts: less than one in each span, so replicas take turns by the clock that they last agreed
    /// on. One that is in turn alone starts at its own moment, so that no two of a round meet.
    Turns {
        /// From one turn to the next.
        round: Micros,
        /// From one replica's turn to the next one's.
        step: Micros,
        /// The number of the last turn that was taken.
        last: Option<i64>,
    },
}

impl Share {
    pub(super) fn new(terms: &Terms) -> Share {
        match terms.starts / terms.replicas.max(1) {
            0 => {
                let step = terms.span / i64::from(terms.starts.max(1));
                Share::Turns { round: step * i64::from(terms.replicas), step, last: None }
            }
            starts => Share::Window(Window::new(starts, terms.span)),
        }
    }

    /// The share of another limit. What was started stays so.
    pub(super) fn change(&mut self, terms: &Terms) {
        match (&mut *self, terms.starts / terms.replicas.max(1)) {
            (Share::Window(window), starts) if starts > 0 => window.resize(starts),
            _ => *self = Share::new(terms),
        }
    }

    /// Starts one, or says how long until the next may start. `agreed` is the clock that all replicas share.
    pub(super) fn start(&mut self, now: Micros, agreed: Micros, rank: i64) -> Result<(), Micros> {
        match self {
            Share::Window(window) => window.start(now).map_err(|free| free - now),
            Share::Turns { round, step, last } => {
                let since = agreed - (rank * *step).rem_euclid(*round);
                let (turn, late) = (since.div_euclid(*round), since.rem_euclid(*round));
                if late > LATENESS || last.is_some_and(|last| last >= turn) {
                    return Err(*round - late);
                }
                *last = Some(turn);
                Ok(())
            }
        }
    }

    /// How long so many who wait would take.
    pub(super) fn takes(&self, starts: usize, terms: &Terms) -> Micros {
        let starts = i64::try_from(starts).unwrap_or(i64::MAX);
        starts.saturating_mul(terms.span * i64::from(terms.replicas)) / i64::from(terms.starts.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Micros = 1_025_000;

    /// Replicas that take every start that they may, each looking at the clock at odd moments of its own.
    fn busiest_span(starts: u32, replicas: u32) -> (usize, usize) {
        let terms = Terms { starts, span: SPAN, horizon: 0, replicas };
        let mut began = Vec::new();
        for rank in 0..replicas {
            let mut share = Share::new(&terms);
            let mut now = 1_000_000_000 + i64::from(rank) * 7_919;
            while now < 1_000_000_000 + 30 * SPAN {
                match share.start(now, now + 5, i64::from(rank)) {
                    Ok(()) => began.push(now),
                    Err(pause) => now += pause + i64::from(rank % 13) * 1_000,
                }
            }
        }
        began.sort_unstable();
        let within = |from: &i64| began.iter().filter(|at| **at >= *from && **at < *from + 1_000_000).count();
        (began.iter().map(within).max().unwrap_or(0), began.len() / 30)
    }

    #[test]
    fn the_sum_of_all_shares_holds_however_many_replicas_there_are() {
        for (starts, replicas, at_least) in
            [(20, 1, 20), (20, 3, 18), (20, 4, 20), (20, 20, 20), (20, 21, 18), (20, 40, 19), (1, 2, 1), (3, 100, 2)]
        {
            let (most, mean) = busiest_span(starts, replicas);
            assert!(most <= starts as usize, "{starts} over {replicas}: {most} in one second");
            assert!(mean >= at_least, "{starts} over {replicas}: only {mean} in a span on average");
        }
    }

    #[test]
    fn a_turn_is_taken_once_and_not_late() {
        let terms = Terms { starts: 20, span: SPAN, horizon: 0, replicas: 40 };
        let mut share = Share::new(&terms);
        assert_eq!(share.start(0, 0, 0), Ok(()));
        assert_eq!(share.start(1_000, 1_000, 0), Err(2_049_000), "one round on");
        assert_eq!(share.start(2_050_000 + LATENESS + 1, 2_050_000 + LATENESS + 1, 0), Err(2_050_000 - LATENESS - 1));
    }
}
