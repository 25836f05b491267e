//! Whether somebody waits.

/// Why something is fetched: what somebody waits for may be tried again at once, what is only
/// renewed ahead of time has time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A caller waits.
    Waited,
    /// Nobody waits.
    Ahead,
}
