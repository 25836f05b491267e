//! Connections: each a task, with deadlines, bounds and a graceful end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until};

use super::io::Io;
use super::listen::{Arrival, Door};
use super::service::Service;
use super::tls::NoGuest;
use super::watch::{Phase, Progress, Watched};
use super::{Answer, Request, respond};
use crate::lifecycle::{Stop, Tasks};
use crate::model::Peer;

/// Bounds of one listener's connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a request head to arrive.
    pub header_timeout: Duration,
    /// Open at once; more wait in the kernel's queue.
    pub connections: usize,
}

/// What is buffered of a request head. The guard refuses heads over 16 KiB in our own words; beyond
/// this, and beyond 100 headers, hyper says 431 without a body.
const MAX_HEAD: usize = 64 << 10;
/// An idle connection is closed after this. Longer than the keep-alive of common clients' pools
/// would be ideal; node's default is 5 s, Python's and Go's 90 s.
const IDLE: Duration = Duration::from_secs(120);

/// At a stop an idle connection is kept for so long: its client may be about to ask, and what it sends to a connection
/// that is being closed is lost.
const FAREWELL: Duration = Duration::from_millis(200);

/// Accepts connections and answers their requests with `handler`. What comes before a stop begins
/// is work that a drain waits for. What comes later is told `draining` and closed: no more work is
/// accepted, but a port that refuses connections would look like a crash to an app that is still
/// finishing its own requests.
///
/// `turned_away` is told of those whose connection was closed without a word.
pub async fn serve<H>(
    door: Door,
    limits: Limits,
    tasks: Tasks,
    handler: H,
    turned_away: impl Fn(Peer) + Send + Sync + 'static,
) where
    H: Fn(Request, Peer) -> Answer + Clone + Send + Sync + 'static,
{
    let seats = Arc::new(Semaphore::new(limits.connections));
    let turned_away = Arc::new(turned_away);
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let arrival = tokio::select! {
            biased;
            () = tasks.stop().forced() => return,
            arrival = door.next() => arrival,
        };
        if let Arrival::Unwelcome(peer) = arrival {
            turned_away(peer);
            continue;
        }
        let handler = handler.clone();
        let within = limits.header_timeout;
        let turning = Arc::clone(&turned_away);
        if !tasks.stop().has_begun() {
            let stop = tasks.stop().clone();
            tasks.work(async move {
                let Some((io, peer)) = welcome(arrival, within, &stop, &*turning).await else { return };
                connection(io, within, stop, move |request| handler(request, peer)).await;
                drop(seat);
            });
        } else {
            tasks.came_late();
            tasks.background(async move {
                let stop = Stop::default();
                let Some((io, _)) = welcome(arrival, within, &stop, &*turning).await else { return };
                connection(io, within, stop, |_| Answer::Ready(respond::draining())).await;
                drop(seat);
            });
        }
    }
}

/// Lets somebody in, after a handshake if that is what the door asks for. A handshake is no request in flight: a stop
/// does not wait for its end.
async fn welcome(
    arrival: Arrival,
    within: Duration,
    stop: &Stop,
    turned_away: &(impl Fn(Peer) + Sync),
) -> Option<(Io, Peer)> {
    match arrival {
        Arrival::Guest(io, peer) => Some((io, peer)),
        Arrival::Unwelcome(_) => None,
        Arrival::Stranger(stream, peer, identity) => tokio::select! {
            greeted = identity.greet(stream, within) => {
                let (stream, certificate) = match greeted {
                    Ok(guest) => guest,
                    Err(no_guest) => {
                        if matches!(no_guest, NoGuest::Unproved) {
                            turned_away(peer);
                        }
                        return None;
                    }
                };
                Some((Io::Tls(Box::new(stream)), Peer { certificate, ..peer }))
            }
            () = stop.begun() => None,
        },
    }
}

