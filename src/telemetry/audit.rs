//! Who was shown what, when: one JSON line for each hand-out and each refusal.
//!
//! A viewer is a keyed hash, a token its fingerprint. Lines are collected in memory and written by
//! a thread of their own, at most 50 ms later: a hit costs a copy, not a system call, and a stderr
//! that nobody reads stalls no dashboard.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::model::peer::Origin;
use crate::model::secret::ShortHex;
use crate::model::{Peer, Secret, clock};

/// How long lines are collected.
const COLLECT: Duration = Duration::from_millis(50);
/// Lines that wait beyond this are dropped and counted: about 10,000 of them.
const MOST_WAITING: usize = 4 << 20;

/// The audit trail.
#[derive(Clone)]
pub struct Audit(Option<Arc<Trail>>);

struct Trail {
    lines: Mutex<Lines>,
    bell: Condvar,
    /// Held while lines are on their way out, so that a flush does not overtake them.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    lost: u64,
    /// The last second that was written out as a timestamp.
    second: i64,
    timestamp: String,
}

/// Whom and what a decision was about. All texts are names from the config or hex, so there is
/// nothing to escape.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Embed and upstream, rendered once by [`place`].
    pub place: &'a str,
    /// The viewer's keyed hash.
    pub viewer: Option<&'a str>,
    /// The token's fingerprint.
    pub token: Option<&'a str>,
}

/// One decision.
pub struct Entry<'a> {
    /// Unix seconds.
    pub at: i64,
    /// Whether a token was handed out.
    pub granted: bool,
    /// An outcome (`hit`, `miss`, ...) or an error code.
    pub code: &'a str,
    /// Purpose as asked, `load` or `renew`, if it got that far.
    pub purpose: Option<&'a str>,
    /// Whom and what it was about, if it got that far.
    pub subject: Option<Subject<'a>>,
    /// The caller.
    pub caller: Peer,
}

impl Audit {
    /// Writes nothing.
    pub fn off() -> Audit {
        Audit(None)
    }

    /// Writes to stderr until the process ends.
    pub fn to_stderr() -> Audit {
        let trail = Arc::new(Trail { lines: Mutex::default(), bell: Condvar::new(), writing: Mutex::default() });
        let writer = Arc::clone(&trail);
        let spawned = std::thread::Builder::new().name("audit".into()).spawn(move || writer.write_for_ever());
        if spawned.is_err() {
            tracing::error!("the audit trail has no thread to write it");
        }
        Audit(Some(trail))
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes a decision.
    pub fn note(&self, entry: &Entry<'_>) {
        let Some(trail) = &self.0 else { return };
        let mut lines = trail.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.text.len() > MOST_WAITING {
            lines.lost += 1;
            return;
        }
        let was_empty = lines.text.is_empty();
        lines.push(entry);
        drop(lines);
        if was_empty {
            trail.bell.notify_one();
        }
    }

    /// Writes out what waits, before the process ends.
    pub fn flush(&self) {
        if let Some(trail) = &self.0 {
            trail.write_out();
        }
    }
}

impl Trail {
    fn write_for_ever(&self) {
        loop {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.bell.wait_while(lines, |lines| lines.text.is_empty()));
            std::thread::sleep(COLLECT);
            self.write_out();
        }
    }

    fn write_out(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut lines.text);
        let lost = std::mem::take(&mut lines.lost);
        drop(lines);
        // Nobody is left to be told of an error on stderr.
        let _ = std::io::stderr().lock().write_all(&text);
        if lost > 0 {
            tracing::error!(lost, "audit lines were lost, since stderr takes them too slowly");
        }
    }
}

