//! Every transition of a lease, on a paused clock.
//!
//! Paused time moves only when every task waits for a timer, so a `sleep` here costs nothing and
//! races with nothing. No real sockets: they and a paused clock never meet.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::lifecycle::Tasks;
use crate::model::Clock;

/// An issuer that does what the test says.
struct Issuer {
    clock: Clock,
    script: Mutex<Script>,
    issued: AtomicU64,
    attempts: AtomicUsize,
    lapsed: AtomicUsize,
    policy: Policy,
}

#[derive(Clone)]
struct Script {
    ttl: Duration,
    takes: Duration,
    outcome: Outcome,
}

#[derive(Clone)]
enum Outcome {
    Issue,
    Fail(Fault),
    Panic,
}

impl Source for Issuer {
    type Item = u64;

    async fn fetch(&self, _want: Want) -> Result<(u64, Lifetime), Fault> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let sent = self.clock.now();
        let script = self.script.lock().unwrap().clone();
        sleep(script.takes).await;
        match script.outcome {
            Outcome::Issue => {
                let item = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
                Ok((item, Lifetime::new(sent, script.ttl)))
            }
            Outcome::Fail(fault) => Err(fault),
            Outcome::Panic => panic!("the issuer panics, as the test asked"),
        }
    }

    fn policy(&self) -> Policy {
        self.policy
    }

    fn lapsed(&self) {
        self.lapsed.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    clock: Clock,
    keeper: Arc<Keeper<Issuer>>,
    lease: Arc<Lease<Issuer>>,
}

const HOUR: Duration = Duration::from_secs(3600);
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn bench() -> Bench {
    let start = Instant::now();
    let clock = Clock::driven_by(move || start.elapsed());
    let rhythm = Rhythm { floor: secs(10), idle: Some(secs(1800)), every: None, deadline: secs(60) };
    let keeper = Keeper::start(clock.clone(), Tasks::new(), rhythm);
    let lease = Lease::new(Issuer {
        clock: clock.clone(),
        script: Mutex::new(Script { ttl: HOUR, takes: Duration::from_millis(200), outcome: Outcome::Issue }),
        issued: AtomicU64::new(0),
        attempts: AtomicUsize::new(0),
        lapsed: AtomicUsize::new(0),
        policy: Policy::new(secs(600), secs(310)),
    });
    Bench { clock, keeper, lease }
}

impl Bench {
    async fn ask(&self) -> Result<(u64, How), Code> {
        self.ask_with(self.lease.source().policy).await
    }

    async fn ask_with(&self, policy: Policy) -> Result<(u64, How), Code> {
        let answer = self.lease.ask(&self.keeper, &policy).await;
        answer.map(|(grant, how)| (*grant.item, how)).map_err(|fault| fault.code())
    }

    fn script(&self, outcome: Outcome) {
        self.lease.source().script.lock().unwrap().outcome = outcome;
    }

    fn issue_tokens_of(&self, ttl: Duration) {
        self.lease.source().script.lock().unwrap().ttl = ttl;
    }

    fn attempts(&self) -> usize {
        self.lease.source().attempts.load(Ordering::Relaxed)
    }
}

fn down() -> Outcome {
    Outcome::Fail(Fault::new(Code::Unavailable, "down"))
}

