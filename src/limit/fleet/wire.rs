//! The one connection of the process to the Redis of its fleet: made ahead of need, and made anew when it breaks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::link::{Link, Seen, Target};
use super::lost::{Lost, Trouble};
use crate::config::Fleet;
use crate::lifecycle::Tasks;
use crate::secrets::SecretLease;
use crate::telemetry::metrics::{FleetMetrics, FleetOutcome};

/// For a call, whatever it has to wait for: a load can do without its answer.
pub const CALL: Duration = Duration::from_millis(100);
/// Before the second attempt to connect; the first is made at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A Redis that is back is found within so long.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A connection that held so long was a good one, also if nothing was asked of it.
const SETTLED: Duration = Duration::from_secs(5);

/// The Redis of the fleet: one connection for all limits of this process. When this is dropped, it is closed.
pub struct Redis {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the script is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// As it is.
    Text(&'a str),
    /// In decimal.
    Number(i64),
}

struct Shared {
    state: watch::Sender<State>,
    metrics: FleetMetrics,
    said: Mutex<Said>,
}

/// Between two lines in the log, and after the last trouble until it is over.
const QUIET: Duration = Duration::from_secs(5);

/// How it stands with the connection.
#[derive(Clone)]
enum State {
    /// On its way, and worth waiting for.
    Coming,
    /// Not to be had for the moment; calls need not wait to learn that.
    Down(Trouble),
    Up(Arc<Link>),
}

/// What was last said, so that it is said once.
#[derive(Default)]
struct Said {
    trouble: Option<String>,
    /// When something was said, and when there was trouble.
    at: Option<Instant>,
    ill_at: Option<Instant>,
    seen: Option<Seen>,
}

impl Redis {
    /// Begins to connect. The connection lives on the runtime on which this is called.
    ///
    /// # Errors
    /// One sentence: a host that cannot be one, roots of trust that cannot be read.
    pub fn new(
        fleet: &Fleet,
        password: Option<SecretLease>,
        metrics: FleetMetrics,
        tasks: Tasks,
    ) -> Result<Redis, String> {
        let target = Target::new(fleet, password)?;
        let shared = Arc::new(Shared { state: watch::Sender::new(State::Coming), metrics, said: Mutex::default() });
        let stop = CancellationToken::new();
        let (keeper, gone) = (Arc::clone(&shared), stop.clone());
        // Loads that are in flight at a drain still ask, so it goes on through it.
        tasks.clone().background(async move {
            tokio::select! {
                () = keeper.keep_connected(&target, &tasks) => {}
                () = gone.cancelled() => {}
                () = tasks.stop().forced() => {}
            }
        });
        Ok(Redis { shared, _stop: stop.drop_guard() })
    }

    /// Runs the script on `key`. It is given the run id of the server that answers (empty where that is kept from us), and
    /// then `args`. Takes at most [`CALL`].
    ///
    /// # Errors
    /// Why there is no answer. The script may have run all the same, unless Redis said that it did not.
    pub async fn call(&self, key: &str, args: &[Arg<'_>]) -> Result<Vec<i64>, Lost> {
        let begun = Instant::now();
        let answer = self.shared.call(key, args, begun + CALL).await;
        let outcome = answer.as_ref().map_or_else(Lost::outcome, |_| FleetOutcome::Ok);
        self.shared.metrics.called(outcome, begun.elapsed());
        answer
    }

    /// Whether there is a connection, by what is known without asking.
    pub fn is_connected(&self) -> bool {
        matches!(&*self.shared.state.borrow(), State::Up(link) if !link.is_broken())
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("is_connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Arg<'a> {
        Arg::Text(text)
    }
}

impl From<i64> for Arg<'_> {
    fn from(number: i64) -> Self {
        Arg::Number(number)
    }
}

/// One connection without anything that keeps it: for `check --live`.
///
/// # Errors
/// One sentence, with what to change.
pub async fn probe(fleet: &Fleet, password: Option<SecretLease>, tasks: &Tasks) -> Result<Link, String> {
    Target::new(fleet, password)?.open(tasks).await.map_err(|trouble| trouble.to_string())
}

impl Shared {
    async fn call(&self, key: &str, args: &[Arg<'_>], deadline: Instant) -> Result<Vec<i64>, Lost> {
        let link = timeout_at(deadline, self.link()).await.unwrap_or(Err(Lost::Connect))?;
        let answer = timeout_at(deadline, link.run(key, args)).await.unwrap_or(Err(Lost::Timeout));
        match &answer {
            // What a connection that was given up still answered says nothing of the next one.
            Ok(_) if !link.is_broken() => self.is_well(),
            Ok(_) => {}
            Err(lost) => {
                self.is_ill(lost.to_string());
                if lost.breaks_connection() {
                    link.break_off();
                }
            }
        }
        answer
    }

    /// The connection, once there is one.
    async fn link(&self) -> Result<Arc<Link>, Lost> {
        let mut state = self.state.subscribe();
        loop {
            match &*state.borrow_and_update() {
                State::Up(link) if !link.is_broken() => return Ok(Arc::clone(link)),
                State::Down(trouble) => return Err(trouble.lost()),
                State::Up(_) | State::Coming => {}
            }
            state.changed().await.map_err(|_| Lost::Connect)?;
        }
    }

    async fn keep_connected(&self, target: &Target, tasks: &Tasks) {
        // In a row; only what shows that it works, not that it can be reached, ends the row.
        let mut failures = 0;
        loop {
            tokio::time::sleep(pause(failures, fastrand::f64())).await;
            let trouble = match target.open(tasks).await {
                Err(trouble) => trouble,
                Ok(link) => {
                    let (link, since) = (Arc::new(link), Instant::now());
                    self.look_at(&link.seen);
                    self.state.send_replace(State::Up(Arc::clone(&link)));
                    link.broken().await;
                    if link.has_answered() || since.elapsed() > SETTLED {
                        failures = 0;
                        self.state.send_replace(State::Coming);
                        continue;
                    }
                    Trouble::NoAnswer
                }
            };
            failures += 1;
            self.is_ill(trouble.to_string());
            self.state.send_replace(State::Down(trouble));
        }
    }

    fn look_at(&self, seen: &Seen) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.seen.as_ref() == Some(seen) {
            return;
        }
        seen.cautions().iter().for_each(|caution| tracing::warn!("{caution}"));
        said.seen = Some(seen.clone());
    }

