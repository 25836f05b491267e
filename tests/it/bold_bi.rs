//! Bold BI through the sidecar: embed tokens by both flows, with no service token. Names carry the rows of the vendor's
//! test vectors (`row_b`).

mod counts;
mod keys;
mod lives;
mod object_model;
mod outages;
mod page_client;
mod page_client_refusals;
mod refusals;
mod refused_configs;
mod running;
mod scene;
mod secrets;
mod signed_query;
mod viewers;
