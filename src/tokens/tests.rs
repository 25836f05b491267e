//! The parent-life policy over hours of virtual time: rows of `reference/powerbi-boldbi.md`
//! section H, with a vendor in memory whose viewer tokens end with the service token.

mod outages;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::config::{Cache, Environment, IdPrivacy};
use crate::lease::How;
use crate::lifecycle::Tasks;
use crate::model::{Clock, Code};
use crate::telemetry::Metrics;
use crate::vendor::scripted::{Script, Scripted};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
const MINUTE: u64 = 60;

struct Bench {
    clock: Clock,
    tokens: ViewerTokens,
    embed: Arc<Embed>,
    ids: IdRules,
}

/// A sidecar with one Power BI embed; `upstream` and `embed` are more keys of the config.
fn bench(upstream: &str, embed: &str) -> Bench {
    bench_with(upstream, embed, |_| {})
}

fn bench_with(upstream: &str, embed: &str, change: impl Fn(&mut Script)) -> Bench {
    let text = format!(
        "upstreams:
  contoso: {{kind: powerbi, tenant_id: t, auth: {{client_id: c, client_secret_env: S}}, {upstream}}}
embeds:
  finance: {{upstream: contoso, workspace_id: w, report_id: r, {embed}}}
"
    );
    let config = config::from_text(&text, &Environment::default()).unwrap();
    let start = tokio::time::Instant::now();
    let clock = Clock::driven_by(move || start.elapsed());
    let (tasks, metrics) = (Tasks::new(), Metrics::new().unwrap());
    let scripted = Scripted::new(clock.clone());
    change(&mut scripted.script.lock().unwrap());
    let vendor = Arc::new(Vendor::Scripted(Box::new(scripted)));
    let upstream_config = &config.upstreams["contoso"];
    let upstream_metrics = Arc::new(metrics.upstream("contoso"));
    let keeper = ServiceTokens::keeper(clock.clone(), tasks.clone());
    let service = ServiceTokens::new(upstream_config, Arc::clone(&vendor), Arc::clone(&upstream_metrics), keeper, None);
    let upstream = Arc::new(Upstream::new(Arc::clone(upstream_config), vendor, Some(service), None, upstream_metrics));
    let embed_config = &config.embeds["finance"];
    let details_keeper = ItemDetails::keeper(clock.clone(), tasks.clone());
    let details = ItemDetails::new(Arc::clone(&upstream), Arc::clone(embed_config), details_keeper);
    let embed = Embed::new(Arc::clone(embed_config), upstream, metrics.embed("finance"), Some(details));
    let cache = Cache { max_size: 64 << 20, idle: secs(1800) };
    Bench {
        tokens: ViewerTokens::new(&cache, clock.clone(), tasks),
        embed: Arc::new(embed),
        ids: IdRules::new(IdPrivacy::Plain, None),
        clock,
    }
}

impl Bench {
    fn scripted(&self) -> &Scripted {
        let Vendor::Scripted(scripted) = &*self.embed.upstream.vendor else { panic!("another vendor") };
        scripted
    }

    fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.scripted().script.lock().unwrap());
    }

    /// Service tokens and viewer tokens asked for so far.
    fn calls(&self) -> (usize, usize) {
        let scripted = self.scripted();
        (scripted.service_calls.lock().unwrap().len(), scripted.mints.lock().unwrap().len())
    }

    /// The token of a viewer: its life that is left, in seconds, and where it came from.
    async fn ask(&self, viewer: &str) -> Result<(u64, How), Code> {
        self.ask_for(viewer, Duration::ZERO).await
    }

    async fn ask_for(&self, viewer: &str, min_ttl: Duration) -> Result<(u64, How), Code> {
        let viewer = Viewer { id: viewer.to_owned(), ..Viewer::default() };
        let asked = self.tokens.token(&self.embed, &viewer, &self.ids);
        let served = asked.wait(&self.embed.policy().raised_to(min_ttl)).await.map_err(|fault| fault.code())?;
        Ok((served.grant.lifetime.remaining(self.clock.now()).as_secs(), served.how))
    }

    async fn text_of(&self, viewer: &str) -> String {
        let viewer = Viewer { id: viewer.to_owned(), ..Viewer::default() };
        let served = self.tokens.token(&self.embed, &viewer, &self.ids).wait(&self.embed.policy()).await.unwrap();
        served.grant.item.token.expose().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn rows_h1_and_h2_one_parent_one_token() {
    let bench = bench("", "");
    assert_eq!(bench.ask("a").await, Ok((3600, How::Miss)));
    sleep(secs(60)).await;
    assert_eq!(bench.ask("a").await, Ok((3540, How::Hit)));
    assert_eq!(bench.calls(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn row_h5_a_late_ask_gets_a_long_token() {
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    sleep(secs(46 * MINUTE)).await;
    let (left, how) = bench.ask("a").await.unwrap();
    assert_eq!(how, How::Miss, "nobody asked for longer than cache.idle");
    assert!(left >= 30 * MINUTE, "{left}");
}

#[tokio::test(start_paused = true)]
async fn row_h6_an_old_parent_is_renewed_before_it_mints() {
    // The issuer is away while the parent would have been renewed ahead of time.
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| script.issuer_is_down = true);
    sleep(secs(35 * MINUTE)).await;
    bench.script(|script| script.issuer_is_down = false);
    sleep(secs(120)).await;
    let before = bench.calls();
    let (left, how) = bench.ask("b").await.unwrap();
    assert_eq!(how, How::Miss);
    assert!(left >= 30 * MINUTE, "got {left} s: the parent was not renewed");
    assert!(bench.calls().0 >= before.0, "{before:?}");
}

#[tokio::test(start_paused = true)]
async fn row_h7_without_the_policy_tokens_shrink_with_their_parent() {
    let bench = bench("service_token_min_life: 0s", "");
    assert!(bench.ask("a").await.is_ok());
    sleep(secs(35 * MINUTE)).await;
    let before = bench.calls();
    let (left, how) = bench.ask("b").await.unwrap();
    assert_eq!((left, how), (25 * MINUTE, How::Miss));
    assert_eq!(bench.calls(), (before.0, before.1 + 1));
}

#[tokio::test(start_paused = true)]
async fn row_h8_a_longer_parent_gives_longer_tokens() {
    let bench = bench_with("", "", |script| script.service_life = secs(5399));
    assert_eq!(bench.ask("a").await, Ok((5399, How::Miss)));
}

#[tokio::test(start_paused = true)]
async fn row_h10_a_short_parent_is_no_loop() {
    let bench = bench_with("", "", |script| script.service_life = secs(299));
    let begin = bench.clock.now();
    while bench.clock.now().since(begin) < secs(100) {
        assert!(bench.ask("a").await.is_ok(), "never an error loop");
        sleep(Duration::from_millis(100)).await;
    }
    let (service, mints) = bench.calls();
    assert!(service <= 11 && mints <= 11, "{service} service tokens and {mints} viewer tokens in 100 s");
}

#[tokio::test(start_paused = true)]
async fn row_h11_the_issuers_wish_for_an_early_renewal_is_heeded() {
    let change = |script: &mut Script| {
        script.service_life = secs(7200);
        script.refresh_in = Some(secs(1800));
    };
    let bench = bench_with("", "", change);
    assert!(bench.ask("a").await.is_ok());
    sleep(secs(29 * MINUTE)).await;
    assert_eq!(bench.calls().0, 1);
    sleep(secs(5 * MINUTE)).await;
    assert_eq!(bench.calls().0, 2);
    assert_eq!(bench.ask("a").await.unwrap().1, How::Hit);
}

#[tokio::test(start_paused = true)]
async fn row_h25_short_lives_by_config_are_scaled() {
    let bench = bench("", "lifetime: 10m");
    assert_eq!(bench.ask("a").await, Ok((600, How::Miss)));
    for _ in 0..20 {
        sleep(secs(MINUTE)).await;
        let (left, how) = bench.ask("a").await.unwrap();
        assert!(left >= 300 && how != How::Stale, "{left} {how:?}");
    }
    assert!(bench.calls().1 <= 7, "{:?}", bench.calls());
}

#[tokio::test(start_paused = true)]
async fn row_h52_tokens_of_one_parent_do_not_renew_in_one_second() {
    let bench = bench("", "");
    let viewers: Vec<String> = (0..500).map(|n| format!("viewer-{n}")).collect();
    for viewer in &viewers {
        assert!(bench.ask(viewer).await.is_ok());
    }
    for _ in 0..43 {
        sleep(secs(MINUTE)).await;
        for viewer in &viewers {
            let (left, how) = bench.ask(viewer).await.unwrap();
            assert!(left >= 15 * MINUTE && how == How::Hit, "{left} {how:?}");
        }
    }
    let mints = bench.scripted().mints.lock().unwrap();
    let mut per_second = std::collections::BTreeMap::<i64, usize>::new();
    for at in mints.iter().skip(500) {
        *per_second.entry(at.unix_seconds()).or_default() += 1;
    }
    let (renewed, peak) = (mints.len() - 500, per_second.values().max().copied().unwrap_or_default());
    assert_eq!(renewed, 500);
    assert!(peak <= 20, "{peak} renewals in one second");
}

/// The vendor's sample: look every 30 s, renew when ten minutes are left.
#[tokio::test(start_paused = true)]
async fn row_h61_the_vendors_page_fetches_each_token_once() {
    let bench = bench("", "");
    let (mut token, mut fetches) = (bench.text_of("a").await, 1);
    let mut end = bench.clock.now().after(secs(bench.ask("a").await.unwrap().0));
    for _ in 0..(3 * 60 * 2) {
        sleep(secs(30)).await;
        if end.since(bench.clock.now()) <= secs(600) {
            let next = bench.text_of("a").await;
            assert_ne!(next, token, "the page was given the token that it wants to replace");
            token = next;
            end = bench.clock.now().after(secs(bench.ask("a").await.unwrap().0));
            fetches += 1;
        }
    }
    assert!(fetches <= 12, "{fetches} fetches in three hours");
    let (service, mints) = bench.calls();
    assert!(fetches <= mints && service <= 12, "{service} service tokens, {mints} mints, {fetches} fetches");
}

#[tokio::test(start_paused = true)]
async fn a_higher_min_ttl_renews_the_parent_too() {
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    sleep(secs(20 * MINUTE)).await;
    let before = bench.calls();
    let (left, how) = bench.ask_for("a", secs(50 * MINUTE)).await.unwrap();
    assert_eq!((left, how), (3600, How::Miss));
    assert_eq!(bench.calls(), (before.0 + 1, before.1 + 1));
    // Nobody has tokens of two hours: one try for each ten seconds.
    for _ in 0..50 {
        assert!(bench.ask_for("a", secs(120 * MINUTE)).await.is_ok());
    }
    let (service, mints) = bench.calls();
    assert!(service <= before.0 + 2 && mints <= before.1 + 3, "{before:?} {:?}", (service, mints));
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_mint_for_somebody_modest_gets_what_they_asked_for() {
    let bench = bench("service_token_min_life: 0s", "");
    assert!(bench.ask("a").await.is_ok());
    sleep(secs(35 * MINUTE)).await;
    bench.script(|script| script.mint_takes = secs(1));
    let (modest, demanding) = tokio::join!(bench.ask("b"), bench.ask_for("b", secs(40 * MINUTE)));
    assert!(modest.is_ok());
    assert!(demanding.unwrap().0 >= 40 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_high_min_ttl_does_not_renew_all_the_time() {
    let bench = bench("", "min_ttl: 45m");
    for _ in 0..(3 * 60) {
        let (left, how) = bench.ask("a").await.unwrap();
        assert!(left >= 45 * MINUTE && how != How::Stale, "{left} {how:?}");
        sleep(secs(MINUTE)).await;
    }
    let (service, mints) = bench.calls();
    assert!(mints <= 24 && service <= 24, "{service} service tokens and {mints} mints in three hours");
}

#[tokio::test(start_paused = true)]
async fn a_life_just_above_the_promise_is_no_loop_while_nobody_asks() {
    let bench = bench_with("", "", |script| script.service_life = secs(1805));
    sleep(secs(20 * MINUTE)).await;
    assert!(bench.calls().0 <= 2, "{:?}", bench.calls());
    assert!(bench.ask("a").await.is_ok());
}

/// Lives of a minute, as somebody would set them up to watch it work.
#[tokio::test(start_paused = true)]
async fn short_lives_keep_the_same_rules() {
    let change = |script: &mut Script| script.service_life = secs(60);
    let bench = bench_with("service_token_min_life: 20s", "min_ttl: 10s, stale_until: 5s", change);
    assert_eq!(bench.ask("a").await, Ok((60, How::Miss)));
    sleep(secs(25)).await;
    assert_eq!(bench.ask("b").await, Ok((35, How::Miss)), "35 s are more than 20");
    assert_eq!(bench.calls(), (1, 2));
    for _ in 0..300 {
        let (left, how) = bench.ask("a").await.unwrap();
        assert!(left >= 10 && how == How::Hit, "{left} {how:?}");
        sleep(secs(1)).await;
    }
    let (service, mints) = bench.calls();
    assert!(service <= 12 && mints <= 24, "{service} service tokens and {mints} mints in five minutes");
    bench.script(|script| script.issuer_is_down = true);
    sleep(secs(50)).await;
    bench.script(|script| script.issuer_is_down = false);
    sleep(secs(8)).await; // The longest that an outage is remembered.
    let (left, _) = bench.ask("c").await.unwrap();
    assert!(left >= 20, "{left}");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_once_is_renewed_until_it_is_idle() {
    let change = |script: &mut Script| script.service_life = secs(60);
    let bench = bench_with("service_token_min_life: 20s", "min_ttl: 10s, stale_until: 5s", change);
    assert!(bench.ask("a").await.is_ok());
    for _ in 0..9 {
        sleep(secs(180)).await;
        let viewer = Viewer { id: "a".to_owned(), ..Viewer::default() };
        let asked = bench.tokens.token(&bench.embed, &viewer, &bench.ids);
        assert!(asked.at_hand(&bench.embed.policy()).is_some_and(|answer| answer.is_ok()), "it was not renewed");
    }
    sleep(secs(45 * MINUTE)).await;
    let (_, idle) = bench.calls();
    sleep(secs(20 * MINUTE)).await;
    assert_eq!(bench.calls().1, idle, "nobody has asked for longer than cache.idle");
}
