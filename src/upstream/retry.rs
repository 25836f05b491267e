//! Whether and when to try again, as a pure function.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::config::Retry;
use crate::model::Moment;

/// A vendor that asks for more than this is believed to err (and an attacker could ask for 10^9): a
/// slip in one answer must not silence a workspace for an hour.
const LONGEST_HINT: Duration = Duration::from_secs(300);
/// The first pause of the exponential backoff.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Whether an answer with this status may be another one in a moment.
pub fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The pause before attempt `attempt + 1`, or `None` when it is the last one or the pause does not
/// fit into what is `left` of the deadline. Equal jitter, after "Exponential Backoff And Jitter"
/// (AWS Architecture Blog); the vendor's own hint is a lower bound that jitter is added to.
pub fn pause(retry: &Retry, attempt: u32, hint: Option<Duration>, left: Duration, chance: f64) -> Option<Duration> {
    if attempt >= retry.attempts {
        return None;
    }
    let ceiling = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(16)).min(retry.max_backoff);
    let pause = match hint {
        Some(hint) => hint.max(ceiling / 2) + Duration::from_millis(250).mul_f64(chance),
        None => ceiling.mul_f64(0.5 + chance / 2.0),
    };
    (pause < left).then_some(pause)
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date. Nonsense (negative, words, years)
/// is no hint.
pub fn hint(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let hint = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until_date(text, now)?,
    };
    (hint <= LONGEST_HINT).then_some(hint)
}

fn until_date(text: &str, now: Moment) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    u64::try_from(date - now.unix_seconds()).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Moment = Moment { wall: 1_795_284_000_000_000_000, boot: 0 };

    fn hint_of(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        hint(&headers, NOW)
    }

    #[test]
    fn rank_11_hints_are_seconds_or_dates_and_never_nonsense() {
        assert_eq!(hint_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(hint_of("0"), Some(Duration::ZERO));
        assert_eq!(hint_of("Sat, 21 Nov 2026 18:00:05 GMT"), Some(Duration::from_secs(5)));
        for bad in
            ["-1", "abc", "1000000000", "1.5", "Sat, 21 Nov 2026 17:00:00 GMT", "Sat, 21 Nov 2099 17:00:00 GMT", ""]
        {
            assert_eq!(hint_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let retry = Retry { attempts: 4, max_backoff: Duration::from_secs(8) };
        let left = Duration::from_secs(10);
        assert!(pause(&retry, 3, None, left, 0.5).is_some());
        assert_eq!(pause(&retry, 4, None, left, 0.5), None);
        assert_eq!(pause(&retry, 1, Some(Duration::from_secs(11)), left, 0.5), None);
    }

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(attempt in 1u32..10, chance in 0.0f64..1.0, hint in proptest::option::of(0u64..20), left in 0u64..20) {
            let retry = Retry { attempts: 10, max_backoff: Duration::from_secs(8) };
            let left = Duration::from_secs(left);
            let hint = hint.map(Duration::from_secs);
            if let Some(pause) = pause(&retry, attempt, hint, left, chance) {
                prop_assert!(pause < left);
                prop_assert!(hint.is_none_or(|hint| pause >= hint));
                prop_assert!(hint.is_some() || pause <= retry.max_backoff);
            }
        }
    }
}
