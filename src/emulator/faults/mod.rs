//! Faults: what goes wrong on purpose, for which operation and how often.
//!
//! A fault either *replaces* the answer (a status, a hang, a reset …) or *tunes* it (a delay, a short token life, a
//! field more or less). Of several that replace, the oldest one is used up first, so that "429 twice, then 503" is two
//! faults in that order. All that tune apply together, as long as nothing replaces the answer.

pub(super) mod bodies;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::operation::Operation;
use super::powerbi;
use super::settings::AppRefusal;
use super::wire::Reply;

/// One rule. The default does nothing: set what shall go wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// The operation it is for (see [`Operation::name`]); `token` is `service_token` and `mint`; `*` or empty is all.
    pub operation: String,
    /// Only requests with this in their path, e.g. a dashboard id; none is all.
    pub path: Option<String>,
    /// How many requests it is for; none is for ever.
    pub times: Option<u32>,
    /// Answer with this status. Default 503 where `body`, `error_code` or `retry_after` is given without.
    pub status: Option<u16>,
    /// The shape of the body. Databricks: `platform` (or `json`), `oauth`, `okta`, `api12`. Microsoft: `entra`, where
    /// `error_code` is the AADSTS number, from which `error` and the default of `status` follow; `powerbi`
    /// (`{"error": {"code", "message"}}`); `pbi_error` (the same with `pbi.error` in place of a message). Bold BI: `boldbi`
    /// (`{"Status": false, "Message"}`, status 200 where none is given), `boldbi_error` (`{"errorMessage"}`). Any: `empty`,
    /// `html`, `text`. Anything else is sent as it is, e.g. `Too Many Requests` or `null`. Default: `platform`.
    pub body: Option<String>,
    /// The content type in place of the one that goes with the body.
    pub content_type: Option<String>,
    /// The vendor's code, a string or a number.
    pub error_code: Option<Value>,
    /// The vendor's words, where a client reads them; a text of the emulator else.
    pub message: Option<String>,
    /// `Retry-After`, sent as it is.
    pub retry_after: Option<String>,
    /// `Location`; the status is 302 if none is given.
    pub location: Option<String>,
    /// Wait before answering, milliseconds.
    pub delay_ms: Option<u64>,
    /// Never answer.
    pub hang: bool,
    /// Close the connection with RST instead of answering.
    pub reset: bool,
    /// The app only: its front does not take the token, as if it were expired or revoked.
    pub refuse: Option<AppRefusal>,
    /// Send this in place of any HTTP, and close the connection: no HTTP at all, a head that breaks a rule, half a chunk.
    pub raw: Option<String>,
    /// Headers to add to the answer, in this order, besides those of the same name.
    pub extra_headers: Vec<(String, String)>,
    /// Answer as usual, but close the connection in the middle of the body, after the first of several events.
    pub truncate: bool,
    /// Answer as usual, but with bytes that are no JSON.
    pub garbage: bool,
    /// The life of issued tokens, seconds: `exp` and `expires_in`; `expiration` of an embed token, which may then
    /// outlive the token that it was asked for with; at Bold BI all that tells the life of a token.
    pub token_life: Option<u64>,
    /// `expires_in` as any JSON value; the string `omit` leaves it out.
    pub expires_in: Option<Value>,
    /// `exp` of the JWT alone, seconds from now.
    pub jwt_exp_life: Option<i64>,
    /// `expiration` of an embed token, `.expires` at Bold BI, as any JSON value; the string `omit` leaves it out.
    pub expiration: Option<Value>,
    /// Issue the scoped token without `custom.claim`, tokeninfo without `custom_claim`, the token of Bold BI without
    /// its custom attributes.
    pub drop_custom_claim: bool,
    /// Fields to add to a JSON answer; they replace fields of the same name.
    pub extra_fields: Map<String, Value>,
}

impl Fault {
    /// A fault that answers a status, for ever.
    #[must_use]
    pub fn status(operation: &str, status: u16) -> Self {
        Self { operation: operation.to_owned(), status: Some(status), ..Self::default() }
    }

