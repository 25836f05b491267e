//! Where an issuer's keys come from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::LOCATION;
use http::{Method, Uri};
use serde_json::Value;

use super::json;
use super::key_set::{KeySet, LARGEST};
use crate::config::{self, BaseUrl, KeysFrom, Retry, Timeouts, Url};
use crate::lease::{Policy, Source, Want};
use crate::model::lifetime::LONGEST;
use crate::model::{Clock, Code, Fault, Lifetime};
use crate::telemetry::metrics::{CallMetrics, Operation};
use crate::upstream::{Call, Client, Reply, Target};

/// Used for so long when no others can be had, and renewed far sooner: a key that the issuer takes back is good
/// here for as long as that.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// After a failure with keys in hand, however many tokens name a key that is not among them.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// Never too old while it lives.
pub(super) const POLICY: Policy =
    Policy { min_ttl: Duration::ZERO, asked: Duration::ZERO, stale_until: Duration::ZERO };
/// One attempt: the lease has a pace of its own.
const RETRY: Retry = Retry { attempts: 1, max_backoff: Duration::ZERO };
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(2), request: Duration::from_secs(5) };
/// The key in the config, for logs and metrics.
const NAME: &str = "viewers.jwt";

/// The keys of an issuer, over the network.
pub struct KeySource {
    config: Arc<config::Issuer>,
    entrance: Url,
    client: Client,
    /// The host that the metadata names, if it is another.
    other: Mutex<Option<(BaseUrl, Arc<Client>)>>,
    clock: Clock,
    metrics: Arc<CallMetrics>,
    retired: AtomicBool,
}

impl KeySource {
    /// Keys by a URL, or by the issuer's metadata; `None` for keys in a file.
    ///
    /// # Errors
    /// One sentence on what is wrong with the roots of trust.
    pub fn new(
        config: &Arc<config::Issuer>,
        clock: Clock,
        metrics: Arc<CallMetrics>,
    ) -> Result<Option<KeySource>, String> {
        let (KeysFrom::Discovery(entrance) | KeysFrom::Url(entrance)) = &config.keys else { return Ok(None) };
        let client = client(config, &entrance.base, &clock, &metrics)?;
        Ok(Some(KeySource {
            config: Arc::clone(config),
            entrance: entrance.clone(),
            client,
            other: Mutex::default(),
            clock,
            metrics,
            retired: AtomicBool::new(false),
        }))
    }

    /// Renews nothing any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    async fn keys(&self, want: Want) -> Result<KeySet, Fault> {
        let read = |reply: &Reply| {
            check(reply, &self.entrance)?;
            KeySet::parse(&reply.body).map_err(|message| malformed(&self.entrance, &message))
        };
        let KeysFrom::Discovery(_) = &self.config.keys else {
            return self.client.call(&get(&self.entrance), want.urgency, read).await;
        };
        let metadata = |reply: &Reply| {
            check(reply, &self.entrance)?;
            self.jwks_url(&reply.body).map_err(|message| malformed(&self.entrance, message))
        };
        let url = self.client.call(&get(&self.entrance), want.urgency, metadata).await?;
        let read = |reply: &Reply| {
            check(reply, &url)?;
            KeySet::parse(&reply.body).map_err(|message| malformed(&url, &message))
        };
        if url.base == self.entrance.base {
            return self.client.call(&get(&url), want.urgency, read).await;
        }
        self.other(&url.base)?.call(&get(&url), want.urgency, read).await
    }

    /// What the metadata says (OpenID Connect Discovery 1.0 sections 3 and 4.3). Another issuer's metadata would
    /// bring another issuer's keys.
    fn jwks_url(&self, body: &[u8]) -> Result<Url, &'static str> {
        let metadata = Some(body).filter(|body| body.len() <= LARGEST).and_then(json::object);
        let metadata = metadata.ok_or("its metadata is no JSON object of at most 256 KiB")?;
        if metadata.get("issuer").and_then(Value::as_str) != Some(&self.config.name) {
            return Err(
                "its metadata names another issuer than viewers.jwt.issuer, which must be the same to the letter",
            );
        }
        let url = metadata.get("jwks_uri").and_then(Value::as_str).ok_or("its metadata has no jwks_uri")?;
        let url = Url::parse(url, self.config.insecure_allowed).map_err(|_| "its jwks_uri is no URL with https://")?;
        if self.entrance.base.https && !url.base.https {
            return Err("its jwks_uri is no URL with https://");
        }
        Ok(url)
    }

    fn other(&self, base: &BaseUrl) -> Result<Arc<Client>, Fault> {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*other
            && known == base
        {
            return Ok(Arc::clone(client));
        }
        let client = client(&self.config, base, &self.clock, &self.metrics);
        let client = Arc::new(client.map_err(|error| Fault::new(Code::Malformed, error))?);
        *other = Some((base.clone(), Arc::clone(&client)));
        Ok(client)
    }
}

