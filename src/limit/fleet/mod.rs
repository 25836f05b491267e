//! One limit for all replicas, kept in Redis.

mod link;
mod lost;
pub mod wire;

pub use link::{Link, Seen};
pub use lost::{ErrorCode, Lost, Trouble};
pub use wire::{Arg, Redis, probe};