#[tokio::test(start_paused = true)]
async fn a_miss_then_hits() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    assert_eq!(bench.ask().await, Ok((1, How::Hit)));
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_7_a_thousand_cold_asks_are_one_fetch() {
    let bench = bench();
    let asks = (0..1000).map(|_| bench.ask());
    let answers = futures_util::future::join_all(asks).await;
    assert_eq!(answers.iter().filter(|a| **a == Ok((1, How::Miss))).count(), 1);
    assert_eq!(answers.iter().filter(|a| **a == Ok((1, How::Coalesced))).count(), 999);
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_37_the_first_caller_may_go_and_so_may_all() {
    let bench = bench();
    let first = tokio::time::timeout(Duration::from_millis(50), bench.ask()).await;
    assert!(first.is_err(), "the first caller hung up");
    assert_eq!(bench.ask().await, Ok((1, How::Coalesced)));

    let bench = self::bench();
    let only = tokio::time::timeout(Duration::from_millis(50), bench.ask()).await;
    assert!(only.is_err());
    sleep(secs(1)).await;
    assert_eq!(bench.ask().await, Ok((1, How::Hit)), "the work was not thrown away");
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_39_a_panic_is_told_to_all_once_and_the_next_ask_works() {
    let bench = bench();
    bench.script(Outcome::Panic);
    let answers = futures_util::future::join_all((0..5).map(|_| bench.ask())).await;
    assert!(answers.iter().all(|answer| *answer == Err(Code::Internal)), "{answers:?}");
    assert_eq!(bench.attempts(), 1, "five waiters are not five panics");
    bench.script(Outcome::Issue);
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
}

#[tokio::test(start_paused = true)]
async fn row_10_a_ripe_token_is_handed_out_and_renewed_behind_it() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(2300)).await; // asked for within the idle time, then ripe at 2400
    assert_eq!(bench.ask().await, Ok((1, How::Hit)));
    sleep(secs(400)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Hit)), "renewed ahead, nobody waited");
    assert_eq!(bench.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_not_renewed_and_lapses() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(3590)).await;
    assert_eq!((bench.attempts(), bench.lease.source().lapsed.load(Ordering::Relaxed)), (1, 0));
    sleep(secs(60)).await;
    assert_eq!((bench.attempts(), bench.lease.source().lapsed.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_token_that_is_asked_for_again_is_renewed_and_outlives_its_burial() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(2900)).await; // ripe, and its renewal was given up
    assert_eq!(bench.ask().await, Ok((1, How::Hit)));
    sleep(secs(1)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Hit)));
    sleep(secs(1000)).await; // past the end of the first one
    assert_eq!(bench.ask().await, Ok((2, How::Hit)));
    assert_eq!((bench.attempts(), bench.lease.source().lapsed.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn row_9_an_outage_is_survived_with_one_attempt_a_minute() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(2350)).await;
    bench.script(down());
    let before = bench.attempts();
    for age in 2350..2990 {
        assert_eq!(bench.ask().await, Ok((1, How::Hit)), "at {age} s");
        sleep(secs(1)).await;
    }
    let tries = bench.attempts() - before;
    assert!((5..=11).contains(&tries), "{tries} attempts in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn an_outage_goes_through_stale_to_an_error_and_back() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(2350)).await;
    let _ = bench.ask().await;
    bench.script(down());
    sleep(secs(660)).await; // 3010 s old: under ten minutes left
    assert_eq!(bench.ask().await, Ok((1, How::Stale)));
    sleep(secs(270)).await; // 3280 s old
    assert_eq!(bench.ask().await, Ok((1, How::Stale)));
    sleep(secs(20)).await; // 3300 s old: 300 s left, not handed out
    assert_eq!(bench.ask().await, Err(Code::Unavailable));
    bench.script(Outcome::Issue);
    sleep(secs(10)).await;
    assert!(matches!(bench.ask().await, Ok((2, How::Miss | How::Hit))));
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_waits_for_a_new_one_when_no_outage_is_known() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(3100)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Miss)));
    // ... and is served after all when that fails.
    sleep(secs(3100)).await;
    bench.script(down());
    assert_eq!(bench.ask().await, Ok((2, How::Stale)));
    // But not when the vendor says no to this very viewer.
    let bench = self::bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(3100)).await;
    bench.script(Outcome::Fail(Fault::new(Code::Denied, "no")));
    assert_eq!(bench.ask().await, Err(Code::Denied));
}

