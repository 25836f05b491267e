//! The local defence: what is refused before any work.
//!
//! Whoever reaches a loopback port is not therefore a friend: a browser on the same machine can be
//! made to send requests (CSRF, DNS rebinding), an app can be made to fetch a URL (SSRF), and a
//! forwarding proxy can be made to pass one on. Each of these lacks something here, or brings
//! something along that gives it away. Underscore spellings count as the headers they imitate.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, ORIGIN};
use http::{Method, Uri};

use crate::config::Listen;
use crate::model::{Code, Fault, Secret};

/// Request heads are a few hundred bytes; this leaves room for the cookies that browsers send along.
const MAX_HEAD: usize = 16 << 10;

/// What clients call this machine.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// What is asked of every request.
pub struct Rules {
    hosts: Hosts,
    origins: Vec<String>,
    forwarded: bool,
}

/// What a caller must show.
pub enum Proof<'a> {
    /// Nothing.
    None,
    /// `Sidemint-Request: true`, which no simple request forgery can set.
    Header,
    /// One of these secrets in that header.
    Secret(&'a [Arc<Secret>]),
}

/// How a request may go on.
#[derive(Debug)]
pub enum Pass<'a> {
    /// To its handler.
    Through {
        /// A browser's allowed origin, to be named in the reply.
        origin: Option<&'a HeaderValue>,
    },
    /// A CORS preflight of an allowed origin, to be answered as such.
    Preflight(&'a HeaderValue),
}

struct Hosts {
    exact: Vec<String>,
    any_port: Vec<String>,
}

/// The headers that matter here.
#[derive(Default)]
struct Seen<'a> {
    host: Once<'a>,
    origin: Once<'a>,
    fetch_site: Once<'a>,
    proof: Once<'a>,
    coding: Once<'a>,
    forwarded: bool,
    bytes: usize,
}

/// A header that may be there once.
#[derive(Default)]
struct Once<'a> {
    value: Option<&'a HeaderValue>,
    again: bool,
}

impl<'a> Once<'a> {
    fn see(&mut self, value: &'a HeaderValue) {
        self.again = self.value.replace(value).is_some();
    }
}

impl Rules {
    /// Rules of a listener at these places; `extra` names are accepted with any port.
    pub fn new(places: &[Listen], extra: &[String], origins: &[String], allow_forwarded: bool) -> Rules {
        // A path has no name and no port: clients say `localhost`.
        let mut exact: Vec<String> = LOCAL.map(str::to_owned).into();
        for address in places.iter().filter_map(Listen::tcp) {
            let own = address.ip().to_string();
            let own = if address.is_ipv6() { format!("[{own}]") } else { own };
            // 0.0.0.0 and [::] are no names to call us by.
            let named = (!address.ip().is_unspecified()).then_some(own.as_str());
            for name in LOCAL.into_iter().chain(named) {
                exact.extend([format!("{name}:{}", address.port()), name.to_owned()]);
            }
        }
        let (with_port, any_port) = extra.iter().cloned().partition(|host| has_port(host));
        exact.extend::<Vec<String>>(with_port);
        Rules { hosts: Hosts { exact, any_port }, origins: origins.to_vec(), forwarded: allow_forwarded }
    }

