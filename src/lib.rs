//! Sidemint.
