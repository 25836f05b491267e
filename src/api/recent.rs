//! The last failures, for whoever looks at `/status` at night.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::model::{Fault, Moment};

const MOST: usize = 20;

/// A short memory of failures.
#[derive(Default)]
pub struct Recent(Mutex<VecDeque<Failure>>);

/// One failure, possibly repeated.
#[derive(Clone)]
pub struct Failure {
    /// When it was last seen, in Unix seconds.
    pub at: i64,
    /// What failed, such as `embed sales`.
    pub of: String,
    /// What happened.
    pub fault: Fault,
    /// How often in a row.
    pub times: u64,
}

impl Recent {
    /// Remembers a failure; one like the last only adds to its count.
    pub fn note(&self, kind: &str, name: &str, fault: &Fault, now: Moment) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now.unix_seconds();
        if let Some(last) = failures.front_mut()
            && last.of.split_once(' ') == Some((kind, name))
            && last.fault.code() == fault.code()
        {
            last.at = at;
            last.times += 1;
            last.fault = fault.clone();
            return;
        }
        failures.truncate(MOST - 1);
        failures.push_front(Failure { at, of: format!("{kind} {name}"), fault: fault.clone(), times: 1 });
    }

    /// From the latest to the oldest.
    pub fn list(&self) -> Vec<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