    /// Judges a request by its head.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check<'a>(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &'a HeaderMap,
        proof: &Proof<'_>,
    ) -> Result<Pass<'a>, Fault> {
        if uri.authority().is_some() || !uri.path().starts_with('/') {
            return Err(Fault::new(Code::MalformedRequest, "the request target must be a path"));
        }
        let seen = Seen::of(headers);
        if !well_framed(&seen.coding) {
            return Err(Fault::new(Code::MalformedRequest, "Transfer-Encoding must be exactly one `chunked`"));
        }
        if seen.bytes + uri.path_and_query().map_or(0, |path| path.as_str().len()) > MAX_HEAD {
            return Err(Fault::new(Code::HeadersTooLarge, "the request head is over 16 KiB"));
        }
        self.check_host(&seen.host)?;
        if seen.forwarded && !self.forwarded {
            return Err(Fault::new(
                Code::ForwardedRequest,
                "the request carries forwarding headers, so it came from elsewhere; set server.allow_forwarded where a mesh adds them",
            ));
        }
        let origin = self.check_origin(&seen)?;
        if let Some(origin) = origin
            && method == Method::OPTIONS
        {
            return Ok(Pass::Preflight(origin));
        }
        check_proof(&seen.proof, proof)?;
        Ok(Pass::Through { origin })
    }

    /// The origin of a request, if its browser may read the answer.
    pub fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        headers.get(ORIGIN).filter(|origin| self.lists(origin))
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| origin == allowed.as_str())
    }

    fn check_host(&self, host: &Once<'_>) -> Result<(), Fault> {
        let name = host.value.and_then(|host| host.to_str().ok()).filter(|_| !host.again);
        if name.is_some_and(|name| self.hosts.accept(name)) {
            return Ok(());
        }
        let detail = "the Host is none of ours, as in DNS rebinding; name it in server.allowed_hosts if it is";
        Err(Fault::new(Code::ForbiddenHost, detail))
    }

    fn check_origin<'a>(&self, seen: &Seen<'a>) -> Result<Option<&'a HeaderValue>, Fault> {
        let forbidden = |detail| Err(Fault::new(Code::ForbiddenOrigin, detail));
        if let Some(origin) = seen.origin.value {
            if seen.origin.again || !self.lists(origin) {
                return forbidden(
                    "browsers of this origin may not call; list it in server.allowed_origins if they may",
                );
            }
            return Ok(Some(origin));
        }
        match seen.fetch_site.value {
            Some(site) if seen.fetch_site.again || (site != "none" && site != "same-origin") => {
                forbidden("a browser sent this request for another site")
            }
            _ => Ok(None),
        }
    }
}

impl Hosts {
    /// Compared byte for byte: `LOCALHOST`, `localhost.` and `127.1` are what attacks look like,
    /// not what clients send.
    fn accept(&self, name: &str) -> bool {
        if self.exact.iter().any(|host| host == name) {
            return true;
        }
        let bare = match name.rsplit_once(':') {
            Some((bare, port)) if has_port(name) && port.bytes().all(|b| b.is_ascii_digit()) => bare,
            _ => name,
        };
        self.any_port.iter().any(|host| host == bare)
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'))
}

impl<'a> Seen<'a> {
    fn of(headers: &'a HeaderMap) -> Seen<'a> {
        let mut seen = Seen::default();
        for (name, value) in headers {
            let name = name.as_str();
            seen.bytes += name.len() + value.len();
            // A search for a char costs more than the whole rest of this loop, where the name has none.
            if name.bytes().any(|byte| byte == b'_') {
                seen.note(&name.replace('_', "-"), value);
            } else {
                seen.note(name, value);
            }
        }
        seen
    }

    fn note(&mut self, name: &str, value: &'a HeaderValue) {
        match name {
            "host" => self.host.see(value),
            "origin" => self.origin.see(value),
            "sec-fetch-site" => self.fetch_site.see(value),
            "sidemint-request" => self.proof.see(value),
            "transfer-encoding" => self.coding.see(value),
            "forwarded" | "via" | "x-real-ip" => self.forwarded = true,
            name if name.starts_with("x-forwarded-") => self.forwarded = true,
            _ => {}
        }
    }
}

fn check_proof(shown: &Once<'_>, asked: &Proof<'_>) -> Result<(), Fault> {
    let shown = shown.value.filter(|_| !shown.again).map(HeaderValue::as_bytes);
    match asked {
        Proof::None => Ok(()),
        Proof::Header if shown == Some(b"true") => Ok(()),
        Proof::Header => Err(Fault::new(Code::MissingRequestHeader, "send the header `Sidemint-Request: true`, once")),
        // All are compared, whichever matches.
        Proof::Secret(secrets)
            if secrets.iter().fold(false, |any, secret| secret.matches(shown.unwrap_or_default()) | any) =>
        {
            Ok(())
        }
        Proof::Secret(_) => Err(Fault::new(
            Code::CallerUnauthenticated,
            "send the caller secret in the header `Sidemint-Request`, once",
        )),
    }
}

/// hyper refuses most ambiguous framing; of what it lets pass (`gzip, chunked`, `chunked` twice) we
/// want nothing.
fn well_framed(coding: &Once<'_>) -> bool {
    coding.value.is_none_or(|one| !coding.again && one.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests;
