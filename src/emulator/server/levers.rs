//! What a handler may do to the connection that a request came on, besides answering.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;

use super::super::app::websocket::Manners;

/// The levers of one connection.
#[derive(Debug, Default)]
pub struct Levers {
    /// Counts the connections of the emulator from 1.
    pub number: u64,
    reset: AtomicBool,
    raw: Mutex<Option<Raw>>,
    leaving: Mutex<Option<Leaving>>,
}

/// Bytes that did not come from hyper.
#[derive(Debug)]
pub struct Raw {
    /// They are sent before whatever hyper sends next.
    pub bytes: Bytes,
    /// Whether nothing may follow: what hyper would send is swallowed, and the connection ends.
    pub last: bool,
}

/// A connection that is about to leave HTTP, and how its WebSocket is to behave.
#[derive(Debug)]
pub struct Leaving {
    pub upgrade: OnUpgrade,
    pub manners: Manners,
}

impl Levers {
    pub fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Closes the connection with RST.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Sends bytes behind the back of hyper.
    pub fn say(&self, raw: Raw) {
        *locked(&self.raw) = Some(raw);
    }

    pub fn take_raw(&self) -> Option<Raw> {
        locked(&self.raw).take()
    }

    /// Leaves HTTP after the answer.
    pub fn leave(&self, leaving: Leaving) {
        *locked(&self.leaving) = Some(leaving);
    }

    pub fn take_leaving(&self) -> Option<Leaving> {
        locked(&self.leaving).take()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much is under way.
#[derive(Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// One more, until it is dropped.
#[derive(Debug)]
pub struct Open(Arc<AtomicU64>);

impl Gauge {
    pub fn enter(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
