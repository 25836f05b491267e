//! The reply: pieces that were rendered when the token or the config came, with the seconds that
//! are left put between them. Serialising a token anew costs 11,200 instructions, copying it 800.

use std::time::Duration;

use http::header::HeaderValue;

use super::{Form, HandOut, Show};
use crate::edge::{Response, respond};
use crate::lease::How;
use crate::model::{Code, Fault, Moment};
use crate::vendor::Beside;
use crate::vendor::power_bi::Page;

/// What took its time.
pub(super) struct Timing {
    pub(super) minted_in: Duration,
    pub(super) waited: Duration,
}

/// A page is not told to come back sooner, as far as the token's life allows it.
const SHORTEST_REFRESH: Duration = Duration::from_secs(30);

pub(super) fn render(show: &Show, hand_out: &HandOut, now: Moment, form: Form) -> Response {
    let grant = &hand_out.served.grant;
    let token = grant.item.token.expose().as_bytes();
    let timing = server_timing(hand_out.served.how, &hand_out.timing);
    match (form, grant.item.beside.as_deref()) {
        (Form::Plain, _) => return respond::token("text/plain; charset=utf-8", token.to_vec(), timing),
        (Form::BoldBi, Some(Beside::Answer(answer))) => {
            return respond::token("application/json", answer.expose().as_bytes().to_vec(), timing);
        }
        // Embeds of other kinds were turned away before.
        (Form::BoldBi, _) => return respond::problem(&Fault::new(Code::Internal, "there is no answer of Bold BI")),
        (Form::Json, _) => {}
    }
    let left = grant.lifetime.remaining(now);
    let refresh = match refresh_in(left, show.embed.config.min_ttl, show.page_margin) {
        // The vendor may be back any moment, and the page should not sit on an old token for minutes.
        refresh if hand_out.served.how == How::Stale => refresh.min(SHORTEST_REFRESH),
        refresh => refresh,
    };
    let (mut expires_digits, mut refresh_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let [opening, before_id, id, after_id] = block(show, grant.item.beside.as_deref());
    let pieces: [&[u8]; 14] = [
        br#"{"access_token":""#,
        token,
        br#"","token_type":"Bearer","expires_in":"#,
        expires_digits.format(left.as_secs()).as_bytes(),
        br#","expires_at":""#,
        grant.item.expires_at.as_bytes(),
        br#"","refresh_in":"#,
        refresh_digits.format(refresh.as_secs()).as_bytes(),
        br#","embed":"#,
        opening,
        before_id,
        id,
        after_id,
        b"}",
    ];
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut body = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| body.extend_from_slice(piece));
    respond::token("application/json", body, timing)
}

/// The `embed` block: the embed's own, or the token's with its id put in.
fn block<'a>(show: &'a Show, beside: Option<&'a Beside>) -> [&'a [u8]; 4] {
    match beside {
        None | Some(Beside::Answer(_)) => [&show.block, b"", b"", b""],
        Some(Beside::Page(Page { opening, token_id: None })) => [opening.as_bytes(), b"", b"", b"}"],
        Some(Beside::Page(Page { opening, token_id: Some(id) })) => {
            [opening.as_bytes(), br#","token_id":""#, id.as_bytes(), br#""}"#]
        }
    }
}

/// When the page should ask again: when `min_ttl` is left, never later than the vendor's page client
/// does by itself, never so soon that it loops. A token too short for all that is asked for again at half
/// of what it has left.
fn refresh_in(left: Duration, min_ttl: Duration, page_margin: Duration) -> Duration {
    let latest = left.saturating_sub(page_margin);
    let refresh = if latest < Duration::from_secs(1) {
        left / 2
    } else {
        left.saturating_sub(min_ttl).max(SHORTEST_REFRESH).min(latest)
    };
    refresh.max(Duration::from_secs(1))
}

fn server_timing(how: How, timing: &Timing) -> HeaderValue {
    let cache = match how {
        How::Hit => "cache;desc=hit",
        How::Miss => "cache;desc=miss",
        How::Coalesced => "cache;desc=coalesced",
        How::Stale => "cache;desc=stale",
    };
    if how == How::Hit && timing.waited.is_zero() {
        return HeaderValue::from_static("cache;desc=hit, limiter;dur=0.0, mint;dur=0.0");
    }
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    let text = format!("{cache}, limiter;dur={:.1}, mint;dur={:.1}", millis(timing.waited), millis(timing.minted_in));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("cache"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    const MARGIN: Duration = secs(300);

    #[test]
    fn a_power_bi_page_comes_back_before_the_vendors_sample_would() {
        assert_eq!(refresh_in(secs(3599), secs(900), secs(600)), secs(2699));
        assert_eq!(refresh_in(secs(700), secs(300), secs(600)), secs(100));
        assert_eq!(refresh_in(secs(900), secs(900), secs(600)), secs(30));
    }

    #[test]
    fn the_example_of_the_contract() {
        assert_eq!(refresh_in(secs(3412), secs(600), MARGIN), secs(2812));
    }

    #[test]
    fn row_27_a_short_token_is_asked_for_again_at_half_time() {
        assert_eq!(refresh_in(secs(200), secs(600), MARGIN), secs(100));
        assert_eq!(refresh_in(secs(1), secs(600), MARGIN), secs(1));
    }

    proptest! {
        #[test]
        fn a_page_never_loops_and_is_never_late(left in 0u64..90_000, min_ttl in 301u64..4000) {
            let refresh = refresh_in(secs(left), secs(min_ttl), MARGIN);
            prop_assert!(refresh >= secs(1));
            if left >= 301 {
                prop_assert!(refresh <= secs(left - 300));
            }
            if left >= 330 {
                prop_assert!(refresh >= secs(30).min(secs(left - 300)));
            }
        }
    }
}
