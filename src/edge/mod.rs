//! HTTP in: listeners, connections, the local defence, bodies and replies. Knows nothing of tokens.

pub mod body;
pub mod guard;
mod io;
mod listen;
mod outbound;
pub mod respond;
mod serve;
mod service;
mod tls;
mod watch;

pub use listen::{Door, Listener, SocketFile, raise_file_limit};
pub use outbound::{Body, BodyError, Stream};
pub use respond::{Answer, Response};
#[doc(hidden)]
pub use serve::connection;
pub use serve::{Limits, serve};
pub use tls::{Identities, Identity};

/// What handlers get.
pub type Request = http::Request<hyper::body::Incoming>;
