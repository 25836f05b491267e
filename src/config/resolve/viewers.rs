//! `viewers`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::file::{self, At, IdPrivacy, OneOrMany, ViewerSource};
use super::super::{Algorithm, Claim, Embed, Issuer, Item, KeysFrom, Origin, Roles, SecretRef, Url, ViewerField};
use super::{Problems, Section, secret_ref};

/// Clocks that are further apart are to be mended, not allowed for.
const MOST_SKEW: Duration = Duration::from_secs(300);

/// What becomes of ids, and the key of their hashes.
pub(super) fn ids(viewers: &file::Viewers, problems: &mut Problems) -> (IdPrivacy, Option<SecretRef>) {
    let privacy = viewers.id_privacy.unwrap_or_default();
    let key = secret_ref(viewers.hmac_key_file.as_deref(), viewers.hmac_key_env.as_deref());
    let key = key.unwrap_or_else(|message| {
        problems.add(None, "viewers.hmac_key", message);
        None
    });
    if privacy == IdPrivacy::Hmac && key.is_none() {
        problems.add(
            None,
            "viewers.id_privacy",
            "is hmac, which needs hmac_key_file: without it the vendor would see other ids after each restart",
        );
    }
    (privacy, key)
}

/// Who vouches for viewers, if callers do not.
pub(super) fn issuer(viewers: &file::Viewers, problems: &mut Problems) -> Option<Issuer> {
    let source = viewers.source.as_ref();
    match (source.map(|source| source.value).unwrap_or_default(), &viewers.jwt) {
        (ViewerSource::Request, None) => None,
        (ViewerSource::Request, Some(jwt)) => {
            let message = "has no effect without `source: jwt`: callers would still name any viewer";
            problems.add(Some(jwt.place), "viewers.jwt", message);
            None
        }
        (ViewerSource::Jwt, None) => {
            problems.add(source.map(At::place), "viewers.source", "is jwt, which needs viewers.jwt");
            None
        }
        (ViewerSource::Jwt, Some(jwt)) => {
            resolve(&jwt.value, &mut Section { path: "viewers.jwt".to_owned(), place: jwt.place, problems })
        }
    }
}

fn resolve(given: &file::Jwt, section: &mut Section<'_>) -> Option<Issuer> {
    let before = section.problems.0.len();
    let keys = keys(given, section);
    let audiences = match given.audience.clone() {
        OneOrMany::One(audience) => vec![audience],
        OneOrMany::Many(audiences) => audiences,
    };
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        section.add(None, "audience", "is empty: tokens that are meant for another service would be taken");
    }
    let algorithms = algorithms(given.algorithms.as_ref(), section);
    let mut claim = |key: &str, given: Option<&At<String>>| given.and_then(|given| claim(key, given, section));
    let id = claim("id_claim", given.id_claim.as_ref());
    let (value, roles) =
        (claim("value_claim", given.value_claim.as_ref()), claim("roles_claim", given.roles_claim.as_ref()));
    let attributes = given.attribute_claims.iter();
    let attributes =
        attributes.filter_map(|(name, given)| Some((name.clone(), claim("attribute_claims", Some(given))?))).collect();
    let skew = given.clock_skew.as_ref();
    if let Some(skew) = skew.filter(|skew| skew.value.0 > MOST_SKEW) {
        section.add(Some(skew.place), "clock_skew", "must be at most 5m");
    }
    if let Some(ca) = given.ca_file.as_ref().filter(|ca| !ca.value.is_file()) {
        section.add(Some(ca.place), "ca_file", format!("{} is not a file", ca.value.display()));
    }
    let issuer = Issuer {
        name: given.issuer.value.clone(),
        keys: keys?,
        audiences,
        algorithms,
        id: id.unwrap_or_else(|| Claim::Name("sub".to_owned())),
        value,
        roles,
        attributes,
        clock_skew: skew.map_or(Duration::from_secs(60), |skew| skew.value.0),
        ca_file: given.ca_file.as_ref().map(|ca| ca.value.clone()),
        insecure_allowed: given.allow_insecure_http,
    };
    (section.problems.0.len() == before).then_some(issuer)
}

