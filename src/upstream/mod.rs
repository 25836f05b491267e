//! HTTP out: one client per host of an upstream, which knows deadlines, repetition, the vendor's wish for a
//! pause, and how many calls may be in the air; but nothing of tokens.

mod call;
mod connect;
pub mod pool;
pub mod retry;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, USER_AGENT};
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use call::{Call, Reply, sensitive};
pub use connect::{Stream, Wire, connectors, is_tls, sources};

use crate::config::{BaseUrl, Retry, Timeouts, Upstream};
use crate::model::{Clock, Code, Fault, Moment, Urgency};
use crate::telemetry::metrics::{CallMetrics, CallOutcome};

/// Calls in the air for one host, so that a login storm is no storm at the vendor.
const SEATS: usize = 32;
/// Of these, for renewals that nobody waits for.
const SEATS_AHEAD: usize = 8;
/// After so many transient failures in a row the host is known to be down: one attempt each.
const KNOWN_DOWN: u32 = 8;

/// One host of an upstream, and how it is to be called.
#[derive(Clone, Debug)]
pub struct Target {
    /// The upstream's name, for logs.
    pub name: String,
    /// Where.
    pub host: BaseUrl,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Repetition.
    pub retry: Retry,
    /// More roots to trust.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// A host of this upstream.
    pub fn new(upstream: &Upstream, host: &BaseUrl) -> Target {
        Target {
            name: upstream.name.clone(),
            host: host.clone(),
            timeouts: upstream.timeouts,
            retry: upstream.retry,
            ca_file: upstream.ca_file.clone(),
        }
    }
}

/// A client for one host of an upstream.
pub struct Client {
    target: Target,
    http: connect::HttpClient,
    clock: Clock,
    metrics: Arc<CallMetrics>,
    seats: Semaphore,
    seats_ahead: Semaphore,
    /// The vendor asked for silence until then.
    held_until: Mutex<Option<Moment>>,
    failures_in_a_row: AtomicU32,
}

impl Client {
    /// A client with the target's timeouts and roots.
    ///
    /// # Errors
    /// One sentence on what is wrong with the roots of trust.
    pub fn new(target: Target, clock: Clock, metrics: Arc<CallMetrics>) -> Result<Client, String> {
        Ok(Client {
            http: connect::client(&target)?,
            target,
            clock,
            metrics,
            seats: Semaphore::new(SEATS),
            seats_ahead: Semaphore::new(SEATS_AHEAD),
            held_until: Mutex::new(None),
            failures_in_a_row: AtomicU32::new(0),
        })
    }

    /// Makes a call and reads its answer with `parse`; tries again what fails in passing, as long
    /// as somebody waits and the deadline allows.
    ///
    /// # Errors
    /// What `parse` made of the last answer, or why there was none.
    pub async fn call<T>(
        &self,
        call: &Call,
        urgency: Urgency,
        parse: impl Fn(&Reply) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.call_anew(|| Ok(call.clone()), urgency, parse).await
    }