    /// The same for this many requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn concerns(&self, operation: Operation) -> bool {
        match self.operation.as_str() {
            "" | "*" => true,
            "token" => matches!(operation, Operation::ServiceToken | Operation::Mint),
            name => name == operation.name(),
        }
    }

    /// Whether any request can ever concern it: a misspelt operation would wait in vain.
    pub(super) fn names_an_operation(&self) -> bool {
        Operation::ALL.into_iter().any(|operation| self.concerns(operation))
    }

    fn answers(&self) -> bool {
        self.status.is_some()
            || self.body.is_some()
            || self.error_code.is_some()
            || self.retry_after.is_some()
            || self.location.is_some()
    }

    fn replaces(&self) -> bool {
        let answers = self.answers() || self.refuse.is_some() || self.raw.is_some();
        answers || self.hang || self.reset || self.truncate || self.garbage
    }

    /// The answer in place of the real one, if the fault has one.
    pub(super) fn reply(&self, operation: Operation) -> Option<Reply> {
        if !self.answers() {
            return None;
        }
        let default = match &self.location {
            Some(_) => StatusCode::FOUND,
            None => bodies::usual_status(self.body.as_deref(), self.error_code.as_ref()),
        };
        let status = self.status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(default);
        let mut reply = match &self.location {
            Some(location) => Reply::redirect(status, location),
            None => bodies::shaped(self, status, operation),
        };
        if let Some(wait) = &self.retry_after {
            reply = reply.with(RETRY_AFTER, wait);
        }
        if let Some(kind) = &self.content_type {
            reply = reply.with(CONTENT_TYPE, kind);
        }
        if operation.is_power_bi() {
            reply = powerbi::stamped(reply);
        }
        Some(reply)
    }
}

/// What shall happen to one request: the faults that concern it, put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The one that replaces the answer.
    pub replaced: Option<Fault>,
    /// The life of tokens.
    pub token_life: Option<Duration>,
    /// See [`Fault::expires_in`].
    pub expires_in: Option<Value>,
    /// See [`Fault::jwt_exp_life`].
    pub jwt_exp_life: Option<i64>,
    /// See [`Fault::expiration`].
    pub expiration: Option<Value>,
    /// See [`Fault::drop_custom_claim`].
    pub drop_custom_claim: bool,
    /// See [`Fault::extra_fields`].
    pub extra_fields: Map<String, Value>,
    /// See [`Fault::extra_headers`].
    pub extra_headers: Vec<(String, String)>,
    /// See [`Fault::delay_ms`].
    pub delay: Option<Duration>,
    /// Whether any fault took part.
    pub touched: bool,
}

impl Plan {
    fn add(&mut self, fault: &Fault) {
        self.touched = true;
        self.token_life = fault.token_life.map(Duration::from_secs).or(self.token_life);
        self.expires_in = fault.expires_in.clone().or(self.expires_in.take());
        self.jwt_exp_life = fault.jwt_exp_life.or(self.jwt_exp_life);
        self.expiration = fault.expiration.clone().or(self.expiration.take());
        self.drop_custom_claim |= fault.drop_custom_claim;
        self.extra_fields.extend(fault.extra_fields.clone());
        self.extra_headers.extend(fault.extra_headers.clone());
        self.delay = fault.delay_ms.map(Duration::from_millis).or(self.delay);
    }

    /// Puts a member into an answer: as the fault wants it, where one has a say, or left out where that says `omit`.
    pub fn put(body: &mut Map<String, Value>, name: &str, wish: Option<&Value>, usual: Value) {
        match wish {
            Some(Value::String(word)) if word == "omit" => {}
            Some(value) => drop(body.insert(name.to_owned(), value.clone())),
            None => drop(body.insert(name.to_owned(), usual)),
        }
    }

    /// Puts [`Fault::extra_fields`] into a JSON answer.
    pub fn add_fields(&self, reply: &mut Reply) {
        if self.extra_fields.is_empty() || !reply.status.is_success() {
            return;
        }
        if let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) {
            body.extend(self.extra_fields.clone());
            reply.body = Value::Object(body).to_string().into();
        }
    }
}