fn keys(given: &file::Jwt, section: &mut Section<'_>) -> Option<KeysFrom> {
    if given.issuer.value.is_empty() {
        section.add(Some(given.issuer.place), "issuer", "is empty");
        return None;
    }
    match (&given.jwks_url, &given.jwks_file) {
        (Some(url), Some(_)) => {
            section.add(Some(url.place), "jwks_url", "and jwks_file are both given: keep one of them");
            None
        }
        (None, Some(file)) => Some(KeysFrom::File(file.clone())),
        (Some(url), None) => Url::parse(&url.value, given.allow_insecure_http)
            .map(KeysFrom::Url)
            .map_err(|message| section.add(Some(url.place), "jwks_url", message))
            .ok(),
        // OpenID Connect Discovery 1.0 section 4.1: a slash at the issuer's end is not doubled.
        (None, None) => {
            let url = format!("{}/.well-known/openid-configuration", given.issuer.value.trim_end_matches('/'));
            let url = Url::parse(&url, given.allow_insecure_http)
                .and_then(|url| if url.path.contains('?') { Err("must have no query".to_owned()) } else { Ok(url) });
            url.map(KeysFrom::Discovery)
                .map_err(|message| {
                    let message = format!("{message}; or name its keys by jwks_url or jwks_file");
                    section.add(Some(given.issuer.place), "issuer", message);
                })
                .ok()
        }
    }
}

fn algorithms(given: Option<&At<Vec<String>>>, section: &mut Section<'_>) -> Vec<Algorithm> {
    let Some(given) = given else { return vec![Algorithm::Rs256, Algorithm::Es256] };
    if given.value.is_empty() {
        section.add(Some(given.place), "algorithms", "is empty");
    }
    let mut known = |name: &String| {
        let algorithm = Algorithm::named(name);
        if algorithm.is_none() {
            let message = format!(
                "`{name}` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA; whoever could \
                 check a signature of HS256 could also make one"
            );
            section.add(Some(given.place), "algorithms", message);
        }
        algorithm
    };
    given.value.iter().filter_map(&mut known).collect()
}

fn claim(key: &str, given: &At<String>, section: &mut Section<'_>) -> Option<Claim> {
    let text = &given.value;
    if text.is_empty() {
        section.add(Some(given.place), key, "is empty");
        return None;
    }
    if !text.starts_with('/') {
        return Some(Claim::Name(text.clone()));
    }
    let escapes_are_sound = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escapes_are_sound || text.ends_with('/') {
        section.add(
            Some(given.place),
            key,
            "begins with `/`, but is no JSON pointer such as /realm_access/roles (RFC 6901)",
        );
        return None;
    }
    Some(Claim::Pointer(text.clone()))
}

/// What an embed takes from the viewer must be in the viewer's token: else nobody could ever be shown it.
pub(super) fn check_embed(issuer: &Issuer, embed: &Embed, place: (u64, u64), problems: &mut Problems) {
    let lacks =
        |claim: &str| format!("takes what viewers.jwt.{claim} would name from the viewer, and that is not given");
    let mut missing = BTreeSet::new();
    for need in needs(embed) {
        match need {
            Need::Value if issuer.value.is_none() => missing.insert(lacks("value_claim")),
            Need::Roles if issuer.roles.is_none() => missing.insert(lacks("roles_claim")),
            Need::Attribute(name) if !issuer.attributes.contains_key(name) => {
                missing.insert(lacks(&format!("attribute_claims.{name}")))
            }
            _ => false,
        };
    }
    missing.into_iter().for_each(|message| problems.add(Some(place), &format!("embeds.{}", embed.name), message));
}

/// What is needed of a viewer besides the id.
enum Need<'a> {
    Value,
    Roles,
    Attribute(&'a str),
}

fn needs(embed: &Embed) -> Vec<Need<'_>> {
    let of_field = |field: ViewerField| (field == ViewerField::Value).then_some(Need::Value);
    match &embed.item {
        // A dashboard may well do without a filter.
        Item::Databricks { .. } => Vec::new(),
        Item::PowerBi(item) => item
            .rls
            .iter()
            .flat_map(|rls| {
                let roles = matches!(rls.roles, Roles::OfViewer { .. }).then_some(Need::Roles);
                of_field(rls.username).into_iter().chain(rls.custom_data.and_then(of_field)).chain(roles)
            })
            .collect(),
        Item::BoldBi(item) => {
            let user = item.group_access.as_ref().and_then(|access| of_field(access.user));
            let fields = of_field(item.email).into_iter().chain(user);
            fields
                .chain(item.parameters().filter_map(|parameter| match &parameter.value {
                    Origin::Value => Some(Need::Value),
                    Origin::Roles => Some(Need::Roles),
                    Origin::Attribute(name) => Some(Need::Attribute(name)),
                    Origin::Id | Origin::Fixed(_) => None,
                }))
                .collect()
        }
    }
}
