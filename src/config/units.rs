//! Durations, sizes and file modes as people write them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// A length of time: `90s`, `10m`, `1h30m`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^(\d+(h|ms|m|s))+$",
            "description": "A length of time such as 90s, 10m, 1h30m or 250ms."
        })
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        parse_duration(&text)
            .map(Span)
            .ok_or_else(|| format!("`{text}` is not a duration: write it like 90s, 10m, 1h30m or 250ms"))
    }
}

/// Units may each appear once, from the largest to the smallest.
fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut smallest = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest.get(..letters)?;
        let rank = UNITS.iter().position(|(name, _)| *name == unit)?;
        if rank < smallest {
            return None;
        }
        smallest = rank + 1;
        millis = millis.checked_add(number.checked_mul(UNITS.get(rank)?.1)?)?;
        rest = rest.get(letters..)?;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// A number of bytes: `64KiB`, `64MiB`, `1GiB`, `512B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(pub u64);

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^\d+(B|KiB|MiB|GiB)$",
            "description": "A number of bytes such as 64KiB, 64MiB or 1GiB."
        })
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Bytes, String> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
        units
            .iter()
            .find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)))
            .filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|(number, size): (&str, u64)| number.parse::<u64>().ok()?.checked_mul(size))
            .map(Bytes)
            .ok_or_else(|| format!("`{text}` is not a size: write it like 64KiB, 64MiB or 1GiB"))
    }
}

/// Permission bits of a file: `0660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl JsonSchema for Mode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^0?[0-7]{3}$",
            "description": "Permission bits of a file in octal digits such as \"0660\"."
        })
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Mode, String> {
        let digits = if text.len() == 4 { text.strip_prefix('0') } else { Some(text.as_str()) };
        digits
            .filter(|digits| digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)))
            .and_then(|digits| u32::from_str_radix(digits, 8).ok())
            .map(Mode)
            .ok_or_else(|| format!("`{text}` is not a file mode: write permission bits in octal digits, like \"0660\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good =
            [("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("250ms", 250), ("1m500ms", 60_500), ("0s", 0)];
        for (text, millis) in good {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "90", "s", "1.5s", "-1s", "1d", "10s5m", "1m1m", " 1s", "1 s", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn t6_modes_have_permission_bits_only() {
        for (text, bits) in [("0660", 0o660), ("600", 0o600), ("0777", 0o777), ("000", 0)] {
            assert_eq!(Mode::try_from(text.to_owned()), Ok(Mode(bits)), "{text}");
        }
        for bad in ["", "66", "4660", "2660", "1777", "00660", "0o660", "0668", "+660", "-660", "rw-rw----", "0 66"] {
            assert!(Mode::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("64KiB", 65_536), ("1GiB", 1 << 30), ("512B", 512)] {
            assert_eq!(Bytes::try_from(text.to_owned()), Ok(Bytes(bytes)), "{text}");
        }
        for bad in ["", "64", "64kb", "KiB", "-1B", "+1B", "99999999999999999999GiB", "18446744073709551615KiB"] {
            assert!(Bytes::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
