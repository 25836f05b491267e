//! `ANY /proxy/{route}/{path}`: the reverse proxy with the service token injected.

mod headers;
