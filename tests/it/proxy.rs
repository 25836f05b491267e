//! Routes: what goes through the reverse proxy, and what does not. Names carry the rows of the vendor's test vectors
//! (`row_`), the ranks of the acceptance table (`rank_`) and the threats (`threat_`) of `reliability-security.md`
//! section 1.4.

mod cuts;
mod deadlines;
mod defence;
mod framing;
mod headers;
mod heads;
mod http2;
mod line;
mod narrowed;
mod paths;
mod pooling;
mod refusals;
mod refused_configs;
mod running;
mod scene;
mod streams;
mod target;
mod upgrades;
mod websockets;
