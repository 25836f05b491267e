//! The forms in which a text could slip through.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine};

/// A text in each of them. A third of a base64 text depends on what stands before it, so there are three alignments, each
/// without the ends that depend on the neighbours.
pub fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: fn(u8) -> String| text.bytes().map(write).collect::<String>();
    let mut forms = vec![
        ("plain", text.to_owned()),
        ("hex", each(|byte| format!("{byte:02x}"))),
        ("HEX", each(|byte| format!("{byte:02X}"))),
        ("URL", each(|byte| format!("%{byte:02X}"))),
        ("url", each(|byte| format!("%{byte:02x}"))),
        ("query", each(|byte| if is_unreserved(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })),
        (
            "path",
            each(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }),
        ),
        ("form", each(|byte| if is_unreserved(byte) { char::from(byte).into() } else { in_form(byte) })),
        ("JSON", inside_quotes(&serde_json::to_string(text).expect("a text is JSON"))),
        ("JSON in ASCII", text.chars().map(json_in_ascii).collect()),
        ("Debug", inside_quotes(&format!("{text:?}"))),
        // The log is JSON, too.
        ("Debug in JSON", inside_quotes(&serde_json::Value::from(inside_quotes(&format!("{text:?}"))).to_string())),
    ];
    for shift in 0..3 {
        let shifted = format!("{}{text}", "x".repeat(shift));
        let (start, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoded in [BASE64_STANDARD_NO_PAD.encode(&shifted), BASE64_URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(("base64", encoded.get(start..end).unwrap_or_default().to_owned()));
        }
    }
    let mut seen = std::collections::HashSet::new();
    forms.retain(|(_, form)| !form.is_empty() && seen.insert(form.clone()));
    forms.into_iter().map(|(name, form)| (name, form.into_bytes())).collect()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn in_form(byte: u8) -> String {
    if byte == b' ' { "+".to_owned() } else { format!("%{byte:02X}") }
}

fn json_in_ascii(letter: char) -> String {
    if letter.is_ascii() {
        return inside_quotes(&serde_json::Value::from(letter.to_string()).to_string());
    }
    letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn inside_quotes(text: &str) -> String {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
