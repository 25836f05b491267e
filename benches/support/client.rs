//! A client of raw sockets: it writes bytes that were rendered once, and reads until it has as many
//! as a reply has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::vendor::TOKEN_LENGTH;

/// A request as it goes out.
pub struct Request(pub Vec<u8>);

impl Request {
    /// The cheap form.
    pub fn get(port: u16, viewer: &str) -> Request {
        Request(
            format!(
                "GET /v1/embeds/sales/token?viewer_id={viewer} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
                 Sidemint-Request: true\r\nSidemint-Viewer-Value: emea\r\n\r\n"
            )
            .into_bytes(),
        )
    }

    /// The form with all fields.
    pub fn post(port: u16, viewer: &str, purpose: &str) -> Request {
        let body = format!(r#"{{"viewer":{{"id":"{viewer}","value":"emea"}},"purpose":"{purpose}"}}"#);
        Request(
            format!(
                "POST /v1/embeds/sales/token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nSidemint-Request: true\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

impl Request {
    /// Through the route of [`super::proxying`]. The other proxies get the same bytes, to be fair to both sides.
    pub fn proxied(port: u16) -> Request {
        Request::for_target(port, "")
    }

    /// To the target, as a proxy would send it.
    pub fn straight(port: u16) -> Request {
        Request::for_target(port, &format!("Authorization: Bearer {}\r\n", "0".repeat(TOKEN_LENGTH)))
    }

    fn for_target(port: u16, more: &str) -> Request {
        Request(
            format!(
                "GET /proxy/bench/api/items?page=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\n\
                 Accept: */*\r\nSidemint-Request: true\r\n{more}\r\n"
            )
            .into_bytes(),
        )
    }
}

/// A blocking connection, for one request after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, trying for a minute: a server under valgrind takes seconds to come up.
    pub fn open_patiently(port: u16) -> Result<Connection> {
        let begin = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                    return Ok(Connection { stream, buffer: Vec::new() });
                }
                Err(error) => ensure!(begin.elapsed() < Duration::from_secs(60), "port {port}: {error}"),
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// The whole answer, head and body.
    pub fn ask(&mut self, request: &Request) -> Result<&[u8]> {
        self.send(request)?;
        self.receive()
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        Ok(self.stream.write_all(&request.0)?)
    }

    fn receive(&mut self) -> Result<&[u8]> {
        self.buffer.clear();
        let mut chunk = [0; 16 << 10];
        loop {
            let read = self.stream.read(&mut chunk)?;
            ensure!(read > 0, "the server hung up");
            self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if answer_length(&self.buffer)?.is_some_and(|length| self.buffer.len() >= length) {
                return Ok(&self.buffer);
            }
        }
    }

    /// Asks so many times, and sees that each is granted.
    pub fn repeat(&mut self, request: &Request, times: usize) -> Result<()> {
        for _ in 0..times {
            let answer = self.ask(request)?;
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
        }
        Ok(())
    }
}

/// Asks on all connections at once, so many times, and sees that each ask is granted.
pub fn repeat_on_all(connections: &mut [Connection], request: &Request, times: usize) -> Result<()> {
    for _ in 0..times {
        connections.iter_mut().try_for_each(|connection| connection.send(request))?;
        for connection in &mut *connections {
            let answer = connection.receive()?;
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
        }
    }
    Ok(())
}

/// Where the body begins.
pub fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// How long the answer will be, once its head is there.
pub fn answer_length(answer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = head_end(answer) else { return Ok(None) };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no content-length")?;
    Ok(Some(end + length.trim().parse::<usize>()?))
}
