//! How long a secret says of itself that it is good.

use x509_parser::pem::Pem;

use super::Text;
use crate::telemetry::metrics::Validity;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The validity (`notBefore` and `notAfter`, RFC 5280 section 4.1.2.5) of the first certificate in PEM among these texts.
/// The first one is its owner's; those of authorities come after it and live longer. `None` where there is none:
/// client secrets, embed secrets and keys do not say how long they are good.
pub(super) fn of(texts: &[Text]) -> Option<Validity> {
    let section = texts.iter().find_map(|text| {
        let (_, rest) = text.split_once(BEGIN)?;
        let (body, _) = rest.split_once(END)?;
        Some(format!("{BEGIN}{body}{END}\n"))
    })?;
    // Only this section: what decodes a private key beside it leaves a copy that nobody wipes.
    let pem = Pem::iter_from_buffer(section.as_bytes()).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    Some(Validity { starts: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn text(text: &str) -> Text {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn the_first_certificate_counts_wherever_it_is() {
        let owner = include_str!("testdata/ends-2031.pem");
        let authority = include_str!("testdata/ends-2046.pem");
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let from_2026 = |ends| Some(Validity { starts: 1_767_225_600, ends });
        let (in_2031, in_2046) = (from_2026(1_924_992_000), from_2026(2_398_377_600));
        assert_eq!(of(&[text(owner), text(key)]), in_2031);
        assert_eq!(of(&[text(&format!("{key}{owner}{authority}"))]), in_2031);
        assert_eq!(of(&[text(key), text(&authority.replace('\n', "\r\n"))]), in_2046);
    }

    #[test]
    fn what_says_nothing_of_an_end_has_none() {
        let cut = format!("{BEGIN}\nMIIB");
        let empty = format!("{BEGIN}\n{END}");
        let no_certificate = format!("{BEGIN}\nMIIB\n{END}");
        for other in ["dose1-secret", "", BEGIN, END, &cut, &empty, &no_certificate] {
            assert_eq!(of(&[text(other)]), None, "{other}");
        }
        assert_eq!(of(&[]), None);
    }
}
