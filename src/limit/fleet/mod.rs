//! One limit for all replicas: they agree through Redis on when which load starts.
//!
//! Each replica is a *member*. It calls one script (`limit.lua`), which knows the last starts of the workspace and
//! promises the next ones, by the clock of the server: first come first served, at most n in any span, and none further
//! ahead than somebody would wait. A promise is for a replica, not for a viewer: who of those that wait there starts is
//! for its own queue to say, so whoever hangs up wastes nothing.
//!
//! What must never happen is more than n loads in a window, whatever breaks. So all that a member does rests on how
//! long ago it heard from the others, and these times are agreed:
//!
//! - A call that takes longer than [`LATE`] is as if it had not been made, on both sides.
//! - A promised start is used only while the last answer was asked for at most [`VALID`] ago. So whatever changes is
//!   known to all, or they start nothing, [`VALID`] later.
//! - A member who has not called for [`LEASE`] is silent. Within [`SCAN`] more, the others' limit is less by its share.
//! - A member whose calls stay without answer thus waits all of these and one span, in which the others' last starts
//!   pass, and goes on with its [share] alone. Its first answer then makes it a member who is still away, until the
//!   last of its own starts have passed.
//! - When the log is lost or worthless (`FLUSHALL`, eviction, a restart, a failover, a step of the server's clock), the
//!   script begins a new *epoch* in which nothing starts before all that was promised is over. How many members there
//!   were is known by those who come back; those who do not are counted as silent.
//! - Who is silent for five minutes is forgotten: it was killed and not replaced. If it was only cut off and still is,
//!   from then on the sum may be over the limit by its share.
//!
//! A start that comes late squeezes what follows, so the span is longer than the window by [`margin`], and what is later
//! than [`LATENESS`] is given up for another.

mod clock;
mod link;
mod lost;
mod member;
mod promises;
mod script;
mod share;
mod standing;
mod wire;

pub use link::{Link, Seen};
pub use lost::{ErrorCode, Lost, Trouble};
pub(super) use member::Member;
pub use script::Trial;
pub(super) use script::{Ask, Micros, Reply, Terms, micros};
pub use standing::Standing;
pub(super) use standing::Start;
pub use wire::{Arg, CALL, Redis, probe};

/// How late an answer may come.
const LATE: Micros = 100_000;
/// How long an answer is good for.
const VALID: Micros = 200_000;
/// How long after its last call a member counts as there.
const LEASE: Micros = 400_000;
/// How long a silent member is remembered.
#[cfg(test)]
const FORGET: Micros = 300_000_000;
/// How often the script looks who is there.
const SCAN: Micros = 100_000;
/// How late a promised start may be used, and how little may be known of the server's clock, without saying so. What is
/// more is said with each call, and the script counts such a start as if it came that much later.
const LATENESS: Micros = 20_000;
const UNCERTAINTY: Micros = 5_000;
/// How often a member calls that has somebody waiting, and one that has not.
const BEATS: [Micros; 2] = [80_000, 180_000];
/// How often one calls whose calls stay without answer, before and after it is on its own.
const RETRY: Micros = 50_000;
const RETRY_APART: Micros = 250_000;

/// What a span is longer than its window, for starts that are late and clocks that are read over a network.
fn margin(window: Micros) -> Micros {
    (window / 40).max(LATENESS + UNCERTAINTY)
}

#[cfg(test)]
mod tests;
