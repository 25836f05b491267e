//! A client that costs next to nothing: one connection, one question at a time.

use std::io::{self, BufRead, BufReader, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use crate::support::PATIENCE;
use crate::support::sidecar::{TOKEN, VALUE};

/// A connection that is kept.
pub struct Line(BufReader<Stamped>);

/// A connection, and when what was last read from it was here. By the system's word: a busy machine lets a reader wait
/// for a core, and what it reads came earlier than that.
struct Stamped {
    stream: TcpStream,
    at: Option<Instant>,
}

impl Read for Stamped {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut bytes = [IoSliceMut::new(bytes)];
        let read = recvmsg::<()>(self.stream.as_raw_fd(), &mut bytes, Some(&mut space), MsgFlags::empty())?;
        let stamp = read.cmsgs()?.find_map(|said| match said {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(SystemTime::UNIX_EPOCH + Duration::from(stamp)),
            _ => None,
        });
        let now = Instant::now();
        // It has none for what came before it began to look, which is the first of all.
        let age = stamp.and_then(|stamp| stamp.elapsed().ok()).unwrap_or_default();
        self.at = now.checked_sub(age);
        Ok(read.bytes)
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    /// When its first byte was here.
    pub at: Instant,
    pub retry_after: Option<u64>,
    pub body: String,
}

impl Answer {
    /// The status, and the code of an error.
    pub fn outcome(&self) -> String {
        let (_, code) = self.body.split_once("\"code\":\"").unwrap_or_default();
        let (code, _) = code.split_once('"').unwrap_or_default();
        format!("{} {code}", self.status).trim_end().to_owned()
    }
}

impl Line {
    /// Connects.
    pub fn to(address: SocketAddr) -> io::Result<Line> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::ReceiveTimestampns, &true)?;
        Ok(Line(BufReader::new(Stamped { stream, at: None })))
    }

    /// The same connection once more, to shut it.
    pub fn handle(&self) -> io::Result<TcpStream> {
        self.0.get_ref().stream.try_clone()
    }

    /// Asks a sidecar for the bare token of a viewer.
    pub fn ask(&mut self, viewer: &str, purpose: &str) -> io::Result<Answer> {
        let request = format!(
            "GET {TOKEN}?viewer_id={viewer}&purpose={purpose} HTTP/1.1\r\nHost: localhost\r\nSidemint-Request: true\r\n\
             Sidemint-Viewer-Value: {VALUE}\r\nAccept: text/plain\r\n\r\n"
        );
        self.say(&request)
    }

    /// Asks the vendor to show this dashboard, which counts as a load.
    pub fn load(&mut self, dashboard: &str, token: &str) -> io::Result<Answer> {
        let request = format!(
            "POST /api/emulator/dashboards/{dashboard}/load HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        self.say(&request)
    }

    fn say(&mut self, request: &str) -> io::Result<Answer> {
        self.0.get_mut().stream.write_all(request.as_bytes())?;
        let line = self.line()?;
        let at = self.0.get_ref().at.unwrap_or_else(Instant::now);
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let (mut length, mut retry_after) = (0, None);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let number = value.trim().parse().ok();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = number.unwrap_or_default(),
                "retry-after" => retry_after = number,
                _ => {}
            }
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or_default()];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, at, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
