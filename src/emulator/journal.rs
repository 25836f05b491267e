//! The journal: what was asked of the emulator, with secrets and tokens replaced by fingerprints.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::operation::Operation;
use super::wire::{Asked, Params};

/// Older entries make room, so that a long load test does not fill the memory; the counts go on.
const KEPT: usize = 20_000;

/// Form fields that prove something: never written down as they are.
const SECRET_FIELDS: [&str; 7] = [
    "client_secret",
    "subject_token",
    "client_assertion",
    "assertion",
    "refresh_token",
    "embed_secret",
    "embed_signature",
];

/// Headers that do.
const SECRET_HEADERS: [&str; 2] = ["x-identity-header", "secret"];

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct JournalEntry {
    /// Counts from 1, over the life of the emulator.
    pub seq: u64,
    /// When it arrived (RFC 3339).
    pub time: String,
    /// The method.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The decoded query; secrets and signatures as `sha256:…`.
    pub query: Params,
    /// The decoded form; secrets and tokens as `sha256:…`.
    pub form: Params,
    /// The JSON body of a request for an embed token; secrets and tokens in it as `sha256:…`.
    pub body: Option<Value>,
    /// Header and claims of the form's `client_assertion`: without its signature it proves nothing.
    pub assertion: Option<Value>,
    /// What it was for.
    pub operation: Operation,
    /// The scheme of `Authorization`, in lower case.
    pub auth_scheme: Option<String>,
    /// The fingerprint of the credentials in `Authorization`.
    pub credential: Option<String>,
    /// The other headers; the last of several equal names.
    pub headers: Params,
    /// Requests to the app: every header line as it came, names in lower case, `Authorization` and `Cookie` as
    /// `sha256:…`. Lines of one name keep their order.
    pub header_lines: Vec<(String, String)>,
    /// The version of HTTP: `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The number of the connection; those of the emulator are counted from 1.
    pub connection: u64,
    /// Requests to the app: what came of the body, once it was dealt with. The body itself is not kept.
    pub received: Option<Received>,
    /// The status answered; none while the request is under way, and for ever where no status was sent.
    pub status: Option<u16>,
    /// Whether a fault was injected.
    pub fault: bool,
    /// What the emulator found odd about the request, e.g. a tokeninfo field that was not passed on.
    pub notes: Vec<String>,
    /// Time to answer, in milliseconds.
    pub took_ms: Option<f64>,
    /// When it arrived, for those that measure.
    #[serde(skip)]
    pub at: Instant,
}

/// What came of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// So many bytes were read.
    pub bytes: u64,
    /// Whether its end was among them.
    pub complete: bool,
}

/// The journal itself.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    last: u64,
    entries: VecDeque<JournalEntry>,
    counts: BTreeMap<Operation, u64>,
}

impl Journal {
    /// Writes a request down as it arrives and gives its number.
    pub fn arrived(&self, asked: &Asked, operation: Operation, connection: u64) -> u64 {
        let mut entry = entry(asked, operation);
        entry.connection = connection;
        let mut pages = self.pages();
        pages.last += 1;
        entry.seq = pages.last;
        *pages.counts.entry(operation).or_default() += 1;
        if pages.entries.len() == KEPT {
            pages.entries.pop_front();
        }
        pages.entries.push_back(entry);
        pages.last
    }

    /// Notes that a fault took part in the answer.
    pub fn faulted(&self, seq: u64) {
        self.amend(seq, |entry| entry.fault = true);
    }

    /// Notes what was answered.
    pub fn answered(&self, seq: u64, status: StatusCode, notes: Vec<String>) {
        self.amend(seq, |entry| {
            entry.status = Some(status.as_u16());
            entry.notes = notes;
            entry.took_ms = Some(entry.at.elapsed().as_secs_f64() * 1e3);
        });
    }

    /// Notes what came of a body.
    pub fn received(&self, seq: u64, received: Received) {
        self.amend(seq, |entry| entry.received = Some(received));
    }

