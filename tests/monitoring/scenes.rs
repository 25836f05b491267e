//! What a real Prometheus makes of real sidecars.
//!
//! It scrapes four times a second, and the rules are in a hurry: the test reads them from their file and divides every
//! window and every `for` by [`HURRY`], so that five minutes are three seconds and an hour is 36. Nothing else is changed.
//! What a rule compares with (a share, a count, the 600 seconds that a service token has left) stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sidemint::emulator::Fault;

use super::cast::{brief_vendor, brief_vendor_of, crowd, everything, plain};
use super::dashboard::{Dashboard, Target};
use super::families::{Families, family};
use super::load::Load;
use super::prometheus::{Firing, Prometheus};
use super::promql::{answering, labels, selectors};
use super::rules::Rules;
use super::stage::ledger::Ledger;
use super::stage::{Crowd, Store, at_once, s, within};
use super::support::credentials::certificate;
use super::support::{Sidecar, Vendor};

const HURRY: u64 = 100;

/// The longest that anything here takes on a machine that has other things to do.
const LONGEST: Duration = s(60);

/// Alerts whose expression has no answer while there is a Sidemint at all: that it has one is the alarm.
const SILENT: [&str; 1] = ["SidemintAbsent"];

/// Metrics that neither a panel nor a rule has a use for, each with its reason.
const UNUSED: [(&str, &str); 0] = [];

/// Those of Prometheus itself.
const ITS_OWN: [&str; 2] = ["up", "ALERTS"];
const ITS_OWN_LABELS: [&str; 2] = ["job", "instance"];

/// One job and what Prometheus thinks of it.
struct Watch {
    job: &'static str,
    prometheus: Prometheus,
}

impl Watch {
    /// Once there is as much to look at as the shortest window wants.
    fn on(job: &'static str, sidecars: &[&Sidecar]) -> Watch {
        let targets = sidecars.iter().map(|sidecar| sidecar.admin).collect();
        let prometheus = Prometheus::start(&Rules::read().hurried(HURRY).text(), &[(job, targets)]);
        let watch = Watch { job, prometheus };
        let seen = format!("count(count_over_time(sidemint_build_info[20s]) > 14) == {}", sidecars.len());
        within(LONGEST, "all are scraped", || !watch.prometheus.query(&seen).is_empty());
        watch
    }

    /// Nothing is wrong yet but what is said here.
    fn calm(self, known: &[&str]) -> Watch {
        let wrong: Vec<_> = self.firing().into_iter().filter(|firing| !known.contains(&firing.name.as_str())).collect();
        assert!(wrong.is_empty(), "before anything has happened: {wrong:#?}");
        self
    }

    /// One alert for each thing that is wrong, however many processes say so.
    fn firing(&self) -> Vec<Firing> {
        let firing = self.prometheus.firing(self.job);
        let things: BTreeSet<_> = firing.iter().map(|firing| firing.labels.to_string()).collect();
        assert_eq!(things.len(), firing.len(), "{firing:#?}");
        firing
    }

    /// Each of these fires at some time from now on, once, and its words are whole. What `about` says is in its labels.
    fn fires(&self, names: &[&str], about: &Value) {
        let mut missing: BTreeSet<&str> = names.iter().copied().collect();
        within(LONGEST, &format!("{}: {names:?} fire", self.job), || {
            let firing = self.firing();
            for name in names {
                let Some(one) = alone(&firing, name) else { continue };
                let is_whole = ["<no value>", "<error", "{{", "NaN"].iter().all(|flaw| !one.text.contains(flaw));
                assert!(is_whole, "{}", one.text);
                let said = about.as_object().into_iter().flatten().all(|(key, value)| one.labels[key] == *value);
                assert!(said, "{name} is about {about}: {}", one.labels);
                missing.remove(name);
            }
            missing.is_empty()
        });
    }

    /// None of these fires any more.
    fn ends(&self, names: &[&str]) {
        within(LONGEST, &format!("{}: {names:?} end", self.job), || {
            self.firing().iter().all(|firing| !names.contains(&firing.name.as_str()))
        });
    }
}

/// The only alert of a name.
fn alone<'a>(firing: &'a [Firing], name: &str) -> Option<&'a Firing> {
    let mut found = firing.iter().filter(|firing| firing.name == name);
    let first = found.next();
    assert!(found.next().is_none(), "{name} fires more than once: {firing:#?}");
    first
}

