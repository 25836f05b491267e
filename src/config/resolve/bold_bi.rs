//! `upstreams` and `embeds` of Bold BI.

mod item;

use super::super::file;
use super::super::{BoldBi, Flow, SignedText};
use super::url::{base_url, is_id};
use super::{Section, foreign, secret_ref};
pub(super) use item::{check_flow, item};

pub(super) fn system(given: &file::Upstream, section: &mut Section<'_>) -> Option<BoldBi> {
    section.refuse_foreign("boldbi", &foreign::upstream_keys(given), &["url", "site", "flow", "signed_text"]);
    let url = match &given.url {
        None => {
            section.add(None, "url", "is missing: the server with its path, such as https://bi.example.com/bi");
            None
        }
        Some(url) => split(&url.value, given.allow_insecure_http)
            .map_err(|message| section.add(Some(url.place), "url", message))
            .ok(),
    };
    let site = given.site.as_ref();
    if site.is_none() {
        section.add(None, "site", "is missing: the site, such as site1; \"\" for Bold BI Cloud");
    }
    // The vendor's pages write the identifier, `site/site1`.
    let bare = |site: &str| site.strip_prefix("site/").unwrap_or(site).to_owned();
    if let Some(site) = site.filter(|site| !site.value.is_empty() && !is_id(&bare(&site.value))) {
        section.add(Some(site.place), "site", "must be a site's name, such as site1");
    }
    let Some(auth) = &given.auth else {
        section.add(None, "auth", "is missing: embed_secret_file or embed_secret_env");
        return None;
    };
    let secret = secret_ref(auth.value.embed_secret_file.as_deref(), auth.value.embed_secret_env.as_deref());
    let secret = match secret {
        Ok(Some(secret)) if auth.value.has_only_embed_secret() => Some(secret),
        Ok(_) => {
            section.add(
                Some(auth.place),
                "auth",
                "must be one of embed_secret_file and embed_secret_env, and nothing besides",
            );
            None
        }
        Err(message) => {
            section.add(Some(auth.place), "auth", format!("embed_secret {message}"));
            None
        }
    };
    let (host, path) = url?;
    let flow = match given.flow.as_ref().map(|flow| flow.value).unwrap_or_default() {
        file::Flow::ObjectModel => Flow::ObjectModel,
        file::Flow::SignedQuery => Flow::SignedQuery,
    };
    let signed_text = match given.signed_text.as_ref().map(|text| text.value).unwrap_or_default() {
        file::SignedText::Sent => SignedText::Sent,
        file::SignedText::Decoded => SignedText::Decoded,
    };
    if let Some(text) = given.signed_text.as_ref().filter(|_| flow == Flow::ObjectModel) {
        section.add(Some(text.place), "signed_text", "goes with flow: signed_query only");
    }
    Some(BoldBi { host, path, site: bare(&site?.value), secret: secret?, flow, signed_text })
}

/// The server's host, and the path of the application on it.
fn split(url: &str, insecure_allowed: bool) -> Result<(super::super::BaseUrl, String), String> {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let slash = url.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| after_scheme + at);
    let (host, path) = url.split_at(slash.unwrap_or(url.len()));
    let path = path.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if !path.chars().all(plain) || path.contains("//") || path.contains("..") {
        return Err("must be a host and a plain path, such as https://bi.example.com/bi".into());
    }
    let mut parts = path.rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if before == "site" || last == "api" {
        return Err(
            "must end where the application does, such as https://bi.example.com/bi: the site has its own key".into()
        );
    }
    if host.contains(['@', '?', '#']) {
        return Err("must be https://, a host and a path, with nothing else in it".into());
    }
    Ok((base_url(host, insecure_allowed)?, path.to_owned()))
}
