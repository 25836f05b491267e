//! A sidecar with a route. The upstream is called `acme`, as everywhere in these tests, and the route `app`.

use http::Request;
use http_body_util::Full;
use sidemint::emulator::{AppRefusal, Emulator, Fault, JournalEntry, Operation, Settings};

use super::line::{Answer, Line, patiently};
use crate::support::{Reply, Setup, Stage, emulator};

/// What every caller sends.
pub const PROOF: (&str, &str) = ("sidemint-request", "true");

/// A route, by default to everything under `/api/`.
#[derive(Clone)]
pub struct Route {
    allow: String,
    keys: String,
    more: String,
    server: String,
    upstream: String,
}

impl Default for Route {
    fn default() -> Route {
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let allow = methods.map(|method| format!("{method} /api/**")).join(", ");
        Route { allow, keys: String::new(), more: String::new(), server: String::new(), upstream: String::new() }
    }
}

impl Route {
    /// The rules, separated by commas.
    pub fn allow(self, rules: &str) -> Route {
        Route { allow: rules.to_owned(), ..self }
    }

    /// Keys of the route, in flow style.
    pub fn keys(self, keys: &str) -> Route {
        Route { keys: format!(", {keys}"), ..self }
    }

    /// Another route to the same target, with these keys.
    pub fn also(mut self, name: &str, keys: &str) -> Route {
        self.more += &format!("  {name}: {{upstream: acme, target: 'TARGET', {keys}}}\n");
        self
    }

    /// Keys of `server`, in flow style.
    pub fn server(self, keys: &str) -> Route {
        Route { server: keys.to_owned(), ..self }
    }

    /// Keys of the upstream, in flow style.
    pub fn upstream(self, keys: &str) -> Route {
        Route { upstream: keys.to_owned(), ..self }
    }

    /// What the sidecar is told, for this target.
    pub fn setup(&self, target: &str) -> Setup {
        let Route { allow, keys, more, .. } = self;
        let more = more.replace("TARGET", target);
        let routes = format!("routes:\n  app: {{upstream: acme, target: '{target}', allow: [{allow}]{keys}}}\n{more}");
        Setup::default().server(&self.server).upstream(&self.upstream).more(&routes)
    }

    /// Starts the sidecar, with the service token in hand, in front of the emulator's app.
    pub async fn before_app(self) -> Stage {
        let vendor = emulator().await;
        self.before_app_of(vendor).await
    }

    pub async fn before_app_of(self, vendor: Emulator) -> Stage {
        let target = vendor.app_url();
        self.beside(vendor, &target).await
    }

    /// Starts the sidecar, with the service token in hand, in front of this target.
    pub async fn to(self, target: &str) -> Stage {
        self.beside(emulator().await, target).await
    }

    pub async fn beside(self, vendor: Emulator, target: &str) -> Stage {
        self.setup(target).beside(vendor).await.warmed().await
    }
}

/// An emulator that serves TLS, HTTP/2 or not, and its authority in a file, which goes with the folder.
pub async fn with_tls(http2: bool) -> (Emulator, String, tempfile::TempDir) {
    let vendor = Emulator::start(Settings { tls: true, http2, ..Settings::default() }).await.expect("a free port");
    let (path, folder) = crate::support::file_with(vendor.ca_pem().expect("it serves TLS"));
    (vendor, format!("ca_file: {}", path.display()), folder)
}

/// A request through the route, as every caller sends it.
pub async fn send(stage: &Stage, method: &str, path: &str, body: &str) -> Reply {
    let path = format!("/proxy/app{path}");
    patiently(stage.send(method, &path, &[PROOF], body.to_owned())).await
}

pub async fn get(stage: &Stage, path: &str) -> Reply {
    send(stage, "GET", path, "").await
}

/// A request whose answer may never come whole.
pub fn request(stage: &Stage, method: &str, path: &str) -> Request<Full<bytes::Bytes>> {
    let request = Request::builder().method(method).uri(stage.url(&format!("/proxy/app{path}")));
    request.header(PROOF.0, PROOF.1).body(Full::default()).expect("a request of known parts")
}

/// A connection of a caller.
pub async fn caller(stage: &Stage) -> Line {
    Line::to(host(stage)).await
}

/// The name and port by which callers know the sidecar.
pub fn host(stage: &Stage) -> String {
    stage.app.addresses().first().expect("the token API listens").to_string()
}

/// A head of a request through the route, as it should be but for what is put in; with the empty line.
pub fn head(stage: &Stage, line: &str, headers: &str) -> String {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    raw(stage, &format!("{method} /proxy/app{path} HTTP/1.1"), headers)
}

/// The same with a first line of the test's own. Headers end with CRLF.
pub fn raw(stage: &Stage, line: &str, headers: &str) -> String {
    format!("{line}\r\nHost: {}\r\nSidemint-Request: true\r\n{headers}\r\n", host(stage))
}

/// The answer to these bytes on a connection of their own.
pub async fn ask(stage: &Stage, bytes: &str) -> Option<Answer> {
    let mut line = caller(stage).await;
    line.say(bytes).await;
    line.answer().await
}

/// What arrived at the emulator's app, oldest first.
pub fn at_app(stage: &Stage) -> Vec<JournalEntry> {
    stage.vendor.journal().into_iter().filter(|entry| entry.operation == Operation::App).collect()
}

/// How many service tokens and tokens of the app were fetched, and how many requests came to the app.
pub fn fetched(stage: &Stage) -> (u64, u64, u64) {
    let count = |operation| stage.vendor.count(operation);
    (count(Operation::ServiceToken), count(Operation::AppToken), count(Operation::App))
}

/// The app refuses the token of so many requests.
pub fn refuse(stage: &Stage, how: AppRefusal, times: u32) {
    stage.vendor.inject(Fault { operation: "app".into(), refuse: Some(how), ..Fault::default() }.times(times));
}