#[test]
fn every_expression_answers_and_every_metric_is_used() {
    // Its service tokens are renewed while we look.
    let (app, store) = (certificate(), Store::start());
    let vendor = brief_vendor_of(&app);
    let sidecar = everything(&vendor, &app, &store);
    let _crowd = crowd(sidecar.listen);
    // What is there only once something went wrong with a secret.
    sidecar.files.write("bold", "");
    let watch = Watch::on("busy", &[&sidecar]);
    let (rules, dashboard) = (Rules::read(), Dashboard::read());
    within(LONGEST, "a load is turned away", || {
        sidecar.metric(r#"sidemint_loads_rejected_total{reason="load_limited",upstream="acme"}"#) > 0.0
    });
    names_are_known(&rules, &dashboard, &Families::of(&sidecar));
    for rule in Rules::read().hurried(HURRY).all() {
        let name = rule.alert.as_deref().or(rule.record.as_deref()).expect("a rule has a name");
        for selector in selectors(&rule.expr) {
            answers(&watch, name, &selector.text);
        }
        if !SILENT.contains(&name) {
            answers(&watch, name, &answering(&rule.expr));
        }
    }
    answers(&watch, "SidemintAbsent", r#"absent(sidemint_build_info{job="nobody"})"#);
    for (series, label) in dashboard.variables() {
        let series = chosen(&series);
        within(LONGEST, &format!("{series} has values of {label}"), || {
            !watch.prometheus.values(&label, &series).is_empty()
        });
    }
    for panel in dashboard.shown() {
        panel.targets.iter().for_each(|target| shows(&watch, &panel.title, target));
    }
    watch.fires(
        &["SidemintSecretReloadFailing"],
        &serde_json::json!({"secret": "upstreams.bold.auth", "outcome": "empty"}),
    );
}

fn answers(watch: &Watch, name: &str, expression: &str) {
    within(LONGEST, &format!("{name}: {expression} has an answer"), || !watch.prometheus.query(expression).is_empty());
}

/// A panel shows something, and each of its lines has the labels that its name is made of.
fn shows(watch: &Watch, title: &str, target: &Target) {
    let expression = chosen(&target.expr);
    let mut lines = Vec::new();
    within(LONGEST, &format!("{title}: {expression} has an answer"), || {
        lines = watch.prometheus.query(&expression);
        lines.iter().any(|line| line["value"][1] != "NaN")
    });
    for label in target.legend_format.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")) {
        let named = lines.iter().all(|line| line["metric"][label.0].is_string());
        assert!(named, "{title}: a line without {}: {lines:?}", label.0);
    }
}

/// With everything chosen in the variables.
fn chosen(expression: &str) -> String {
    let expression = expression.replace("$__rate_interval", "3s");
    let chosen = ["$job", "$instance", "$upstream", "$embed"];
    let expression = chosen.iter().fold(expression, |text, variable| text.replace(variable, ".*"));
    assert!(!expression.contains('$'), "a variable that is not there: {expression}");
    expression
}

/// Every name in an expression is one that a sidecar, Prometheus or a recording rule has, and every metric of ours is in some
/// expression.
fn names_are_known(rules: &Rules, dashboard: &Dashboard, families: &Families) {
    let recorded: BTreeSet<&str> = rules.recorded().collect();
    let series = dashboard.variables().into_iter().map(|(series, _)| series);
    let targets = dashboard.shown().flat_map(|panel| &panel.targets).map(|target| target.expr.clone());
    let expressions: Vec<String> =
        rules.all().map(|rule| rule.expr.clone()).chain(targets.chain(series).map(|text| chosen(&text))).collect();
    let mut used = BTreeSet::new();
    for expression in &expressions {
        for selector in selectors(expression) {
            let name = selector.name.as_str();
            let known = families.series.contains(name) || recorded.contains(name) || ITS_OWN.contains(&name);
            assert!(known, "{name} is nowhere: {expression}");
            used.insert(family(name).to_owned());
        }
        let unknown: Vec<_> = labels(expression)
            .into_iter()
            .filter(|label| !families.labels.contains(label) && !ITS_OWN_LABELS.contains(&label.as_str()))
            .collect();
        assert!(unknown.is_empty(), "labels that no series has: {unknown:?} in {expression}");
    }
    let reasons = UNUSED.iter().map(|(name, _)| *name);
    let looked_at: BTreeSet<&str> = used.iter().map(String::as_str).chain(reasons).collect();
    let unused: Vec<_> = families.ours.iter().filter(|name| !looked_at.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "nobody looks at {unused:?}");
    let idle: Vec<_> = recorded.iter().filter(|name| !used.contains(**name)).collect();
    assert!(idle.is_empty(), "recorded for nobody: {idle:?}");
}

#[test]
fn the_right_alerts_fire_and_end() {
    at_once(&[("outage", outage), ("credential", credential), ("limiter", limiter), ("fleet", fleet), ("down", down)]);
}

/// Tokens of half a minute are too short by every measure.
const SHORT: [&str; 1] = ["SidemintViewerTokensSuspicious"];

/// Two processes, one vendor, one alert each.
fn outage() {
    let vendor = brief_vendor();
    let sidecars = [plain(&vendor, "", ""), plain(&vendor, "", "")];
    let _load = sidecars.each_ref().map(|sidecar| Load::on_sales(sidecar.listen));
    let watch = Watch::on("outage", &sidecars.each_ref()).calm(&SHORT);
    vendor.inject(Fault::status("*", 503));
    let of_vendor = ["SidemintVendorFailing", "SidemintServiceTokenRenewalFailing", "SidemintServiceTokenExpiring"];
    let of_viewers = ["SidemintServingStale", "SidemintErrorBudgetBurnsFast"];
    std::thread::scope(|scope| {
        scope.spawn(|| watch.fires(&of_vendor, &serde_json::json!({"upstream": "acme"})));
        scope.spawn(|| watch.fires(&of_viewers, &serde_json::json!({"embed": "sales"})));
    });
    let pages = watch.firing().into_iter().filter(|firing| firing.name == "SidemintCredentialRejected");
    assert_eq!(pages.count(), 0, "an outage is no rejection");
    vendor.clear_faults();
    watch.ends(&of_vendor);
    watch.ends(&of_viewers);
}

/// As the page about it says: a secret that the vendor takes, put into the file, ends it.
fn credential() {
    let vendor = brief_vendor();
    let sidecar = plain(&vendor, "", "");
    let _load = Load::on_sales(sidecar.listen);
    let watch = Watch::on("credential", &[&sidecar]).calm(&SHORT);
    vendor.set_secrets(&["dose-another-secret"]);
    watch.fires(&["SidemintCredentialRejected"], &serde_json::json!({"upstream": "acme", "severity": "page"}));
    sidecar.files.write("secret", "dose-another-secret");
    watch.ends(&["SidemintCredentialRejected"]);
}

fn limiter() {
    let vendor = Vendor::start();
    let sidecar = plain(&vendor, "load_limit: {per_second: 5, max_waiting: 10, per_viewer_per_second: 1000}", "");
    let watch = Watch::on("limiter", &[&sidecar]).calm(&[]);
    let crowd = Crowd::at(&[sidecar.listen], 20, &Arc::new(Ledger::open()));
    let alerts = ["SidemintLoadsRejected", "SidemintLoadsWaitLong"];
    watch.fires(&alerts, &serde_json::json!({"upstream": "acme"}));
    crowd.stop();
    watch.ends(&alerts);
}

/// Two processes, one Redis, one alert.
fn fleet() {
    let (vendor, store) = (Vendor::start(), Store::start());
    let more = format!("fleet: {{redis_url: redis://{}/0, replicas: 2}}", store.address());
    let sidecars = [plain(&vendor, "", &more), plain(&vendor, "", &more)];
    let watch = Watch::on("fleet", &sidecars.each_ref()).calm(&[]);
    store.kill();
    watch.fires(&["SidemintFleetDown"], &serde_json::json!({"severity": "ticket"}));
    within(LONGEST, "it counts both", || {
        let firing = watch.firing();
        alone(&firing, "SidemintFleetDown").is_some_and(|firing| firing.text.contains("concerned: 2."))
    });
    store.launch();
    watch.ends(&["SidemintFleetDown"]);
}

/// One of two, then both.
fn down() {
    let vendor = Vendor::start();
    let [one, other] = [plain(&vendor, "", ""), plain(&vendor, "", "")];
    let watch = Watch::on("down", &[&one, &other]).calm(&[]);
    one.process.signal(Signal::KILL);
    watch.fires(&["SidemintInstanceDown"], &serde_json::json!({"instance": one.admin.to_string()}));
    assert_eq!(watch.firing().len(), 1, "nothing is wrong with the other one");
    other.process.signal(Signal::KILL);
    watch.fires(&["SidemintDown"], &serde_json::json!({"severity": "page"}));
    assert_eq!(watch.firing().len(), 1, "one page for both");
}
