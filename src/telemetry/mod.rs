//! What the one on call sees: logs, metrics, the audit trail. Nothing in here ever holds a secret,
//! a token, an external value or a plain viewer id.

pub mod audit;
pub mod log;
pub mod metrics;

pub use audit::Audit;
pub use metrics::Metrics;
