//! The whole program in process, on free ports beside the emulator: one module per behaviour.
//!
//! Sockets are real, and so is time, which is kept short. Tests wait for events, such as a line in the emulator's
//! journal, and for a duration only where it is the promise itself. Names begin with the row of the vendor's test
//! vectors (`row_`) or the rank of the acceptance table (`rank_`) that they hold.

#[path = "../issuer/mod.rs"]
mod issuer;
mod support;

mod bad_asks;
mod bold_bi;
mod broken_lines;
mod callers;
mod canaries;
mod cold_and_warm;
mod federation;
mod forms;
mod isolation;
mod limits;
mod lives;
mod metadata;
mod mint_fields;
mod power_bi;
mod probes;
mod proxy;
mod reload;
mod secrets;
mod service_token;
mod vendor_faults;
mod viewers;
