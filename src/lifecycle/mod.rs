//! Tasks that are owned, and the three acts of stopping: soft, deadline, now.

mod tasks;

pub use tasks::{Stop, Tasks};
