//! HTTP/1.1 by hand, for either side of the proxy: what a client library would not say, and bytes as they came.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use crate::support::ms;
use crate::support::secrecy::{self, reply::Heard, said};

/// One connection.
pub struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was said to a sidecar, which is hidden from its answers.
    said: Option<Vec<u8>>,
}

/// A first line and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub first: String,
    pub headers: Vec<(String, String)>,
}

/// What came behind a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub data: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether it ended as its head said it would.
    pub whole: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Body,
}

/// Waits for something that has to come.
pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    let result: Result<T, Elapsed> = timeout(ms(8000), what).await;
    result.expect("the other side says something within eight seconds")
}

impl Line {
    pub fn new(stream: TcpStream) -> Line {
        stream.set_nodelay(true).expect("a connection takes the option");
        let is_ours = stream.peer_addr().is_ok_and(secrecy::is_ours);
        Line { stream, buffer: Vec::new(), said: is_ours.then(Vec::new) }
    }

    pub async fn to(address: impl tokio::net::ToSocketAddrs) -> Line {
        Line::new(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Writes these bytes. That the other side has closed is something that its answer tells.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        if let Some(said) = &mut self.said {
            said::request(bytes.as_ref());
            said.extend(bytes.as_ref().iter().take(16 << 10));
        }
        let _ = patiently(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Says that nothing more will be said.
    pub async fn hush(&mut self) {
        self.stream.shutdown().await.expect("the other side is still there");
    }

    /// The next head; none if the connection ends instead.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Some(Head::parse(&self.take(end + 4)));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The same, however long it takes.
    pub async fn head_some_day(&mut self) -> Option<Head> {
        while self.buffer.is_empty() {
            let mut piece = [0; 4096];
            let length = self.stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
            self.buffer.extend(&piece[..length]);
        }
        self.head().await
    }

    /// The next answer; none if the connection ends instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let none = matches!(head.status(), 100..200 | 204 | 304);
        let body = if none { Body { whole: true, ..Body::default() } } else { self.body(&head).await };
        let answer = Answer { head, body };
        self.judge(&answer);
        Some(answer)
    }

    fn judge(&self, answer: &Answer) {
        let Some(said) = &self.said else { return };
        let said = String::from_utf8_lossy(said);
        let headers = answer.head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (status, body) = (answer.status(), &*answer.body.data);
        let asked = said.lines().next().unwrap_or_default();
        Heard { asked, bare: false, status, headers, body }.judge();
    }

    /// All answers until the connection ends.
    pub async fn answers(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            answers.push(answer);
        }
        answers
    }

    /// The body behind a head, framed as the head says. A request without a word on it has none.
    pub async fn body(&mut self, head: &Head) -> Body {
        if head.get("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        let length = head.get("content-length").map(|length| length.parse::<usize>().expect("a length is a number"));
        match length {
            Some(length) => {
                let data = self.exactly(length).await;
                Body { whole: data.len() == length, data, trailers: Vec::new() }
            }
            None if head.is_answer() => Body { data: self.rest().await, trailers: Vec::new(), whole: true },
            None => Body { whole: true, ..Body::default() },
        }
    }

    async fn chunks(&mut self) -> Body {
        let mut body = Body::default();
        while let Some(chunk) = self.chunk().await {
            if !chunk.is_empty() {
                body.data.extend(chunk);
                continue;
            }
            let Some(trailers) = self.trailers().await else { break };
            return Body { trailers, whole: true, ..body };
        }
        body
    }

    /// The next chunk of a body; an empty one is the last, and its trailers are still to be read. None if the
    /// connection ends instead.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line().await?;
        let length = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("`{line}` is no canonical chunk size"));
        if length == 0 {
            return Some(Vec::new());
        }
        let data = self.exactly(length).await;
        if data.len() < length || self.line().await? != *"" {
            return None;
        }
        Some(data)
    }

    pub async fn trailers(&mut self) -> Option<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(trailers);
            }
            trailers.push(field(&line));
        }
    }

    /// So many bytes, or fewer if the connection ends.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.more().await {}
        self.take(length.min(self.buffer.len()))
    }

    /// All that comes until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.take(end + 2);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// A reset is an end, too.
    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 << 10];
        let length = patiently(self.stream.read(&mut piece)).await.unwrap_or_default();
        self.buffer.extend(&piece[..length]);
        length > 0
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.buffer.drain(..length).collect()
    }
}

impl Head {
    /// What goes on to a target has to be canonical, so nothing else is understood here.
    fn parse(bytes: &[u8]) -> Head {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let head = Head { first, headers: lines.map(field).collect() };
        assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "bare line ends in {text:?}");
        head
    }

    /// The only value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there more than once: {all:?}");
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str()).collect()
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }

    pub fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{} is no status line", self.first))
    }

    fn is_answer(&self) -> bool {
        self.first.starts_with("HTTP/")
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.data).into_owned()
    }

    /// Status and word of a problem.
    pub fn refusal(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_slice(&self.body.data).unwrap_or_default();
        (self.status(), body["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is no header"));
    assert!(!name.contains(' ') && !name.is_empty(), "`{line}` is no canonical header");
    (name.to_owned(), value.trim_matches(' ').to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