fn client(
    config: &config::Issuer,
    host: &BaseUrl,
    clock: &Clock,
    metrics: &Arc<CallMetrics>,
) -> Result<Client, String> {
    let target = Target {
        name: NAME.to_owned(),
        host: host.clone(),
        timeouts: TIMEOUTS,
        retry: RETRY,
        ca_file: config.ca_file.clone(),
    };
    Client::new(target, clock.clone(), Arc::clone(metrics)).map_err(|error| format!("{NAME}: {error}"))
}

fn get(url: &Url) -> Call {
    let (path, body) = (url.path.clone(), bytes::Bytes::new());
    Call { operation: Operation::Jwks, method: Method::GET, path, headers: Vec::new(), body }
}

/// Whether there is something to read. Nothing of what the issuer says is passed on.
fn check(reply: &Reply, url: &Url) -> Result<(), Fault> {
    let status = reply.status.as_u16();
    let (code, why) = match status {
        200 => return Ok(()),
        300..=399 => {
            let host = reply.headers.get(LOCATION).and_then(|location| location.to_str().ok()?.parse::<Uri>().ok());
            let host = host.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_else(|| "elsewhere".to_owned());
            (Code::Malformed, format!(" with a redirect to {host}, which is not followed"))
        }
        404 | 410 => (Code::UpstreamNotFound, ": no keys are there".to_owned()),
        429 => (Code::Throttled, String::new()),
        500..=599 => (Code::Unavailable, String::new()),
        _ => (Code::Malformed, String::new()),
    };
    Err(Fault::new(code, format!("the issuer of the viewers' tokens answered {status} at {}{why}", place(url))))
}

/// Where, for people: not what may be a key in a configured query, nor a text of the issuer's.
fn place(url: &Url) -> String {
    let path = url.path.split('?').next().unwrap_or_default();
    if path.len() > 128 { url.base.to_string() } else { format!("{}{path}", url.base) }
}

fn malformed(url: &Url, why: &str) -> Fault {
    Fault::new(Code::Malformed, format!("the issuer of the viewers' tokens makes no sense at {}: {why}", place(url)))
}

impl Source for KeySource {
    type Item = KeySet;

    async fn fetch(&self, want: Want) -> Result<(KeySet, Lifetime), Fault> {
        let sent = self.clock.now();
        match self.keys(want).await {
            Ok(keys) => {
                let (usable, skipped) = keys.size();
                tracing::info!(issuer = %self.config.name, usable, skipped, "got the keys of the viewers' issuer");
                Ok((keys, Lifetime::new(sent, LONGEST).to_be_renewed_after(REFRESH)))
            }
            Err(fault) => {
                tracing::warn!(code = fault.code().as_str(), detail = fault.detail(), "no keys of the viewers' issuer");
                // Somebody who waits for any key is worth another try soon; an unknown key is not.
                let is_waited_for = want.held.is_none() && fault.is_transient();
                Err(if is_waited_for { fault } else { fault.retry_after(PAUSE) })
            }
        }
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}
