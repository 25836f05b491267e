//! What a limit is to those who ask for a start.

use super::script::Micros;

/// Whose limit it is that loads start by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This process's own, as there is no fleet.
    Process,
    /// That of the whole fleet.
    Fleet,
    /// This replica's share of it.
    Share,
    /// The next moment tells; no load starts before.
    Joining,
}

impl Standing {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Process => "process",
            Standing::Fleet => "fleet",
            Standing::Share => "share",
            Standing::Joining => "joining",
        }
    }
}

/// Whether a load may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::limit) enum Start {
    /// It does, if it comes to it by then.
    Now(Micros),
    /// It may be worth to look again then.
    At(Micros),
}