/// When a connection begins to close after a stop has begun: at once, or after a farewell if it is idle.
struct Leave(Option<Pin<Box<Sleep>>>);

impl Leave {
    fn of(progress: &Progress) -> Leave {
        if progress.phase() != Phase::Idle {
            return Leave(None);
        }
        progress.part();
        Leave(Some(Box::pin(sleep_until(Instant::now() + FAREWELL))))
    }

    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        self.0.as_mut().is_none_or(|farewell| farewell.as_mut().poll(context).is_ready())
    }
}

/// Serves one connection over anything that reads and writes.
pub async fn connection<IO, H>(io: IO, header_timeout: Duration, stop: Stop, handler: H)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request) -> Answer,
{
    let progress = Progress::default();
    let service = Service::new(handler, progress.clone());
    let io = TokioIo::new(Watched::new(io, progress.clone()));
    let mut connection =
        pin!(http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(io, service).with_upgrades());
    let mut stopping = pin!(stop.begun());
    let mut giving_up = pin!(stop.forced());
    let mut deadline = pin!(sleep_until(Instant::now() + header_timeout));
    // A connection that is opened and says nothing has only the time for a head.
    let mut armed = (Phase::Head, 0);
    let mut blocked = None;
    let mut patience = IDLE;
    let mut leave = None;
    let (mut ending, mut gave_up) = (false, false);
    poll_fn(|context| {
        // Whether it ended well or not is the client's business.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !ending && stopping.as_mut().poll(context).is_ready() {
            ending = true;
            leave = Some(Leave::of(&progress));
        }
        if leave.as_mut().is_some_and(|leave| leave.is_due(context)) {
            leave = None;
            connection.as_mut().graceful_shutdown();
            context.waker().wake_by_ref();
        }
        if ending && !gave_up && giving_up.as_mut().poll(context).is_ready() {
            gave_up = true;
            // Whoever still waits is told so by this poll.
            progress.give_up();
            return connection.as_mut().poll(context).map(|_| ());
        }
        if patience != progress.patience().min(IDLE) {
            patience = progress.patience().min(IDLE);
            blocked = None;
            deadline.as_mut().reset(Instant::now() + patience);
        }
        let now = (progress.phase(), progress.requests());
        if now.0 != armed.0 && !(armed == (Phase::Head, 0) && now == (Phase::Idle, 0)) {
            armed = now;
            let span = if now.0 == Phase::Head { header_timeout } else { IDLE };
            deadline.as_mut().reset(Instant::now() + span);
        }
        if deadline.as_mut().poll(context).is_ready() {
            let is_writing = progress.blocked_at().is_some();
            let is_idle = now == armed && now.0 == Phase::Idle && !is_writing;
            // A client that takes nothing of its answer holds what stands behind that as well.
            let is_stuck = is_writing && blocked == progress.blocked_at();
            if armed.0 == Phase::Head || is_idle || is_stuck {
                return Poll::Ready(());
            }
            (armed, blocked) = (now, progress.blocked_at());
            deadline.as_mut().reset(Instant::now() + patience);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// A connection whose handler does what the path says.
    fn open(stop: &Stop) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 << 10);
        let handler = |request: Request| match request.uri().path() {
            "/slow" => Answer::later(async {
                tokio::time::sleep(Duration::from_secs(30)).await;
                respond::text(200, "fine")
            }),
            "/panic" => panic!("the handler panics, as the test asked"),
            "/panic-later" => Answer::later(async { panic!("the handler panics, as the test asked") }),
            _ => Answer::Ready(respond::text(200, "fine")),
        };
        Tasks::new().work(connection(server, Duration::from_secs(5), stop.clone(), handler));
        client
    }

    /// Reads until the other side closes or is silent for an hour; says which and how long it took.
    async fn read_out(client: &mut DuplexStream) -> (String, bool, Duration) {
        let begin = Instant::now();
        let mut text = Vec::new();
        loop {
            match tokio::time::timeout(Duration::from_secs(3600), client.read_buf(&mut text)).await {
                Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&text).into_owned(), true, begin.elapsed()),
                Ok(Ok(_)) => {}
                Err(_) => return (String::from_utf8_lossy(&text).into_owned(), false, begin.elapsed()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_is_cut_off() {
        for sent in [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: x\r\nA: "] {
            let mut client = open(&Stop::default());
            client.write_all(sent).await.unwrap();
            let (_, closed, after) = read_out(&mut client).await;
            assert!(closed && after == Duration::from_secs(5), "{sent:?}: {after:?}");
        }
        // Also as the second head on a connection.
        let mut client = open(&Stop::default());
        client.write_all(GET).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        client.write_all(b"GET /").await.unwrap();
        let (text, closed, after) = read_out(&mut client).await;
        assert!(text.contains("200 OK") && closed && after == Duration::from_secs(5), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_not_cut_off_and_an_idle_connection_is() {
        let mut client = open(&Stop::default());
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (text, closed, after) = read_out(&mut client).await;
        assert!(text.contains("200 OK") && closed);
        assert!((IDLE..=IDLE * 2 + Duration::from_secs(30)).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        for (pause, is_cut) in [(IDLE * 3, true), (IDLE / 2, false)] {
            let (mut client, server) = tokio::io::duplex(1 << 10);
            let tasks = Tasks::new();
            let answer = |_| Answer::Ready(respond::content(200, "text/plain", vec![b'x'; 8 << 10]));
            tasks.work(connection(server, Duration::from_secs(5), Stop::default(), answer));
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut read = 0;
            let mut buffer = vec![0; 1 << 10];
            loop {
                tokio::time::sleep(pause).await;
                match client.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => read += count,
                }
            }
            assert_eq!(read < 8 << 10, is_cut, "{read} bytes after pauses of {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_stays_open() {
        let mut client = open(&Stop::default());
        let mut buffer = vec![0; 4096];
        for _ in 0..30 {
            client.write_all(GET).await.unwrap();
            assert!(client.read(&mut buffer).await.unwrap() > 0);
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rank_39_a_panic_is_a_500_and_the_connection_goes_on() {
        for path in ["/panic", "/panic-later"] {
            let mut client = open(&Stop::default());
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            client.write_all(GET).await.unwrap();
            let (text, ..) = read_out(&mut client).await;
            assert!(
                text.contains("500 Internal") && text.contains(r#""code":"internal""#) && text.contains("200 OK"),
                "{text}"
            );
        }
    }

    /// What is on its way to an idle connection when a stop begins is answered: it is not done, and may be asked elsewhere.
    #[tokio::test(start_paused = true)]
    async fn rank_38_an_idle_connection_is_told_of_a_stop_before_it_closes() {
        for asks in [true, false] {
            let stop = Stop::default();
            let mut client = open(&stop);
            client.write_all(GET).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.begin();
            if asks {
                tokio::time::sleep(FAREWELL / 2).await;
                client.write_all(GET).await.unwrap();
            }
            let (text, closed, took) = read_out(&mut client).await;
            let told = text.contains("503 Service Unavailable") && text.contains("connection: close");
            assert_eq!((told, closed), (asks, true), "{text}");
            assert_eq!(took, if asks { Duration::ZERO } else { FAREWELL }, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rank_38_a_stop_finishes_what_is_in_flight() {
        let stop = Stop::default();
        let mut client = open(&stop);
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.begin();
        let (text, closed, after) = read_out(&mut client).await;
        assert!(text.contains("200 OK") && text.contains("connection: close") && closed, "{text}");
        assert_eq!(after, Duration::from_secs(29));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_beyond_the_bound_is_refused() {
        let mut client = open(&Stop::default());
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(MAX_HEAD));
        // It need not be read to its end.
        let _ = client.write_all(head.as_bytes()).await;
        let (text, closed, _) = read_out(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 431") && closed, "{text}");
    }
}
