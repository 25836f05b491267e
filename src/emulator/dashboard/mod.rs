//! What the embedded pages of all vendors show: made-up sales, drawn the same way.

pub(super) mod sales;

/// The style of a page.
pub(super) const STYLE: &str = include_str!("style.css");

/// The script of a page: what draws, then what speaks with the page around it.
pub(super) fn script(own: &str) -> String {
    format!("{}\n{own}", include_str!("draw.js"))
}
