//! The issuer of the viewers' tokens: who signs, and what a signed token says of its viewer.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::jws::Unverified;
use super::source::{PAUSE, POLICY};
use super::{KeySet, KeySource, Refusal, claims};
use crate::config;
use crate::lease::{Grant, Keeper, Lease, Rhythm};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Code, Fault, Viewer};
use crate::secrets::Watched;

/// Who vouches for viewers.
pub struct Issuer {
    /// As configured.
    pub config: Arc<config::Issuer>,
    keys: Keys,
    clock: Clock,
}

enum Keys {
    Remote { lease: Arc<Lease<KeySource>>, keeper: Arc<Keeper<KeySource>> },
    File(Watched<KeySet>),
}

/// How an issuer's keys are doing.
pub struct KeysStatus {
    /// Usable and skipped ones.
    pub size: Option<(usize, usize)>,
    /// How long ago they were fetched; none for those in a file.
    pub age: Option<Duration>,
    /// The last failure, if nothing succeeded since.
    pub failure: Option<Fault>,
}

impl Issuer {
    /// The rhythm of keys.
    pub fn keeper(clock: Clock, tasks: Tasks) -> Arc<Keeper<KeySource>> {
        Keeper::start(clock, tasks, Rhythm { floor: PAUSE, idle: None, every: None, deadline: Duration::from_secs(15) })
    }

    /// An issuer whose keys are fetched from now on; unless `before` has them, whose claims alone are other ones.
    pub fn remote(
        config: Arc<config::Issuer>,
        source: KeySource,
        keeper: Arc<Keeper<KeySource>>,
        before: Option<&Issuer>,
    ) -> Issuer {
        let lease = Lease::new(source);
        match before.filter(|before| before.config.has_the_keys_of(&config)).and_then(Issuer::held) {
            Some(keys) => lease.adopt(&keeper, keys),
            None => lease.fetch_now(&keeper),
        }
        Issuer { config, clock: keeper.clock().clone(), keys: Keys::Remote { lease, keeper } }
    }

    /// An issuer whose keys are in a file.
    pub fn in_file(config: Arc<config::Issuer>, keys: Watched<KeySet>, clock: Clock) -> Issuer {
        Issuer { config, keys: Keys::File(keys), clock }
    }

    fn held(&self) -> Option<Grant<KeySet>> {
        match &self.keys {
            Keys::Remote { lease, .. } => lease.held(),
            Keys::File(_) => None,
        }
    }

    /// Fetches no keys any more: another one has taken its place.
    pub fn retire(&self) {
        if let Keys::Remote { lease, .. } = &self.keys {
            lease.source().retire();
        }
    }

    /// The viewer whose token a request carries, if that can be said without waiting for keys.
    pub fn at_hand(&self, headers: &HeaderMap) -> Option<Result<Viewer, Fault>> {
        let token = match self.read(headers) {
            Ok(token) => token,
            Err(refusal) => return Some(Err(refused(refusal))),
        };
        let keys = match self.keys.at_hand()? {
            Ok(keys) => keys,
            Err(fault) => return Some(Err(fault)),
        };
        match self.judge(&token, &keys) {
            // It may have been made a moment ago.
            Err(Refusal::UnknownKey) => None,
            verdict => Some(verdict.map_err(refused)),
        }
    }

    /// The viewer whose token a request carries.
    ///
    /// # Errors
    /// [`Code::ViewerUnauthenticated`]; or why there are no keys to judge it by.
    pub async fn viewer(&self, headers: &HeaderMap) -> Result<Viewer, Fault> {
        let token = self.read(headers).map_err(refused)?;
        let keys = self.keys.wait().await?;
        let verdict = match self.judge(&token, &keys) {
            Err(Refusal::UnknownKey) => match self.keys.newer(&keys).await? {
                Some(newer) => self.judge(&token, &newer),
                None => Err(Refusal::UnknownKey),
            },
            verdict => verdict,
        };
        verdict.map_err(refused)
    }

    /// For people and probes.
    pub fn status(&self) -> KeysStatus {
        match &self.keys {
            Keys::File(file) => {
                KeysStatus { size: file.current().ok().map(|keys| keys.size()), age: None, failure: file.trouble() }
            }
            Keys::Remote { lease, keeper } => {
                let (held, now) = (lease.held(), keeper.clock().now());
                KeysStatus {
                    size: held.as_ref().map(|held| held.item.size()),
                    age: held.map(|held| now.since(held.lifetime.start())),
                    failure: lease.failure(),
                }
            }
        }
    }

    fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Unverified<'a>, Refusal> {
        Unverified::read(bearer(headers)?, &self.config.algorithms)
    }

    fn judge(&self, token: &Unverified<'_>, keys: &KeySet) -> Result<Viewer, Refusal> {
        claims::viewer(token.payload(keys)?, &self.config, self.clock.now())
    }
}

impl Keys {
    /// What there is, or why there is nothing; `None` where that has to be waited for.
    fn at_hand(&self) -> Option<Result<Arc<KeySet>, Fault>> {
        match self {
            Keys::File(file) => Some(file.current()),
            Keys::Remote { lease, keeper } => Some(lease.at_hand(keeper, &POLICY)?.map(|(grant, _)| grant.item)),
        }
    }

    async fn wait(&self) -> Result<Arc<KeySet>, Fault> {
        match self {
            Keys::File(file) => file.current(),
            Keys::Remote { lease, keeper } => lease.ask(keeper, &POLICY).await.map(|(grant, _)| grant.item),
        }
    }

    /// Other keys than these, in which a key was not found. However many ask, the issuer is asked once, and then
    /// not for a while: an unknown key costs whoever makes it up nothing.
    async fn newer(&self, than: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Fault> {
        let Keys::Remote { lease, keeper } = self else { return Ok(None) };
        match lease.another(keeper, &POLICY, than).await {
            Some(Ok((grant, _))) => Ok(Some(grant.item)),
            // Where the keys are old, since the issuer is away, a viewer is not to blame.
            Some(Err(_)) | None => match lease.failure_to_tell(keeper.clock().now()) {
                Some(fault) if fault.is_transient() => Err(fault),
                _ => Ok(None),
            },
        }
    }
}

/// The token (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::Missing) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Refusal::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Refusal::Missing);
    }
    Ok(token.trim_start_matches(' '))
}

fn refused(refusal: Refusal) -> Fault {
    Fault::new(Code::ViewerUnauthenticated, refusal.to_string())
}
