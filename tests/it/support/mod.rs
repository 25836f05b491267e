//! What every test stands on: a sidecar beside an emulator, a client, and patience with an end.

mod client;
mod jwt;
mod log;
#[path = "../../secrecy/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part of it")]
pub mod secrecy;
mod stage;

pub use client::{Client, Reply};
pub use jwt::{claim, claims};
pub use stage::{DASHBOARD, ORDERS, Setup, Stage, emulator, file_with, joined};

use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(8);

/// Waits until something holds.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

/// Waits until something holds, with patience of its own.
pub async fn within(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < patience, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets time pass: only where the promise is that nothing happens meanwhile, or what age does.
pub async fn let_pass(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Milliseconds, for brevity.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
