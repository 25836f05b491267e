//! The end user in the browser.

use std::collections::BTreeMap;

/// Bytes of viewer id and value together (vendor: "Beyond embedding" blog, 1 KB).
pub const MAX_BYTES: usize = 1024;
/// Bytes of all roles and attributes together: they end up in one request to a vendor.
pub const MAX_EXTRA_BYTES: usize = 16 * 1024;

/// Who looks: `id` is stable and unique, `value` filters rows. All are opaque bytes to us;
/// nothing is folded, trimmed or normalised, so that two different viewers stay two.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Viewer {
    /// Stable, unique.
    pub id: String,
    /// The row filter.
    pub value: Option<String>,
    /// A set: order and repetition do not matter.
    pub roles: Vec<String>,
    /// Free-form, for vendors that take custom attributes.
    pub attributes: BTreeMap<String, String>,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Viewer(..)")
    }
}

/// What is wrong with a viewer; the text never repeats the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidViewer {
    /// The id is empty.
    #[error("viewer.id is empty")]
    EmptyId,
    /// C0, C1, line separators, or characters that reorder text.
    #[error("{0} holds a control character")]
    Control(&'static str),
    /// Over [`MAX_BYTES`].
    #[error("viewer.id and viewer.value are over 1024 bytes together")]
    TooLong,
    /// Over [`MAX_EXTRA_BYTES`].
    #[error("viewer.roles and viewer.attributes are over 16 KiB together")]
    TooMuch,
    /// `:` or `|`, which the vendor joins fields with, unescaped.
    #[error("{0} holds ':' or '|', with which Databricks joins its claim: two viewers could become one")]
    Delimiter(&'static str),
    /// An e-mail address where the vendor's audit log wants none.
    #[error(
        "viewer.id looks like an e-mail address, and Databricks writes it to audit logs: \
         send an opaque id, or set viewers.id_privacy to plain"
    )]
    Email,
}

impl Viewer {
    /// The rules that hold for every vendor.
    pub fn check(&self) -> Result<(), InvalidViewer> {
        if self.id.is_empty() {
            return Err(InvalidViewer::EmptyId);
        }
        let value = self.value.as_deref().unwrap_or_default();
        if self.id.len() + value.len() > MAX_BYTES {
            return Err(InvalidViewer::TooLong);
        }
        let attributes = self.attributes.iter().flat_map(|(name, value)| [name, value]);
        let extra: usize = self.roles.iter().chain(attributes.clone()).map(String::len).sum();
        if extra > MAX_EXTRA_BYTES {
            return Err(InvalidViewer::TooMuch);
        }
        let named = [("viewer.id", self.id.as_str()), ("viewer.value", value)];
        let roles = self.roles.iter().map(|role| ("viewer.roles", role.as_str()));
        let attributes = attributes.map(|text| ("viewer.attributes", text.as_str()));
        named.into_iter().chain(roles).chain(attributes).try_for_each(|(name, text)| {
            // Most texts are ASCII, and a pass over bytes is a tenth of one over characters.
            let clean = if text.is_ascii() {
                !text.bytes().any(|byte| byte.is_ascii_control())
            } else {
                !text.chars().any(is_control)
            };
            clean.then_some(()).ok_or(InvalidViewer::Control(name))
        })
    }

    /// What Databricks cannot take: its claim is
    /// `urn:aibi:external_data:<value>:<viewer id>:<dashboard>` without any escaping.
    pub fn check_databricks(&self, emails_allowed: bool) -> Result<(), InvalidViewer> {
        self.check()?;
        let delimiter = |text: &str| text.contains([':', '|']);
        if delimiter(&self.id) {
            return Err(InvalidViewer::Delimiter("viewer.id"));
        }
        if self.value.as_deref().is_some_and(delimiter) {
            return Err(InvalidViewer::Delimiter("viewer.value"));
        }
        if !emails_allowed && looks_like_email(&self.id) {
            return Err(InvalidViewer::Email);
        }
        Ok(())
    }
}

fn is_control(c: char) -> bool {
    // Bidirectional overrides and isolates make a log or an audit entry read as another viewer.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Something on both sides of an `@`. Wide on purpose: an opaque id has no reason to look so.
fn looks_like_email(id: &str) -> bool {
    id.split_once('@').is_some_and(|(local, domain)| !local.trim().is_empty() && !domain.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(id: &str, value: &str) -> Viewer {
        Viewer { id: id.into(), value: Some(value.into()), ..Viewer::default() }
    }

    #[test]
    fn row_16_delimiters_are_refused() {
        for (id, value) in [("a:b", "c"), ("a", "b:c"), ("a|b", "c"), ("a", "|")] {
            let refused = viewer(id, value).check_databricks(true);
            assert!(matches!(refused, Err(InvalidViewer::Delimiter(_))), "{id} {value}");
        }
    }

    #[test]
    fn row_17_the_limit_is_1024_bytes_of_utf8() {
        assert_eq!(viewer(&"a".repeat(1000), &"b".repeat(24)).check(), Ok(()));
        assert_eq!(viewer(&"a".repeat(1000), &"b".repeat(25)).check(), Err(InvalidViewer::TooLong));
        assert_eq!(viewer(&"é".repeat(500), &"b".repeat(25)).check(), Err(InvalidViewer::TooLong));
    }

    #[test]
    fn t12_controls_and_empty_ids_are_refused() {
        assert_eq!(viewer("", "x").check(), Err(InvalidViewer::EmptyId));
        for bad in ["a\nb", "a\0", "\u{7f}", "\u{85}", "\u{202e}evil", "\u{2028}"] {
            assert!(matches!(viewer(bad, "").check(), Err(InvalidViewer::Control("viewer.id"))), "{bad:?}");
            assert!(matches!(viewer("a", bad).check(), Err(InvalidViewer::Control("viewer.value"))));
        }
        assert_eq!(viewer("a b&c=é/日本", "naïve value").check_databricks(false), Ok(()));
    }

    #[test]
    fn emails_are_refused_unless_allowed() {
        assert_eq!(viewer("a@b.example", "").check_databricks(false), Err(InvalidViewer::Email));
        assert_eq!(viewer("a@b.example", "").check_databricks(true), Ok(()));
        // The value filters rows and may hold anything, says the vendor.
        assert_eq!(viewer("u-1", "a@b.example").check_databricks(false), Ok(()));
        assert_eq!(viewer("@handle", "").check_databricks(false), Ok(()));
    }
}