#[tokio::test(start_paused = true)]
async fn row_29_a_no_is_remembered_for_five_seconds() {
    let bench = bench();
    bench.script(Outcome::Fail(Fault::new(Code::Denied, "no")));
    for _ in 0..100 {
        assert_eq!(bench.ask().await, Err(Code::Denied));
    }
    assert_eq!(bench.attempts(), 1);
    sleep(secs(5)).await;
    assert_eq!(bench.ask().await, Err(Code::Denied));
    assert_eq!(bench.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn row_35_after_a_first_failure_the_next_caller_may_try() {
    let bench = bench();
    bench.script(down());
    assert_eq!(bench.ask().await, Err(Code::Unavailable));
    bench.script(Outcome::Issue);
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_issuer_is_given_up() {
    let bench = bench();
    bench.lease.source().script.lock().unwrap().takes = HOUR;
    let begin = Instant::now();
    assert_eq!(bench.ask().await, Err(Code::Timeout));
    assert_eq!(begin.elapsed(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn row_27_short_lived_tokens_cause_no_loop() {
    let bench = bench();
    bench.issue_tokens_of(secs(200));
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    for _ in 0..200 {
        sleep(Duration::from_millis(500)).await;
        assert!(matches!(bench.ask().await, Ok((_, How::Hit))));
    }
    assert!(bench.attempts() <= 3, "{} attempts in 100 s", bench.attempts());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_die_at_once_are_minted_every_ten_seconds_at_most() {
    let bench = bench();
    bench.issue_tokens_of(secs(3));
    let begin = Instant::now();
    while begin.elapsed() < secs(100) {
        assert!(bench.ask().await.is_ok(), "never an error loop");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(bench.attempts() <= 11, "{} attempts in 100 s", bench.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_raised_min_ttl_mints_once_and_not_in_a_loop() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(900)).await;
    let raised = bench.lease.source().policy.raised_to(secs(3000));
    assert_eq!(bench.ask_with(raised).await, Ok((2, How::Miss)));
    sleep(secs(2)).await;
    let nearly_all = raised.raised_to(secs(3599));
    assert_eq!(bench.ask_with(nearly_all).await, Ok((3, How::Miss)), "the issuer has better ones");
    let unreachable = raised.raised_to(secs(3600));
    for _ in 0..50 {
        assert_eq!(bench.ask_with(unreachable).await, Ok((3, How::Hit)), "the issuer has no better one");
    }
    assert_eq!(bench.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn clock_jumps_expire_a_token_early_and_never_late() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    bench.clock.step_wall(-7200);
    assert_eq!(bench.ask().await, Ok((1, How::Hit)), "a step back keeps the token");
    sleep(secs(3100)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Miss)), "and does not prolong it");
    bench.clock.step_wall(4000);
    sleep(secs(11)).await;
    assert_eq!(bench.ask().await, Ok((3, How::Miss)), "a step forward ends it");
    bench.clock.suspend(HOUR);
    assert_eq!(bench.ask().await, Ok((4, How::Miss)), "and so does a long sleep");
}

#[tokio::test(start_paused = true)]
async fn row_28_many_refusals_of_one_value_cause_one_renewal() {
    let bench = bench();
    let policy = bench.lease.source().policy;
    let (grant, _) = bench.lease.ask(&bench.keeper, &policy).await.unwrap();
    let another = || async { bench.lease.another(&bench.keeper, &policy, &grant.item).await.map(Result::unwrap) };
    let (first, others) = tokio::join!(another(), futures_util::future::join_all((0..500).map(|_| another())));
    assert_eq!((*first.unwrap().0.item, bench.attempts()), (2, 2), "the floor does not hold this up");
    assert!(others.into_iter().all(|other| *other.unwrap().0.item == 2));
    let (second, _) = another().await.unwrap();
    assert_eq!(*second.item, 2, "a late refusal of the old one changes nothing");
    let again = bench.lease.another(&bench.keeper, &policy, &second.item).await;
    assert!(again.is_none(), "refused again at once: not our token's fault");
    assert_eq!((bench.ask().await, bench.attempts()), (Ok((2, How::Hit)), 2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_serves_on_until_another_one_is_there() {
    let bench = bench();
    let policy = bench.lease.source().policy;
    let (grant, _) = bench.lease.ask(&bench.keeper, &policy).await.unwrap();
    bench.script(down());
    let refused = bench.lease.another(&bench.keeper, &policy, &grant.item);
    let (refused, bystander) = tokio::join!(refused, bench.ask());
    assert!(refused.unwrap().is_err());
    assert_eq!(bystander, Ok((1, How::Hit)), "nobody else waits, or is left without");
    assert_eq!(bench.ask().await, Ok((1, How::Hit)));
}

#[tokio::test(start_paused = true)]
async fn things_without_an_end_are_polled_and_a_bad_read_keeps_the_old() {
    let mut bench = bench();
    let rhythm = Rhythm { floor: Duration::ZERO, idle: None, every: Some(secs(5)), deadline: secs(5) };
    bench.keeper = Keeper::start(bench.clock.clone(), Tasks::new(), rhythm);
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(6)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Hit)));
    bench.script(down());
    sleep(secs(600)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Hit)));
    bench.script(Outcome::Issue);
    sleep(secs(6)).await;
    assert_eq!(bench.ask().await, Ok((3, How::Hit)), "picked up at the next poll");
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_into_the_last_third_renews_at_the_next_ask() {
    let bench = bench();
    assert_eq!(bench.ask().await, Ok((1, How::Miss)));
    sleep(secs(11)).await;
    bench.clock.step_wall(2700); // The queue of renewals does not know of it.
    assert_eq!(bench.ask().await, Ok((1, How::Hit)));
    sleep(secs(1)).await;
    assert_eq!(bench.ask().await, Ok((2, How::Hit)));
}