/// The rules in force, each with its number.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    last: u64,
    active: Vec<(u64, Fault)>,
}

impl Faults {
    /// Adds a rule and gives its number.
    pub fn inject(&self, fault: Fault) -> u64 {
        let mut rules = self.rules();
        rules.last += 1;
        let id = rules.last;
        rules.active.push((id, fault));
        id
    }

    /// Takes one rule back, or all of them.
    pub fn clear(&self, id: Option<u64>) {
        self.rules().active.retain(|(number, _)| id.is_some_and(|id| id != *number));
    }

    /// The rules in force.
    pub fn active(&self) -> Vec<(u64, Fault)> {
        self.rules().active.clone()
    }

    /// Takes what concerns this request, using it up.
    pub fn take(&self, operation: Operation, path: &str) -> Plan {
        let mut rules = self.rules();
        let mut plan = Plan::default();
        let on_path = |fault: &Fault| fault.path.as_deref().is_none_or(|part| path.contains(part));
        let concerns = |fault: &Fault| fault.times != Some(0) && fault.concerns(operation) && on_path(fault);
        let replacing = rules.active.iter_mut().find(|(_, fault)| concerns(fault) && fault.replaces());
        if let Some((_, fault)) = replacing {
            plan.add(fault);
            plan.replaced = Some(fault.clone());
            use_up(fault);
        } else {
            for (_, fault) in rules.active.iter_mut().filter(|(_, fault)| concerns(fault)) {
                plan.add(fault);
                use_up(fault);
            }
        }
        rules.active.retain(|(_, fault)| fault.times != Some(0));
        plan
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn use_up(fault: &mut Fault) {
    fault.times = fault.times.map(|left| left.saturating_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_replacing_fault_is_used_up_first() {
        let faults = Faults::default();
        faults.inject(Fault::status("token_info", 429).times(2));
        faults.inject(Fault::status("token_info", 503).times(1));
        let statuses: Vec<_> =
            (0..4).map(|_| faults.take(Operation::TokenInfo, "/").replaced.and_then(|fault| fault.status)).collect();
        assert_eq!(statuses, [Some(429), Some(429), Some(503), None]);
        assert!(faults.active().is_empty());
    }

    #[test]
    fn token_means_both_uses_of_the_token_endpoint_and_nothing_else() {
        let faults = Faults::default();
        faults.inject(Fault::status("token", 503));
        assert!(faults.take(Operation::ServiceToken, "/").replaced.is_some());
        assert!(faults.take(Operation::Mint, "/").replaced.is_some());
        assert!(faults.take(Operation::TokenInfo, "/").replaced.is_none());
    }

    #[test]
    fn tuning_faults_apply_together_and_rest_while_another_replaces() {
        let faults = Faults::default();
        faults.inject(Fault { token_life: Some(320), ..Fault::default() });
        faults.inject(Fault { drop_custom_claim: true, ..Fault::default() });
        let outage = faults.inject(Fault::status("*", 503));
        assert_eq!(faults.take(Operation::Mint, "/").token_life, None);
        faults.clear(Some(outage));
        let plan = faults.take(Operation::Mint, "/");
        assert_eq!(plan.token_life, Some(Duration::from_secs(320)));
        assert!(plan.drop_custom_claim);
    }

    #[test]
    fn a_fault_may_be_for_one_path_only() {
        let faults = Faults::default();
        faults.inject(Fault { path: Some("databricks-config".to_owned()), ..Fault::status("discovery", 404) });
        assert!(faults.take(Operation::Discovery, "/oidc/.well-known/openid-configuration").replaced.is_none());
        assert!(faults.take(Operation::Discovery, "/.well-known/databricks-config").replaced.is_some());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let refused = serde_json::from_str::<Fault>(r#"{"operation": "mint", "statsu": 503}"#);
        assert!(refused.is_err());
    }
}
