//! Viewers by a token of theirs. Names carry the threats (`t`), findings and ranks of the study on security.

mod claims;
mod floods;
mod forms;
mod header_gates;
mod hostile;
mod key_sets;
mod mutations;
mod naming;
mod refused_configs;
mod rotation;
pub mod scene;
mod vectors;
mod ways;
