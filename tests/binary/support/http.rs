//! HTTP/1.1 by hand: a client that can also say what no client says.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::PATIENCE;
use super::secrecy::{self, reply::Heard, said};

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code of an error, or nothing.
    pub fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The token in it.
    pub fn token(&self) -> String {
        self.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token in {}", self.text())).to_owned()
    }
}

/// What bytes go over.
pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection. What goes over one to a sidecar is hidden, and what comes back is searched.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    is_ours: bool,
    said: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub fn to(address: SocketAddr) -> Wire {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Wire { is_ours: secrecy::is_ours(address), ..Wire::over(stream) }
    }

    /// Connects to a path.
    pub fn to_path(path: &Path) -> Wire {
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Wire::over(stream)
    }

    /// Takes a connection to a sidecar that is open.
    pub fn over(stream: impl Stream + 'static) -> Wire {
        Wire { stream: BufReader::new(Box::new(stream)), is_ours: true, said: Vec::new() }
    }

    /// The next byte; none if the connection is closed instead.
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    /// All bytes until the connection is closed or breaks, which it has to.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        let is_open = read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!is_open, "still open after {PATIENCE:?}");
        bytes
    }

    /// Writes these bytes. That the other side has closed is something that its answer tells.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Wire {
        if self.is_ours {
            said::request(bytes.as_ref());
            let head = bytes.as_ref().len().min(16 << 10);
            self.said.extend(bytes.as_ref().get(..head).unwrap_or_default());
        }
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
        self
    }

    /// The next answer; none if the connection is closed instead.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut reply = self.bodiless()?;
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a length is a number"));
        reply.body = vec![0; length];
        self.stream.read_exact(&mut reply.body).ok()?;
        self.judge(&reply);
        Some(reply)
    }

    /// All answers until the connection is closed.
    pub fn replies(&mut self) -> Vec<Reply> {
        std::iter::from_fn(|| self.reply()).collect()
    }

    /// The status and headers of the next answer, without its body: that of HEAD and CONNECT.
    pub fn head(&mut self) -> Option<u16> {
        let reply = self.bodiless()?;
        self.judge(&reply);
        Some(reply.status)
    }

    fn bodiless(&mut self) -> Option<Reply> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut reply = Reply { status, ..Reply::default() };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Some(reply) };
            reply.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn judge(&self, reply: &Reply) {
        if !self.is_ours {
            return;
        }
        let said = String::from_utf8_lossy(&self.said);
        let (status, body) = (reply.status, reply.body.as_slice());
        let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let asked = said.rsplit_once(" HTTP/1").map_or(&*said, |(before, _)| before);
        let asked = asked.rsplit_once('\n').map_or(asked, |(_, line)| line);
        Heard { asked, bare: said.contains("text/plain"), status, headers, body }.judge();
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        // An error is a reset: closed, too.
        self.stream.read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// One request on a connection of its own.
pub fn send(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let request = request(address, method, target, headers, body);
    Wire::to(address).say(request).reply().unwrap_or_else(|| panic!("{method} {target}: closed without an answer"))
}

/// The bytes of a well-formed request that ends its connection.
pub fn request(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let given = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !given("host") {
        text += &format!("Host: {address}\r\n");
    }
    if !given("connection") {
        text += "Connection: close\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}
