//! What can go wrong, in one vocabulary: what happened, whose fault it is, when to try again, what
//! the public may know. Only [`crate::edge::respond`] turns it into HTTP.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What a caller should do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request is wrong: change it.
    Request,
    /// The caller or viewer is not allowed: do not repeat.
    Refused,
    /// Something passes: try again after `retry_after`.
    Retry,
    /// Something is set up wrongly here or at the vendor: a person must act.
    Configuration,
}

impl Class {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Request => "request",
            Class::Refused => "refused",
            Class::Retry => "retry",
            Class::Configuration => "configuration",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $class:ident $title:literal;)*) => {
        /// Everything that a caller can be told; the names and statuses are fixed by the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each title says it")]
        pub enum Code { $($variant),* }

        impl Code {
            /// Each code once, in the order of the contract.
            pub const ALL: &[Code] = &[$(Code::$variant),*];
            /// The word of the contract.
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $text),* } }
            /// The HTTP status.
            pub fn status(self) -> u16 { match self { $(Code::$variant => $status),* } }
            /// Who should do what.
            pub fn class(self) -> Class { match self { $(Code::$variant => Class::$class),* } }
            /// One short sentence.
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title),* } }
        }
    };
}

codes! {
    MalformedRequest "malformed_request" 400 Request "The request is malformed";
    CallerUnauthenticated "caller_unauthenticated" 401 Refused "The caller has not proved who it is";
    ViewerUnauthenticated "viewer_unauthenticated" 401 Refused "The viewer has not proved who they are";
    MissingRequestHeader "missing_request_header" 403 Refused "The Sidemint-Request header is missing or wrong";
    ForbiddenHost "forbidden_host" 403 Refused "The Host is not one of ours";
    ForbiddenOrigin "forbidden_origin" 403 Refused "Browsers of this origin may not call";
    ForwardedRequest "forwarded_request" 403 Refused "The request came through a proxy";
    ViewerMismatch "viewer_mismatch" 403 Refused "The request names another viewer than the one proved";
    RouteDenied "route_denied" 403 Refused "The route does not allow this method and path";
    UnknownEmbed "unknown_embed" 404 Request "No such embed in the configuration";
    UnknownRoute "unknown_route" 404 Request "No such route in the configuration";
    UnknownUpstream "unknown_upstream" 404 Request "No such upstream in the configuration";
    NotFound "not_found" 404 Request "Nothing here";
    MethodNotAllowed "method_not_allowed" 405 Request "The method is not allowed here";
    BodyTooLarge "body_too_large" 413 Request "The request body is too large";
    UnsupportedMediaType "unsupported_media_type" 415 Request "The body must be application/json";
    HeadersTooLarge "headers_too_large" 431 Request "The request head is too large";
    InvalidViewer "invalid_viewer" 422 Request "The viewer is not acceptable";
    InvalidParameters "invalid_parameters" 422 Request "A parameter is not acceptable";
    LoadLimited "load_limited" 429 Retry "Too many dashboards are starting to load";
    ViewerLimited "viewer_limited" 429 Retry "This viewer starts too many dashboards";
    CredentialsRejected "upstream_credentials_rejected" 502 Configuration "The vendor rejected the service credential";
    Denied "upstream_denied" 502 Configuration "The vendor denied access";
    UpstreamNotFound "upstream_not_found" 502 Configuration "The vendor does not know the item";
    Rejected "upstream_rejected" 502 Configuration "The vendor refused the content of the request";
    Malformed "upstream_malformed" 502 Configuration "The vendor's answer makes no sense";
    Unavailable "upstream_unavailable" 503 Retry "The vendor is not available";
    Throttled "upstream_throttled" 503 Retry "The vendor is throttling";
    Draining "draining" 503 Retry "Shutting down";
    Timeout "upstream_timeout" 504 Retry "The vendor did not answer in time";
    Internal "internal" 500 Retry "A fault of our own";
}

/// One thing that went wrong. Cheap to clone, because all who wait on one flight share it.
#[derive(Clone, Debug)]
pub struct Fault(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    remembered: bool,
}

impl Fault {
    /// A fault with a public sentence. The sentence holds no secret, token, external value or
    /// viewer id: it goes to callers and logs as it is.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Fault {
        Fault(Arc::new(Inner { code, detail: detail.into(), retry_after: None, remembered: false }))
    }

    /// The same fault, with the time after which another try makes sense.
    pub fn retry_after(self, after: Duration) -> Fault {
        Fault(Arc::new(Inner { retry_after: Some(after), ..Inner::clone(&self.0) }))
    }

    /// The same fault, told again from memory.
    pub fn remembered(self) -> Fault {
        Fault(Arc::new(Inner { remembered: true, ..Inner::clone(&self.0) }))
    }

    /// Whether it is told again from memory, so that it need not be counted and logged again.
    pub fn is_remembered(&self) -> bool {
        self.0.remembered
    }

    /// What happened.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The public sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// When another try makes sense, if that is known.
    pub fn retry_hint(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the vendor may well be fine in a moment; a person need not act.
    pub fn is_transient(&self) -> bool {
        self.code().class() == Class::Retry
    }

    /// Whether a token in hand may still be shown in spite of this fault. An outage or an expired
    /// service credential is the operator's trouble, and a "no" that names its own end is about an
    /// allowance; a plain "no" to this viewer is neither.
    pub fn spares_held_tokens(&self) -> bool {
        let ends = self.code() == Code::Denied && self.retry_hint().is_some();
        ends || self.is_transient() || matches!(self.code(), Code::CredentialsRejected | Code::Malformed)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code().as_str(), self.detail())
    }
}

impl std::error::Error for Fault {}