    fn is_ill(&self, why: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        said.ill_at = Some(now);
        // What breaks in several ways in turn is one trouble.
        let is_news = said.trouble.is_none() || said.at.is_none_or(|at| now > at + QUIET);
        if is_news && said.trouble.as_ref() != Some(&why) {
            tracing::warn!(reason = %why, "the fleet's Redis cannot be used");
            (said.trouble, said.at) = (Some(why), Some(now));
        }
    }

    fn is_well(&self) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // One good answer among bad ones is no news.
        let is_news = said.trouble.is_some() && said.ill_at.is_none_or(|at| Instant::now() > at + QUIET);
        if is_news {
            said.trouble = None;
            tracing::info!("the fleet's Redis answers again");
        }
    }
}

/// Before the next attempt to connect, after so many failures in a row. `chance` is in 0..1, so that replicas that lost
/// their Redis together do not come back together.
fn pause(failures: u32, chance: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RedisAddress;
    use crate::limit::fleet::ErrorCode;
    use crate::telemetry::Metrics;

    fn to(port: u16) -> (Redis, Metrics) {
        let host = "127.0.0.1".to_owned();
        let address = RedisAddress { host, port, tls: false, user: Some("ann".to_owned()), database: 0 };
        let fleet = Fleet { address, password: None, ca_file: None, replicas: 2 };
        let metrics = Metrics::new().unwrap();
        let password = Some(SecretLease::fixed("dose1"));
        (Redis::new(&fleet, password, metrics.fleet().unwrap(), Tasks::new()).unwrap(), metrics)
    }

    #[tokio::test]
    async fn a_call_takes_no_longer_than_it_may_and_none_waits_for_another() {
        // The kernel takes the connection, and nobody ever answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (redis, metrics) = to(silent.local_addr().unwrap().port());
        let begun = Instant::now();
        let calls = (0..100).map(|_| redis.call("k", &[Arg::Number(1), Arg::Text("a")]));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| *answer == Err(Lost::Connect)) && begun.elapsed() >= CALL);
        assert!(begun.elapsed() < CALL * 4, "{:?}", begun.elapsed());
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"sidemint_fleet_calls_total{outcome="connect"} 100"#), "{text}");
    }

    #[tokio::test]
    async fn what_keeps_us_out_is_known_without_waiting_and_shows_no_secret() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (redis, _) = to(server.local_addr().unwrap().port());
        let refusing = async {
            loop {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let (mut stream, _) = server.accept().await.unwrap();
                let _ = stream.read(&mut [0; 256]).await;
                let _ = stream.write_all(b"-WRONGPASS not dose1\r\n").await;
            }
        };
        let denied = Err(Lost::Denied(ErrorCode::new("WRONGPASS")));
        let calls = async {
            // The first one waits for the connection.
            assert_eq!(redis.call("k", &[]).await, denied);
            assert_eq!(redis.call("k", &[]).await, denied);
        };
        tokio::select! {
            () = refusing => {}
            () = calls => {}
        }
        let said = format!("{redis:?} {:?}", redis.shared.said.lock().unwrap().trouble);
        assert!(said.contains("WRONGPASS") && !said.contains("dose1") && !said.contains("ann"), "{said}");
    }

    #[test]
    fn pauses_grow_to_half_a_second() {
        assert_eq!(pause(0, 0.9), Duration::ZERO);
        assert_eq!((pause(1, 1.0), pause(1, 0.0)), (Duration::from_millis(50), Duration::from_millis(25)));
        assert_eq!((pause(2, 1.0), pause(3, 1.0)), (Duration::from_millis(100), Duration::from_millis(200)));
        for failures in [5, 40, u32::MAX] {
            assert_eq!(pause(failures, 1.0), LONGEST_PAUSE);
        }
    }
}
