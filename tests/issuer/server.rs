//! The issuer's server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::answer::{Answer, Manner};
use super::{keys, set, tls};

/// Where the keys are, behind the issuer's own path.
const KEYS: &str = "/keys";
/// OpenID Connect Discovery 1.0 section 4.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// An issuer, which ends with this.
pub struct Issuer {
    address: SocketAddr,
    path: String,
    authority: Option<String>,
    tls: Option<Arc<ServerConfig>>,
    /// A port of our own on which nobody listens yet.
    reserved: Mutex<Option<Socket>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    /// Every path that was asked for, oldest first.
    asked: Vec<String>,
    /// What was said along with it.
    heads: Vec<String>,
    stopped: bool,
}

impl Issuer {
    /// With the usual keys, at a path, which is the harder case of discovery.
    pub fn start() -> Issuer {
        Issuer::reserve("/realms/x", false).open()
    }

    /// With nothing behind the host.
    pub fn at_the_root() -> Issuer {
        Issuer::reserve("", false).open()
    }

    /// With TLS of an authority of its own.
    pub fn with_tls() -> Issuer {
        Issuer::reserve("/realms/x", true).open()
    }

    /// With nobody who listens, before [`Issuer::open`]: connections are refused.
    pub fn closed() -> Issuer {
        Issuer::reserve("/realms/x", false)
    }

    fn reserve(path: &str, tls: bool) -> Issuer {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a free port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
        let made = tls.then(tls::make);
        let issuer = Issuer {
            address,
            path: path.to_owned(),
            authority: made.as_ref().map(|(_, pem)| pem.clone()),
            tls: made.map(|(config, _)| config),
            reserved: Mutex::new(Some(socket)),
            shared: Arc::default(),
        };
        issuer.publish(&[keys::rsa().jwk(), keys::p256().jwk()]);
        issuer.discover(json!({"issuer": issuer.url(), "jwks_uri": issuer.keys_url()}));
        issuer
    }

    /// Begins to listen.
    pub fn open(self) -> Issuer {
        self.listen();
        self
    }

    /// The same, for one that tests hold already.
    pub fn listen(&self) {
        let socket = self.reserved.lock().expect("no test panics here").take().expect("it does not listen yet");
        socket.listen(1024).expect("the port is ours");
        let (listener, shared, tls) = (TcpListener::from(socket), Arc::clone(&self.shared), self.tls.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.state().stopped {
                    break;
                }
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                // Whoever has gone has gone.
                thread::spawn(move || serve(stream, tls, &shared).ok());
            }
        });
    }

    // ---- where it is -----------------------------------------------------------------------------------------------

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name: the claim `iss`.
    pub fn url(&self) -> String {
        self.place(&self.path)
    }

    /// The set of keys that it publishes.
    pub fn keys_url(&self) -> String {
        self.place(&self.keys_path())
    }

    /// Any place of this server.
    pub fn place(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    fn keys_path(&self) -> String {
        format!("{}{KEYS}", self.path)
    }

    fn discovery_path(&self) -> String {
        format!("{}{DISCOVERY}", self.path)
    }

    /// The authority to trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.as_deref().expect("it serves TLS")
    }

    // ---- levers ----------------------------------------------------------------------------------------------------

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[Value]) {
        self.keys(Answer::json(set(keys)));
    }

    /// What is answered where the keys should be.
    pub fn keys(&self, answer: Answer) {
        self.serve(&self.keys_path(), answer);
    }

    /// The discovery document.
    pub fn discover(&self, document: Value) {
        self.discovery(Answer::json(document.to_string()));
    }

    /// What is answered where the discovery document should be.
    pub fn discovery(&self, answer: Answer) {
        self.serve(&self.discovery_path(), answer);
    }

    /// What is answered at this place.
    pub fn serve(&self, path: &str, answer: Answer) {
        self.shared.state().answers.insert(path.to_owned(), answer);
        self.shared.changed.notify_all();
    }

    // ---- what came -------------------------------------------------------------------------------------------------

    /// How often the discovery document and the keys were asked for.
    pub fn fetches(&self) -> (usize, usize) {
        (self.asked(&self.discovery_path()), self.asked(&self.keys_path()))
    }

    /// How often this place was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shared.state().asked.iter().filter(|other| *other == path).count()
    }

    /// Every request's head so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.state().heads.clone()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.changed.notify_all();
        // The accepting thread looks up when somebody comes.
        if self.reserved.lock().expect("no test panics here").is_none() {
            let _ = TcpStream::connect(self.address);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with this in hand")
    }

    /// Waits so long, or less if all of it ends.
    fn wait(&self, span: Duration) {
        drop(self.changed.wait_timeout_while(self.state(), span, |state| !state.stopped));
    }
}

/// One request on a connection of its own.
fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    let Some(config) = tls else { return converse(stream.try_clone()?, &stream, shared) };
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut line = StreamOwned::new(connection, stream.try_clone()?);
    converse(&mut line, &stream, shared)?;
    line.conn.send_close_notify();
    line.flush()
}

fn converse(mut line: impl Read + Write, socket: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut line);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    drop(reader);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut state = shared.state();
        state.heads.push(head);
        let answer = state.answers.get(&path).cloned().unwrap_or_else(|| Answer::status(404));
        state.asked.push(path);
        answer
    };
    say(&mut line, socket, &answer, shared)
}

fn say(line: &mut impl Write, socket: &TcpStream, answer: &Answer, shared: &Shared) -> std::io::Result<()> {
    let Answer { body, manner, .. } = answer;
    match manner {
        Manner::Gone => return socket.shutdown(Shutdown::Both),
        Manner::Never => {
            shared.wait(Duration::from_secs(3600));
            return Ok(());
        }
        Manner::Late(span) => shared.wait(*span),
        Manner::Whole | Manner::Half | Manner::Drip(_) => {}
    }
    line.write_all(&answer.head())?;
    match manner {
        Manner::Half => line.write_all(body.get(..body.len() / 2).unwrap_or_default())?,
        Manner::Drip(span) => {
            for byte in body {
                line.write_all(&[*byte])?;
                line.flush()?;
                shared.wait(*span);
            }
        }
        _ => line.write_all(body)?,
    }
    line.flush()
}
