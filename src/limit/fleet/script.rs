//! The words of `limit.lua`: what it is asked, and what it answers.

use std::time::Duration;

use super::margin;
use super::wire::Arg;
use crate::config::LoadLimit;

/// Microseconds, by this machine's clock that never steps back or, where it says so, by the server's.
pub(in crate::limit) type Micros = i64;

/// A span of the config in these.
pub(in crate::limit) fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
}

/// Who would wait until the very end is not promised a start at the very end.
const SLACK: Micros = 50_000;

/// How the numbers of one limit look to the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::limit) struct Terms {
    /// In any span.
    pub starts: u32,
    /// The window with its margin.
    pub span: Micros,
    /// How far ahead a start may be promised.
    pub horizon: Micros,
    /// As the config has it.
    pub replicas: u32,
}

impl Terms {
    /// Of this limit for so many replicas.
    pub(in crate::limit) fn new(limit: &LoadLimit, replicas: u32) -> Terms {
        let window = micros(limit.window);
        let horizon = (micros(limit.max_wait) - SLACK).max(0);
        Terms { starts: limit.per_second, span: window + margin(window), horizon, replicas }
    }
}

/// What a call is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::limit) enum Mode {
    /// To hear the clock, and leave no trace.
    #[default]
    Probe,
    /// To be a member from now on. There may be starts behind us that the script does not know of.
    Join,
    /// To be a member, and perhaps to be promised starts.
    Take,
    /// To be none any more.
    Leave,
}

/// One call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::limit) struct Ask {
    pub mode: Mode,
    /// When it was sent, by our clock.
    pub at: Micros,
    /// The same by what we take for the server's clock, never later than that.
    pub sent: Micros,
    /// The epoch that we know of; 0 for none.
    pub epoch: i64,
    /// Whether the server's clock was seen to step in that epoch.
    pub stepped: bool,
    /// How many members we know of.
    pub members: i64,
    /// Our number among them; -1 for none.
    pub rank: i64,
    /// How many more starts we need.
    pub want: u32,
    /// How many we have been promised and not used.
    pub held: u32,
    /// How long an answer takes to come here: what starts before then starts late.
    pub lead: Micros,
    /// How much later than promised we may start beyond what the span allows for.
    pub slack: Micros,
    /// Of that, by being late ourselves.
    pub tardy: Micros,
    /// How far the server's clock may have stepped without our seeing it.
    pub unsure: Micros,
}

impl Ask {
    /// All but the run id, which the connection knows.
    pub(in crate::limit) fn args<'a>(&self, id: &'a str, terms: &Terms) -> Vec<Arg<'a>> {
        let mode = match self.mode {
            Mode::Probe => "probe",
            Mode::Join => "join",
            Mode::Take => "take",
            Mode::Leave => "leave",
        };
        let Ask { sent, epoch, members, rank, want, held, lead, slack, unsure, .. } = *self;
        let Terms { starts, span, horizon, replicas } = *terms;
        let numbers = [sent, epoch, self.stepped.into(), members, rank, want.into(), held.into(), lead, slack, unsure];
        let terms = [starts.into(), span, horizon, replicas.into()];
        let numbers = numbers.into_iter().chain(terms).map(Arg::Number);
        [Arg::Text(mode), Arg::Text(id)].into_iter().chain(numbers).collect()
    }
}

/// An answer. Times are the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::limit) struct Reply {
    /// When it was given.
    pub now: Micros,
    pub taken: Option<Taken>,
}

/// What a member is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::limit) struct Taken {
    pub epoch: i64,
    /// What was promised for later than this is not, if the epoch is the next one to ours; 0 for all.
    pub void: Micros,
    /// Nothing starts before.
    pub open: Micros,
    pub rank: i64,
    pub members: i64,
    /// How long the next start is away that was refused; 0 if none was.
    pub after: Micros,
    /// How long it is sure to be refused.
    pub opens: Micros,
    pub starts: Vec<Micros>,
}

impl Reply {
    /// Nothing, if these are not words of the script.
    pub(in crate::limit) fn read(words: &[i64]) -> Option<Reply> {
        const TAKEN: i64 = 1;
        let taken = match words {
            [_, TAKEN, epoch, void, open, rank, members, after, opens, starts @ ..] => Some(Taken {
                epoch: *epoch,
                void: *void,
                open: *open,
                rank: *rank,
                members: *members,
                after: *after,
                opens: *opens,
                starts: starts.to_vec(),
            }),
            [_, _] => None,
            _ => return None,
        };
        words.first().map(|now| Reply { now: *now, taken })
    }
}

/// What to ask one after the other to see whether the script is allowed all that it does: the time, to be a member, to
/// be none.
pub struct Trial(Micros);

impl Trial {
    /// Begins with what the server's clock shows.
    pub const CLOCK: [Arg<'static>; 2] = [Arg::Text("probe"), Arg::Text("check")];

    /// Goes on from the answer to that.
    pub fn of(answer: &[i64]) -> Option<Trial> {
        answer.first().copied().map(Trial)
    }

    /// The calls that follow.
    pub fn calls(&self) -> [Vec<Arg<'static>>; 3] {
        let terms = Terms { starts: 1, span: 1_000_000, horizon: 10_000_000, replicas: 1 };
        // A check may be slow.
        let sent = self.0 + 1_000_000;
        let ask = Ask { want: 1, sent, rank: -1, ..Ask::default() };
        [Mode::Join, Mode::Take, Mode::Leave].map(|mode| Ask { mode, ..ask }.args("check", &terms))
    }
}
