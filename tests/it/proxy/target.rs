//! Targets that show what arrived, byte for byte.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::line::{Body, Head, Line, patiently};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub head: Head,
    pub body: Body,
}

/// A target that writes down what arrives and answers all of it. Ends with this.
pub struct Target {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Arrived>,
}

/// A target that says what the test says.
pub struct Bare {
    pub url: String,
    listener: TcpListener,
}

/// `200 ok`.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

impl Target {
    /// Answers everything with 200.
    pub async fn ok() -> Target {
        Target::saying(|_| OK.to_owned()).await
    }

    /// Answers with these bytes. A connection ends after an answer that says so.
    pub async fn saying(answer: impl Fn(&Arrived) -> String + Send + Sync + 'static) -> Target {
        let bare = Bare::new().await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (url, record, answer) = (bare.url.clone(), Arc::clone(&seen), Arc::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                let line = Line::new(bare.listener.accept().await.expect("a listener goes on").0);
                record.lock().expect("no test panics here").connections += 1;
                lines.spawn(serve(line, Arc::clone(&record), Arc::clone(&answer)));
            }
        });
        Target { url, seen, _tasks: tasks }
    }

    /// The requests so far, the cut ones included, oldest first.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.seen.lock().expect("no test panics here").requests.clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Arrived {
        let mut all = self.arrived();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().expect("no test panics here").connections
    }
}

async fn serve(
    mut line: Line,
    record: Arc<Mutex<Seen>>,
    answer: Arc<impl Fn(&Arrived) -> String + Send + Sync + 'static>,
) {
    // A connection that nobody uses may be kept for long, so there is no patience to lose here.
    while let Some(head) = line.head_some_day().await {
        let body = line.body(&head).await;
        let arrived = Arrived { head, body };
        record.lock().expect("no test panics here").requests.push(arrived.clone());
        if !arrived.body.whole {
            return;
        }
        let answer = answer(&arrived);
        line.say(&answer).await;
        if answer.is_empty() || answer.to_ascii_lowercase().contains("connection: close") {
            return;
        }
    }
}

impl Bare {
    pub async fn new() -> Bare {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Bare { url, listener }
    }

    /// The host and port of the URL.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub async fn accept(&self) -> Line {
        let (stream, _) = patiently(self.listener.accept()).await.expect("a listener goes on");
        Line::new(stream)
    }

    /// Accepts a connection and reads a request's head.
    pub async fn request(&self) -> (Line, Head) {
        let mut line = self.accept().await;
        let head = line.head().await.expect("a connection is opened for a request");
        (line, head)
    }
}
