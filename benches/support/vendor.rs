//! A vendor with three endpoints, which does nothing but answer. Its tokens are opaque, so that
//! neither side spends anything on signatures, and as long as the benchmark wants them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;

pub struct Vendor {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    calls: AtomicU64,
    token_length: AtomicUsize,
}

/// With it, the sidecar's reply has a body of about 1,200 bytes, the one that the anchors have.
pub const TOKEN_LENGTH: usize = 900;

impl Vendor {
    /// Serves until the process ends, on threads of its own.
    pub fn start() -> Result<Vendor> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { calls: AtomicU64::new(0), token_length: AtomicUsize::new(TOKEN_LENGTH) });
        let seen = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&seen);
                // A connection ends with an error when the sidecar does.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(Vendor { port, shared })
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How long the tokens are from now on.
    pub fn set_token_length(&self, length: usize) {
        self.shared.token_length.store(length, Ordering::Relaxed);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = (BufReader::new(stream), stream);
        let (mut line, mut body) = (String::new(), Vec::new());
        loop {
            let (mut is_token_info, mut length) = (false, 0);
            loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim_end().to_ascii_lowercase();
                is_token_info |= line.starts_with("get ");
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse()?;
                }
                if line.is_empty() {
                    break;
                }
            }
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            let number = self.calls.fetch_add(1, Ordering::Relaxed);
            writer.write_all(self.answer(is_token_info, number).as_bytes())?;
        }
    }

    fn answer(&self, is_token_info: bool, number: u64) -> String {
        let json = if is_token_info {
            r#"{"authorization_details":[{"type":"workspace_permission","object_type":"dashboards"}],"scope":"dashboards.query-execution"}"#.to_owned()
        } else {
            let length = self.token_length.load(Ordering::Relaxed);
            format!(r#"{{"access_token":"{number:0>length$}","token_type":"Bearer","expires_in":3600}}"#)
        };
        let length = json.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}")
    }
}