    /// A copy of all entries, oldest first.
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.pages().entries.iter().cloned().collect()
    }

    /// How many requests of this kind came since the start or the last [`clear`](Self::clear).
    pub fn count(&self, operation: Operation) -> u64 {
        self.pages().counts.get(&operation).copied().unwrap_or_default()
    }

    /// Forgets all entries and counts; the numbers go on.
    pub fn clear(&self) {
        let mut pages = self.pages();
        pages.entries.clear();
        pages.counts.clear();
    }

    fn amend(&self, seq: u64, change: impl FnOnce(&mut JournalEntry)) {
        let mut pages = self.pages();
        // Numbers grow from front to back, without gaps: the place follows from the number.
        let Some(first) = pages.entries.front().map(|entry| entry.seq) else {
            return;
        };
        let place = seq.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| pages.entries.get_mut(place)) {
            change(entry);
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(asked: &Asked, operation: Operation) -> JournalEntry {
    let authorization = asked.headers.get("authorization");
    let plain = asked.headers.iter().filter(|(name, _)| *name != "authorization" && *name != "cookie");
    JournalEntry {
        seq: 0,
        time: Timestamp::now().to_string(),
        method: asked.method.to_string(),
        path: asked.path.clone(),
        query: asked.query.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect(),
        form: asked.form.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect(),
        body: matches!(operation, Operation::GenerateToken | Operation::BoldBiAuthorize)
            .then(|| json_body(asked))
            .flatten(),
        assertion: asked.form.get("client_assertion").and_then(|jwt| unsigned(jwt)),
        operation,
        auth_scheme: asked.auth_scheme(),
        credential: authorization.map(|value| fingerprint(value.as_bytes())),
        headers: plain.map(|(name, value)| (name.to_string(), shown_header(name.as_str(), value.as_bytes()))).collect(),
        header_lines: if operation == Operation::App { header_lines(asked) } else { Vec::new() },
        version: format!("{:?}", asked.version),
        connection: 0,
        received: None,
        status: None,
        fault: false,
        notes: Vec::new(),
        took_ms: None,
        at: Instant::now(),
    }
}

fn shown(name: &str, value: &str) -> String {
    let secret = SECRET_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name));
    if secret { fingerprint(value.as_bytes()) } else { value.to_owned() }
}

fn shown_header(name: &str, value: &[u8]) -> String {
    if SECRET_HEADERS.contains(&name) { fingerprint(value) } else { String::from_utf8_lossy(value).into_owned() }
}

fn header_lines(asked: &Asked) -> Vec<(String, String)> {
    let lines = asked.headers.iter().map(|(name, value)| {
        let hidden = *name == "authorization" || *name == "cookie";
        let value = if hidden { fingerprint(value.as_bytes()) } else { shown_header(name.as_str(), value.as_bytes()) };
        (name.to_string(), value)
    });
    lines.collect()
}

fn json_body(asked: &Asked) -> Option<Value> {
    let mut body = serde_json::from_slice(&asked.body).ok()?;
    hide_secrets(&mut body);
    Some(body)
}

/// `identityBlob` holds a token for a data source, as a string or in an object; `embedsecret` is the secret of
/// Bold BI.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(hide_secrets),
        Value::Object(members) => {
            for (name, member) in members {
                if name == "identityBlob" || is_embed_secret(name) {
                    let text =
                        member["value"].as_str().or(member.as_str()).map_or_else(|| member.to_string(), str::to_owned);
                    *member = json!(fingerprint(text.as_bytes()));
                } else {
                    hide_secrets(member);
                }
            }
        }
        _ => {}
    }
}

/// In any spelling: a mistaken client must not have its secret written down.
fn is_embed_secret(name: &str) -> bool {
    name.replace(['_', '-'], "").eq_ignore_ascii_case("embedsecret")
}

fn unsigned(jwt: &str) -> Option<Value> {
    let part = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let mut parts = jwt.split('.');
    Some(json!({"header": part(parts.next()?)?, "claims": part(parts.next()?)?}))
}

/// The first 8 bytes of SHA-256: enough to tell two secrets apart, not enough to be one.
pub(super) fn fingerprint(secret: &[u8]) -> String {
    let hash = digest(&SHA256, secret);
    let hex: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
