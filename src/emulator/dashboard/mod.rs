//! What the embedded pages of all vendors show: made-up sales, drawn the same way.

pub(super) mod sales;