    /// The same with a request that is made for each attempt, when its turn has come: what must not be
    /// sent twice is new then, and what has become pointless in the queue is not sent at all.
    ///
    /// # Errors
    /// Those of [`Client::call`] and of `make`.
    pub async fn call_anew<T>(
        &self,
        make: impl Fn() -> Result<Call, Fault>,
        urgency: Urgency,
        parse: impl Fn(&Reply) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        // Queueing behind other renewals is not the vendor's delay.
        let _ahead = match urgency {
            Urgency::Ahead => self.seats_ahead.acquire().await.ok(),
            Urgency::Waited => None,
        };
        let deadline = Instant::now() + self.target.timeouts.request;
        let mut attempt = 1;
        loop {
            self.keep_silence(deadline).await?;
            let (fault, hint) = match self.attempt(&make, deadline, &parse).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let retry = self.retry_policy(urgency);
            let pause = retry::pause(&retry, attempt, hint, left, fastrand::f64());
            let Some(pause) = pause.filter(|_| fault.is_transient()) else {
                return Err(match hint {
                    Some(hint) => fault.retry_after(hint),
                    None => fault,
                });
            };
            tracing::debug!(upstream = %self.target.name, attempt, %fault, "trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn retry_policy(&self, urgency: Urgency) -> Retry {
        let down = self.failures_in_a_row.load(Ordering::Relaxed) >= KNOWN_DOWN;
        let attempts = if urgency == Urgency::Ahead || down { 1 } else { self.target.retry.attempts };
        Retry { attempts, ..self.target.retry }
    }

    /// One attempt, counted and timed.
    async fn attempt<T>(
        &self,
        make: &impl Fn() -> Result<Call, Fault>,
        deadline: Instant,
        parse: &impl Fn(&Reply) -> Result<T, Fault>,
    ) -> Result<T, (Fault, Option<Duration>)> {
        let late = |_| (Fault::new(Code::Timeout, format!("{} did not answer in time", self.target.host)), None);
        let _seat = timeout_at(deadline, self.seats.acquire()).await.map_err(late)?;
        let call = &make().map_err(|fault| (fault, None))?;
        let sent = self.clock.now();
        let (outcome, result) = match timeout_at(deadline, self.exchange(call, sent)).await {
            Err(elapsed) => (CallOutcome::Timeout, Err(late(elapsed))),
            Ok(Err((outcome, fault))) => (outcome, Err((fault, None))),
            Ok(Ok(reply)) => match parse(&reply) {
                Ok(value) => (CallOutcome::Ok, Ok(value)),
                Err(fault) => (outcome_of(&fault), Err((fault.clone(), self.heed(&reply, &fault)))),
            },
        };
        self.metrics.called(call.operation, outcome, self.clock.now().since(sent));
        match &result {
            Err((fault, _)) if fault.is_transient() => {
                self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.failures_in_a_row.store(0, Ordering::Relaxed),
        }
        result
    }

    async fn exchange(&self, call: &Call, sent: Moment) -> Result<Reply, (CallOutcome, Fault)> {
        let request = self.request(call)?;
        let response = self.http.request(request).await.map_err(|error| self.no_answer(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, call::MAX_BODY).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                let detail = format!("{} answered with more than 1 MiB, which is too much", self.target.host);
                (CallOutcome::Malformed, Fault::new(Code::Malformed, detail))
            } else {
                let detail = format!("{} broke off in the middle of its answer", self.target.host);
                (CallOutcome::ServerError, Fault::new(Code::Unavailable, detail))
            }
        })?;
        Ok(Reply { sent, status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn request(&self, call: &Call) -> Result<http::Request<Full<bytes::Bytes>>, (CallOutcome, Fault)> {
        let host = &self.target.host;
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{host}{}", call.path))
            .header(USER_AGENT, concat!("sidemint/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(call.body.clone())).map_err(|_| {
            (CallOutcome::Malformed, Fault::new(Code::Internal, "a request to the vendor could not be built"))
        })
    }

    fn no_answer(&self, error: &hyper_util::client::legacy::Error) -> (CallOutcome, Fault) {
        let host = &self.target.host;
        // The innermost cause says it best: "connection refused", "invalid peer certificate: Expired".
        let cause = sources(error).last().map(ToString::to_string).unwrap_or_default();
        if is_tls(error) {
            let hint = if cause.contains("UnknownIssuer") {
                "; if its certificate is of a private authority, or a proxy on the way opens TLS, set ca_file"
            } else {
                ""
            };
            let detail = format!("TLS with {host} failed: {cause}{hint}");
            (CallOutcome::Tls, Fault::new(Code::Unavailable, detail))
        } else if error.is_connect() {
            let detail = format!("{host} cannot be reached: {cause}");
            (CallOutcome::Connect, Fault::new(Code::Unavailable, detail))
        } else {
            let detail = format!("{host} broke the connection: {cause}");
            (CallOutcome::ServerError, Fault::new(Code::Unavailable, detail))
        }
    }

    /// Notes the vendor's wish for a pause. It holds for every call with this credential.
    fn heed(&self, reply: &Reply, fault: &Fault) -> Option<Duration> {
        let now = self.clock.now();
        let hint = retry::hint(&reply.headers, now).filter(|_| fault.is_transient())?;
        let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now.after(hint);
        if held.is_none_or(|then| then.boot < until.boot) {
            *held = Some(until);
        }
        Some(hint)
    }

    /// How long the vendor wants no call yet.
    pub fn paused_for(&self) -> Option<Duration> {
        let held = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        held.map(|until| until.since(self.clock.now())).filter(|rest| !rest.is_zero())
    }

    /// Waits until the vendor is willing again, or fails at once if that is after the deadline.
    async fn keep_silence(&self, deadline: Instant) -> Result<(), Fault> {
        loop {
            let Some(rest) = self.paused_for() else { return Ok(()) };
            // Spread, so that all who waited do not call in one instant.
            let pause = rest + Duration::from_millis(250).mul_f64(fastrand::f64());
            if Instant::now() + pause >= deadline {
                let detail = format!("{} asked for a pause", self.target.host);
                return Err(Fault::new(Code::Throttled, detail).retry_after(rest));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The metric's word for a fault.
pub fn outcome_of(fault: &Fault) -> CallOutcome {
    match fault.code() {
        Code::CredentialsRejected | Code::Denied => CallOutcome::Denied,
        Code::UpstreamNotFound => CallOutcome::NotFound,
        Code::Rejected => CallOutcome::Rejected,
        Code::Throttled => CallOutcome::Throttled,
        Code::Timeout => CallOutcome::Timeout,
        Code::Unavailable => CallOutcome::ServerError,
        _ => CallOutcome::Malformed,
    }
}
