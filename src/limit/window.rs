//! At most n starts in *any* half-open window, as a log of the last n.
//!
//! A plain quota of 20 per second (governor's, a token bucket's) admits 39 in one second: a full bucket and what refills
//! meanwhile. Here start n+1 waits until start 1 is a whole window ago.

use std::collections::VecDeque;

/// The last starts. Times are in any one unit, by a clock that never steps back.
#[derive(Debug)]
pub(super) struct Window {
    starts: VecDeque<i64>,
    most: usize,
    span: i64,
}

impl Window {
    pub(super) fn new(most: u32, span: i64) -> Window {
        Window { starts: VecDeque::new(), most: usize::try_from(most.max(1)).unwrap_or(usize::MAX), span }
    }

    /// Allows so many from now on.
    pub(super) fn resize(&mut self, most: u32) {
        self.most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
    }

    /// Takes every start of the present window.
    pub(super) fn exhaust(&mut self, now: i64) {
        while self.start(now).is_ok() {}
    }

    /// Starts one, or says when the next may start.
    pub(super) fn start(&mut self, now: i64) -> Result<(), i64> {
        if let Some(before) = self.starts.len().checked_sub(self.most) {
            let free = self.starts.get(before).map_or(now, |first| first + self.span);
            if now < free {
                return Err(free);
            }
            // Nearly always it is one.
            for _ in 0..=before {
                self.starts.pop_front();
            }
        }
        self.starts.push_back(now);
        Ok(())
    }
}
