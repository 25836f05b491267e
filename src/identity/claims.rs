//! What a token must say once its signature is known to be good, and the viewer that it names.
//!
//! RFC 7519 leaves all of this to the application, and so does the library: with audience and issuer set it takes
//! tokens without them.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Refusal, json};
use crate::config::{Claim, Issuer};
use crate::model::{Moment, Viewer};

/// A token that is good for longer than this is good for ever.
const LONGEST_LIFE: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The viewer whom a payload names.
///
/// # Errors
/// The first claim that is not as it has to be.
pub fn viewer(payload: &[u8], issuer: &Issuer, now: Moment) -> Result<Viewer, Refusal> {
    let claims = json::object(payload).ok_or(Refusal::Claim("has no JSON object in it, or one with a member twice"))?;
    check_party(&claims, issuer)?;
    check_times(&claims, issuer.clock_skew, now)?;
    let id = text(find(&claims, &issuer.id)).filter(|id| !id.is_empty()).ok_or(Refusal::Named("id_claim", "a text"))?;
    let value = match &issuer.value {
        None => None,
        Some(claim) => Some(text(find(&claims, claim)).ok_or(Refusal::Named("value_claim", "a text"))?),
    };
    let roles = match &issuer.roles {
        None => Vec::new(),
        Some(claim) => texts(find(&claims, claim)).ok_or(Refusal::Named("roles_claim", "a list of texts"))?,
    };
    let named = |claim| text(find(&claims, claim)).ok_or(Refusal::Named("attribute_claims", "a text"));
    let attributes = issuer.attributes.iter().map(|(name, claim)| Ok((name.clone(), named(claim)?)));
    Ok(Viewer { id, value, roles, attributes: attributes.collect::<Result<_, _>>()? })
}

/// Who made the token, for whom, about whom.
fn check_party(claims: &Map<String, Value>, issuer: &Issuer) -> Result<(), Refusal> {
    if claims.get("iss").and_then(Value::as_str) != Some(&issuer.name) {
        return Err(Refusal::Claim("is of another issuer, or has no `iss`"));
    }
    let audiences =
        texts(claims.get("aud")).ok_or(Refusal::Claim("has no `aud`, or one that is no text and no list"))?;
    if !audiences.iter().any(|audience| issuer.audiences.contains(audience)) {
        return Err(Refusal::Claim("is meant for another audience"));
    }
    if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Refusal::Claim("has no `sub`"));
    }
    Ok(())
}

/// When it is good. The skew is for clocks that differ, in whichever direction.
fn check_times(claims: &Map<String, Value>, skew: Duration, now: Moment) -> Result<(), Refusal> {
    let now = seconds(now);
    let skew = skew.as_secs_f64();
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(()),
    };
    let expires = time("exp").ok().flatten().ok_or(Refusal::Claim("has no `exp`, or one that is no number"))?;
    if expires + skew <= now {
        return Err(Refusal::Claim("has expired"));
    }
    if expires - now > LONGEST_LIFE.as_secs_f64() + skew {
        return Err(Refusal::Claim("expires in over 31 days"));
    }
    let begun = |time: Option<f64>| time.is_none_or(|time| time <= now + skew);
    if !begun(time("nbf").map_err(|()| Refusal::Claim("has an `nbf` that is no number"))?) {
        return Err(Refusal::Claim("is not good yet (`nbf`)"));
    }
    if !begun(time("iat").map_err(|()| Refusal::Claim("has an `iat` that is no number"))?) {
        return Err(Refusal::Claim("was made in the future (`iat`)"));
    }
    Ok(())
}

/// Unix seconds; to the microsecond, which is finer than any skew.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(moment: Moment) -> f64 {
    (moment.wall / 1000) as f64 / 1e6
}

fn find<'a>(claims: &'a Map<String, Value>, claim: &Claim) -> Option<&'a Value> {
    match claim {
        Claim::Name(name) => claims.get(name),
        Claim::Pointer(pointer) => {
            let rest = pointer.strip_prefix('/')?;
            let (first, below) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(below)
        }
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(str::to_owned)
}

/// A list of texts, or one text that stands for a list of it (RFC 7519 section 4.1.3).
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|one| text(Some(one))).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::config::{Algorithm, KeysFrom};

    const NOW: i64 = 1_795_284_000;

    fn issuer() -> Issuer {
        Issuer {
            name: "https://login.example.com".into(),
            keys: KeysFrom::File(PathBuf::new()),
            audiences: vec!["my-app".into(), "other".into()],
            algorithms: vec![Algorithm::Es256],
            id: Claim::Name("sub".into()),
            value: Some(Claim::Pointer("/org/a~1b/region".into())),
            roles: Some(Claim::Name("https://example.com/roles".into())),
            attributes: BTreeMap::from([("tier".into(), Claim::Name("tier".into()))]),
            clock_skew: Duration::from_secs(60),
            ca_file: None,
            insecure_allowed: false,
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://login.example.com", "aud": "my-app", "sub": "ann", "exp": NOW + 300,
            "org": {"a/b": {"region": "emea"}}, "https://example.com/roles": ["A", "B"], "tier": "gold",
        })
    }

    fn judge(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Viewer, Refusal> {
        let mut claims = claims();
        change(claims.as_object_mut().unwrap());
        let now = Moment { wall: NOW * 1_000_000_000, boot: 1 };
        viewer(claims.to_string().as_bytes(), &issuer(), now)
    }

    #[test]
    fn a_viewer_is_what_the_named_claims_say() {
        let ann = judge(|_| ()).unwrap();
        assert_eq!((ann.id.as_str(), ann.value.as_deref()), ("ann", Some("emea")));
        assert_eq!((ann.roles.len(), ann.attributes["tier"].as_str()), (2, "gold"));
        let one = judge(|claims| claims["https://example.com/roles"] = "A".into()).unwrap();
        assert_eq!(one.roles, ["A"]);
        assert!(judge(|claims| claims["aud"] = json!(["x", "other"])).is_ok());
    }

    #[test]
    fn t18_a_claim_that_is_missing_or_of_another_type_refuses_the_token() {
        for name in ["iss", "aud", "sub", "exp", "org", "https://example.com/roles", "tier"] {
            assert!(judge(|claims| drop(claims.remove(name))).is_err(), "{name} is missing");
            for wrong in [json!(null), json!(true), json!({}), json!([5]), json!([[]])] {
                assert!(judge(|claims| claims[name] = wrong.clone()).is_err(), "{name}: {wrong}");
            }
        }
        for name in ["iss", "aud", "sub"] {
            assert!(judge(|claims| claims[name] = "".into()).is_err(), "{name} is empty");
        }
    }

    #[test]
    fn t18_times_are_judged_with_the_skew_in_both_directions() {
        let at = |name: &str, time: Value| judge(|claims| drop(claims.insert(name.into(), time))).is_ok();
        assert!(at("exp", json!(NOW - 59)) && !at("exp", json!(NOW - 60)) && !at("exp", json!(-1)));
        assert!(at("exp", json!(NOW + 31 * 86_400)) && !at("exp", json!(NOW + 31 * 86_400 + 61)));
        assert!(!at("exp", json!(u64::MAX)) && !at("exp", json!(1e300)) && at("exp", json!(NOW as f64 + 0.5)));
        for name in ["nbf", "iat"] {
            assert!(at(name, json!(NOW + 60)) && at(name, json!(0)), "{name}");
            assert!(!at(name, json!(NOW + 61)) && !at(name, json!("0")) && !at(name, json!(null)), "{name}");
        }
    }
}
