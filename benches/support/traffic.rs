//! Both ends of a proxy in one thread: the clients that ask it and the target that answers it. Four system calls a
//! request and little else, since a proxy that has to wait for them is not measured at its best.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

use super::client::{Request, answer_length, head_end};
use super::vendor::TOKEN_LENGTH;

/// At once, each with one request in flight.
pub const CONNECTIONS: usize = 32;
/// Nobody takes that long over anything, not even under valgrind.
const STUCK: Duration = Duration::from_secs(60);
const LISTENER: Token = Token(usize::MAX - 1);

/// How long it goes on.
#[derive(Clone, Copy)]
pub enum Until {
    /// So many requests on each connection.
    Count(usize),
    Time(Duration),
}

/// What came of it.
pub struct Turn {
    /// Of each request, in microseconds.
    pub latencies: Vec<f64>,
    pub elapsed: Duration,
}

pub struct Traffic {
    poll: Poll,
    listener: TcpListener,
    port: u16,
    /// What the target answers.
    reply: Vec<u8>,
    /// The target's connections, each at the place that its token names less those of the clients.
    served: Vec<Option<Served>>,
    buffer: Vec<u8>,
}

impl Traffic {
    pub fn new() -> Result<Traffic> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let port = listener.local_addr()?.port();
        Ok(Traffic { poll, listener, port, reply: Vec::new(), served: Vec::new(), buffer: vec![0; 128 << 10] })
    }

    /// Where the target listens. It answers while there is a run.
    pub fn target(&self) -> u16 {
        self.port
    }

    /// How long the bodies of the target's answers are from now on.
    pub fn set_body(&mut self, length: usize) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
            Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: ";
        self.reply = format!("{head}{length}\r\n\r\n{}", "x".repeat(length)).into_bytes();
    }

    /// Asks whoever listens at a port, on fresh connections.
    pub fn run(&mut self, port: u16, request: &Request, until: Until) -> Result<Turn> {
        let known = self.served.len();
        let mut events = Events::with_capacity(4 * CONNECTIONS);
        let begin = Instant::now();
        let mut plan = Plan { request, until, begin, latencies: Vec::new() };
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for token in 0..CONNECTIONS {
            clients.push(Client::open(port, Token(token), self.poll.registry(), request)?);
        }
        while clients.iter().any(|client| !client.done) {
            if let Err(error) = self.poll.poll(&mut events, Some(STUCK)) {
                ensure!(error.kind() == ErrorKind::Interrupted, "{error}");
                continue;
            }
            ensure!(!events.is_empty(), "port {port} has not said a thing for {STUCK:?}");
            for event in &events {
                match clients.get_mut(event.token().0) {
                    Some(client) => client.hear(&mut self.buffer, &mut plan)?,
                    None => self.serve(event)?,
                }
            }
        }
        let (elapsed, count) = (begin.elapsed(), plan.latencies.len());
        // A proxy that opens a connection for each request is not set up as it should be.
        let opened = self.served.len() - known;
        ensure!(opened <= 2 * CONNECTIONS + count / 100, "{opened} connections to the target for {count} requests");
        Ok(Turn { latencies: plan.latencies, elapsed })
    }

    fn serve(&mut self, event: &Event) -> Result<()> {
        if event.token() == LISTENER {
            return self.accept();
        }
        let place = event.token().0 - CONNECTIONS;
        if let Some(slot) = self.served.get_mut(place)
            && let Some(served) = slot
            && !served.hear(event, &mut self.buffer, &self.reply)?
        {
            *slot = None;
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => bail!(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(CONNECTIONS + self.served.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.served.push(Some(Served { stream, head: Vec::new(), accepted: Vec::new(), unsent: None }));
        }
    }
}

/// What the clients of a run share.
struct Plan<'a> {
    request: &'a Request,
    until: Until,
    begin: Instant,
    latencies: Vec<f64>,
}

/// One who asks, one thing after the other.
struct Client {
    stream: TcpStream,
    asked: Instant,
    answers: usize,
    /// The answer that is coming in, while its head is not complete.
    begun: Vec<u8>,
    /// How much of it has yet to come, after that.
    missing: Option<usize>,
    /// The last head, and how long the answer was: most are like the one before.
    known: (Vec<u8>, usize),
    done: bool,
}