impl Lines {
    fn push(&mut self, entry: &Entry<'_>) {
        if self.second != entry.at || self.timestamp.is_empty() {
            self.second = entry.at;
            self.timestamp = clock::rfc3339(entry.at);
        }
        let timestamp = std::mem::take(&mut self.timestamp);
        let decision = if entry.granted { "granted" } else { "refused" };
        self.put(&[
            r#"{"timestamp":""#,
            &timestamp,
            r#"","level":"INFO","target":"audit","decision":""#,
            decision,
            r#"","code":""#,
            entry.code,
            "\"",
        ]);
        self.timestamp = timestamp;
        if let Some(purpose) = entry.purpose {
            self.put(&[r#","purpose":""#, purpose, "\""]);
        }
        if let Some(subject) = &entry.subject {
            self.put(&[subject.place]);
            for (name, value) in [(r#","viewer":""#, subject.viewer), (r#","token":""#, subject.token)] {
                if let Some(value) = value {
                    self.put(&[name, value, "\""]);
                }
            }
        }
        self.put(&[r#","caller":""#]);
        match entry.caller.origin {
            Origin::Address(address) => self.put_address(address),
            Origin::User(uid) => self.put(&["uid:", itoa::Buffer::new().format(uid)]),
        }
        if let Some(certificate) = &entry.caller.certificate {
            self.put(&[r#"","caller_certificate":""#, certificate.as_str()]);
        }
        self.put(&["\"}\n"]);
    }

    /// Digit by digit: std's formatting would cost more than the rest of the line, 1,100 instructions.
    fn put_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                for (octet, end) in [(a, "."), (b, "."), (c, "."), (d, "")] {
                    self.put(&[itoa::Buffer::new().format(octet), end]);
                }
            }
            // Writing to a Vec cannot fail.
            IpAddr::V6(address) => drop(write!(self.text, "{address}")),
        }
    }

    fn put(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.text.extend_from_slice(part.as_bytes()));
    }
}

/// The part of an entry that stays the same for one embed, rendered once.
pub fn place(embed: &str, upstream: &str) -> String {
    format!(r#","embed":"{embed}","upstream":"{upstream}""#)
}

/// The same, where there is no embed.
pub fn upstream_place(upstream: &str) -> String {
    format!(r#","upstream":"{upstream}""#)
}

/// The same for a route.
pub fn route_place(route: &str, upstream: &str) -> String {
    format!(r#","route":"{route}","upstream":"{upstream}""#)
}

/// Turns viewer ids into texts that only the holder of the key can trace back.
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// With the operator's key: stable over restarts and replicas.
    pub fn keyed(key: &Secret) -> Pseudonyms {
        Pseudonyms(hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()))
    }

    /// With a key of this process only.
    pub fn of_this_process() -> Pseudonyms {
        // The standard library's hasher keys come from the system's randomness. aws-lc's own generator
        // gathers CPU jitter when first used, which costs 50 ms that a start need not pay for a key
        // that lasts as long as the process.
        let words = [0u64; 4].map(|_| RandomState::new().hash_one("sidemint audit"));
        let key: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Pseudonyms(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// 16 hex digits for the audit trail.
    pub fn short(&self, id: &str) -> ShortHex {
        ShortHex::of(hmac::sign(&self.0, id.as_bytes()).as_ref())
    }

    /// 32 hex digits, to stand for the id at a vendor.
    pub fn long(&self, id: &str) -> String {
        let tag = hmac::sign(&self.0, id.as_bytes());
        let tag = tag.as_ref();
        let (first, second) = (ShortHex::of(tag), ShortHex::of(tag.get(8..).unwrap_or_default()));
        [first.as_str(), second.as_str()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_and_names_nobody() {
        let pseudonyms = Pseudonyms::keyed(&Secret::new("key".into()));
        let viewer = pseudonyms.short("u-4711");
        let place = place("sales", "acme");
        let subject = Some(Subject { place: &place, viewer: Some(viewer.as_str()), token: Some("0123456789abcdef") });
        let mut lines = Lines::default();
        let caller = Peer::at(IpAddr::from([127, 0, 0, 1]));
        lines.push(&Entry { at: 1_795_284_000, granted: true, code: "hit", purpose: Some("load"), subject, caller });
        lines.push(&Entry {
            at: 1_795_284_000,
            granted: false,
            code: "forbidden_host",
            purpose: None,
            subject: None,
            caller,
        });
        let text = String::from_utf8(lines.text).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["timestamp"], "2026-11-21T18:00:00Z");
        assert_eq!(lines[0]["decision"], "granted");
        assert_eq!(lines[0]["viewer"], viewer.as_str());
        assert_eq!(lines[1]["code"], "forbidden_host");
        assert!(!text.contains("u-4711"));
    }

    #[test]
    fn t6_a_caller_is_an_address_or_a_user_and_perhaps_a_certificate() {
        let certificate = Some(ShortHex::of(&[0xab; 32]));
        for (caller, origin, shown) in [
            (Peer::at([10, 0, 0, 1].into()), "10.0.0.1", None),
            (Peer::at("fd00::7".parse().unwrap()), "fd00::7", None),
            (Peer::user(0), "uid:0", None),
            (Peer::user(u32::MAX), "uid:4294967295", None),
            (Peer { certificate, ..Peer::at([10, 0, 0, 1].into()) }, "10.0.0.1", Some("abababababababab")),
        ] {
            let mut lines = Lines::default();
            lines.push(&Entry { at: 0, granted: true, code: "hit", purpose: None, subject: None, caller });
            let line: serde_json::Value = serde_json::from_slice(&lines.text).unwrap();
            assert_eq!((line["caller"].as_str(), line["caller_certificate"].as_str()), (Some(origin), shown));
        }
    }

    #[test]
    fn pseudonyms_are_stable_under_one_key_only() {
        let (a, b) = (Pseudonyms::keyed(&Secret::new("a".into())), Pseudonyms::keyed(&Secret::new("b".into())));
        assert_eq!(a.short("x"), Pseudonyms::keyed(&Secret::new("a".into())).short("x"));
        assert_ne!(a.short("x"), b.short("x"));
        assert_eq!(a.long("x").len(), 32);
        assert!(a.long("x").starts_with(a.short("x").as_str()));
    }
}
