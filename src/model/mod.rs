//! The words of the product and the rules that are pure arithmetic. Knows neither tokio nor HTTP.

pub mod clock;
pub mod fault;
pub mod lifetime;
pub mod path;
pub mod peer;
pub mod secret;
pub mod token;
mod urgency;
pub mod viewer;

pub use clock::{Clock, Moment};
pub use fault::{Class, Code, Fault};
pub use lifetime::Lifetime;
pub use peer::Peer;
pub use secret::Secret;
pub use token::Token;
pub use urgency::Urgency;
pub use viewer::Viewer;