impl Client {
    fn open(port: u16, token: Token, registry: &Registry, request: &Request) -> Result<Client> {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE)?;
        let (begun, known) = (Vec::new(), (Vec::new(), 0));
        let mut client = Client { stream, asked: Instant::now(), answers: 0, begun, missing: None, known, done: false };
        client.ask(request)?;
        Ok(client)
    }

    fn ask(&mut self, request: &Request) -> Result<()> {
        self.begun.clear();
        self.missing = None;
        // So little always fits into a socket that is empty.
        Ok(self.stream.write_all(&request.0)?)
    }

    /// Reads on until the answer is complete. A read that does not fill the buffer has emptied the socket, and the
    /// next bytes are announced: there is no need to be told that nothing is left.
    fn hear(&mut self, buffer: &mut [u8], plan: &mut Plan<'_>) -> Result<()> {
        while !self.done {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("the server hung up: {}", String::from_utf8_lossy(&self.begun)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => bail!(error),
            };
            if self.take(buffer.get(..read).unwrap_or_default())? {
                return self.answered(plan);
            }
            if read < buffer.len() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the answer is complete with this.
    fn take(&mut self, chunk: &[u8]) -> Result<bool> {
        let left = match self.missing {
            Some(missing) => missing.checked_sub(chunk.len()),
            None if self.begun.is_empty() && !self.known.0.is_empty() && chunk.starts_with(&self.known.0) => {
                self.known.1.checked_sub(chunk.len())
            }
            None => {
                self.begun.extend_from_slice(chunk);
                let Some(length) = answer_length(&self.begun)? else { return Ok(false) };
                ensure!(self.begun.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&self.begun));
                let head = head_end(&self.begun).and_then(|end| self.begun.get(..end)).unwrap_or_default();
                self.known = (head.to_vec(), length);
                length.checked_sub(self.begun.len())
            }
        };
        self.missing = left;
        Ok(left.context("a longer answer than announced")? == 0)
    }

    fn answered(&mut self, plan: &mut Plan<'_>) -> Result<()> {
        let now = Instant::now();
        plan.latencies.push(now.duration_since(self.asked).as_secs_f64() * 1e6);
        self.asked = now;
        self.answers += 1;
        self.done = match plan.until {
            Until::Count(count) => self.answers >= count,
            Until::Time(span) => now.duration_since(plan.begin) >= span,
        };
        if self.done { Ok(()) } else { self.ask(plan.request) }
    }
}

/// A connection to the target.
struct Served {
    stream: TcpStream,
    head: Vec<u8>,
    /// The last head that was found to be in order. A proxy sends the same one again and again.
    accepted: Vec<u8>,
    /// From where on the reply has not gone out, if it has not.
    unsent: Option<usize>,
}

impl Served {
    /// Whether the connection goes on.
    fn hear(&mut self, event: &Event, buffer: &mut [u8], reply: &[u8]) -> Result<bool> {
        if self.unsent.is_some() && event.is_writable() {
            self.send(reply)?;
        }
        if !event.is_readable() {
            return Ok(true);
        }
        let read = match self.stream.read(buffer) {
            // A proxy that ends may reset what it has.
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(_) => return Ok(false),
        };
        self.head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if self.head.ends_with(b"\r\n\r\n") {
            if self.head != self.accepted {
                inspect(&self.head)?;
                self.accepted.clone_from(&self.head);
            }
            self.head.clear();
            self.unsent = Some(0);
            self.send(reply)?;
        }
        Ok(true)
    }

    fn send(&mut self, reply: &[u8]) -> Result<()> {
        while let Some(from) = self.unsent {
            match self.stream.write(reply.get(from..).unwrap_or_default()) {
                Ok(sent) => self.unsent = Some(from + sent).filter(|from| *from < reply.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => bail!(error),
            }
        }
        Ok(())
    }
}

/// A proxy that does not bring the token would be compared for nothing.
fn inspect(request: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let token = text.lines().find_map(|line| line.strip_prefix("authorization: bearer ")).map(str::trim);
    ensure!(token.is_some_and(|token| token.len() == TOKEN_LENGTH), "no service token in {text}");
    ensure!(head_end(request) == Some(request.len()), "two requests at once: {text}");
    Ok(())
}
