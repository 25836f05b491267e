//! Sidecars that share one store.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use sidemint::emulator::DatabricksSettings;

use super::ledger::Ledger;
use super::line::Line;
use super::link::{Link, Way};
use super::store::Store;
use super::{free_port, s, until};
use crate::support::config::Files;
use crate::support::process::Ended;
use crate::support::{PATIENCE, Settings, Sidecar, Vendor};

/// So many viewers load.
const VIEWERS: usize = 8;

/// One of them.
pub fn viewer(number: usize) -> String {
    format!("v-{}", number % VIEWERS)
}

/// What a test wants of its fleet.
#[derive(Clone)]
pub struct Plan {
    pub sidecars: usize,
    /// As the config says it.
    pub replicas: usize,
    pub per_second: u32,
    /// More of the limit.
    pub limit: &'static str,
    /// More of the fleet.
    pub fleet: String,
    /// Whether the store is spoken to in TLS.
    pub tls: bool,
    /// Before the store's host in its URL, with the `@`.
    pub user: &'static str,
    /// Whether the test waits until all have found the store.
    pub joins: bool,
}

impl Plan {
    /// So many sidecars, and so many loads in a second for all of them.
    pub fn of(sidecars: usize, per_second: u32) -> Plan {
        Plan {
            sidecars,
            replicas: sidecars,
            per_second,
            limit: "max_waiting: 1000",
            fleet: String::new(),
            tls: false,
            user: "",
            joins: true,
        }
    }
}

/// How many warnings each sidecar had said at some time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Warned {
    pub at: Duration,
    pub counts: BTreeMap<usize, usize>,
}

/// A fleet on its stage.
pub struct Fleet {
    pub plan: Plan,
    pub vendor: Vendor,
    pub ledger: Arc<Ledger>,
    pub store: Store,
    pub links: Vec<Link>,
    /// None where one is down.
    pub sidecars: Vec<Option<Sidecar>>,
    /// Where each listens, in all its lives.
    pub addresses: Vec<SocketAddr>,
    /// The files of those that are down.
    kept: Vec<Option<Files>>,
}

impl Fleet {
    /// With a store of the usual kind.
    pub fn start(plan: Plan) -> Fleet {
        Fleet::with(plan, Store::start())
    }

    /// With this store, each over a link of its own. All have their viewers' tokens.
    pub fn with(plan: Plan, store: Store) -> Fleet {
        let vendor = Vendor::of(DatabricksSettings { loads_per_second: plan.per_second, ..Default::default() });
        let target = if plan.tls { store.tls_address() } else { store.address() };
        let links: Vec<Link> = (0..plan.sidecars).map(|_| Link::to(target)).collect();
        let addresses: Vec<SocketAddr> =
            (0..plan.sidecars).map(|_| (Ipv4Addr::LOCALHOST, free_port()).into()).collect();
        let files = |(address, link)| Some(files(&vendor, &plan, address, link));
        let kept: Vec<Option<Files>> = addresses.iter().zip(&links).map(files).collect();
        let sidecars = (0..plan.sidecars).map(|_| None).collect();
        let ledger = Arc::new(Ledger::open());
        ledger.event(&format!("sidecars at {addresses:?}"));
        let mut fleet = Fleet { plan, vendor, ledger, store, links, sidecars, addresses, kept };
        for number in 0..fleet.plan.sidecars {
            fleet.raise(number);
        }
        for number in 0..fleet.plan.sidecars {
            fleet.settle(number);
        }
        fleet
    }

    /// Starts one, and waits for nothing.
    fn raise(&mut self, number: usize) {
        let files = self.kept[number].take().expect("it is down");
        self.sidecars[number] = Some(Sidecar::of(files, &[]));
    }

    /// Waits until one can be asked, and gives it its viewers' tokens.
    fn settle(&self, number: usize) {
        let ready = || self.sidecar(number).look("/readyz").status == 200;
        until("the sidecar is ready", ready);
        let mut line = Line::to(self.addresses[number]).expect("the sidecar listens");
        for viewer in (0..VIEWERS).map(viewer) {
            assert_eq!(line.ask(&viewer, "renew").expect("an answer").outcome(), "200");
        }
        if self.plan.joins {
            self.is(number, true);
        }
    }

    /// One that is up.
    pub fn sidecar(&self, number: usize) -> &Sidecar {
        self.sidecars[number].as_ref().expect("it is up")
    }

    fn up(&self) -> impl Iterator<Item = usize> {
        (0..self.plan.sidecars).filter(|number| self.sidecars[*number].is_some())
    }

    /// Waits until one says that it has the fleet, or that it has not. The series is there in either case.
    #[track_caller]
    pub fn is(&self, number: usize, in_fleet: bool) -> Duration {
        let wanted = format!("\nsidemint_fleet_up {}\n", u8::from(in_fleet));
        let what = format!("sidecar {number} says{wanted}");
        until(&what, || self.sidecar(number).look("/metrics").text().contains(&wanted))
    }

    /// Waits until all that are up say so.
    #[track_caller]
    pub fn all_are(&self, in_fleet: bool) {
        for number in self.up() {
            self.is(number, in_fleet);
        }
        self.ledger.event(if in_fleet { "all have the fleet" } else { "all are on their own" });
    }

    /// The store has just gone: all that are up go on alone. 1.85 s after its last answer is what `docs/fleet.md` says; on
    /// a busy machine it is later, but no matter of waiting for a connection to end.
    #[track_caller]
    pub fn all_go_alone(&self) {
        let begin = self.ledger.now();
        self.all_are(false);
        let took = self.ledger.now() - begin;
        assert!(took <= s(10), "{took:?} until all were on their own\n{}", self.ledger);
    }

    /// Sets all links.
    pub fn links(&self, way: Way) {
        self.links.iter().for_each(|link| link.set(way));
        self.ledger.event(&format!("links {way:?}"));
    }

    /// One crashes.
    pub fn kill(&mut self, number: usize) {
        self.ledger.event(&format!("sidecar {number} killed"));
        self.end(number, Signal::KILL);
    }

    /// One is told to stop, and does.
    pub fn stop(&mut self, number: usize) -> Ended {
        self.ledger.event(&format!("sidecar {number} told to stop"));
        let ended = self.end(number, Signal::TERM);
        self.ledger.event(&format!("sidecar {number} stopped"));
        ended
    }

    fn end(&mut self, number: usize, signal: Signal) -> Ended {
        let Sidecar { process, files, .. } = self.sidecars[number].take().expect("it is up");
        process.signal(signal);
        self.kept[number] = Some(files);
        process.end(PATIENCE)
    }

    /// One is started again, at the same place and with the same config.
    pub fn restart(&mut self, number: usize) {
        self.ledger.event(&format!("sidecar {number} starts"));
        self.raise(number);
        self.settle(number);
    }

    /// Another one takes the place of one that is down: the same config, but for where it listens.
    pub fn replace(&mut self, number: usize) {
        let old = std::mem::replace(&mut self.addresses[number], (Ipv4Addr::LOCALHOST, free_port()).into());
        let files = self.kept[number].as_ref().expect("it is down");
        let text = std::fs::read_to_string(files.config()).expect("there is a config");
        files.write("config.yaml", &text.replacen(&old.to_string(), &self.addresses[number].to_string(), 1));
        self.restart(number);
    }

    /// What one has said that a person would be woken up by.
    pub fn warnings(&self, number: usize) -> Vec<String> {
        let said = self.sidecar(number).process.err.text();
        said.lines().filter(|line| line.contains("\"level\":\"WARN\"")).map(str::to_owned).collect()
    }

    /// What those that are up have warned of so far.
    pub fn warned(&self) -> Warned {
        Warned {
            at: self.ledger.now(),
            counts: self.up().map(|number| (number, self.warnings(number).len())).collect(),
        }
    }

    /// Since then each has said once that it is on its own, and why unless it had said so before, and not much more:
    /// nobody reads a page of warnings. Other reasons may follow, one in five seconds.
    #[track_caller]
    pub fn warned_once(&self, since: &Warned) {
        let most = 4 + usize::try_from((self.ledger.now() - since.at).as_secs() / 5).unwrap_or_default();
        for number in self.up() {
            let (all, before) = (self.warnings(number), since.counts.get(&number).copied().unwrap_or_default());
            let new = &all[before..];
            let alone = new.iter().filter(|line| line.contains("keeps to its share")).count();
            let why = all.iter().any(|line| !line.contains("keeps to its share"));
            assert!(alone == 1 && why && new.len() <= most, "sidecar {number} warns of:\n{}", new.join("\n"));
        }
    }

    /// One load through one sidecar: the outcome, and how long it took.
    pub fn load(&self, number: usize, viewer: &str) -> (String, Duration) {
        let mut line = Line::to(self.addresses[number]).expect("the sidecar listens");
        let asked = self.ledger.now();
        let answer = line.ask(viewer, "load").expect("an answer");
        let at = self.ledger.time_of(answer.at);
        if answer.status == 200 {
            self.ledger.start(asked, at, number);
        }
        (answer.outcome(), at - asked)
    }

    /// Waits until no start is younger than any window: the limiter is idle.
    pub fn idle(&self) {
        let last = self.ledger.starts().last().map(|start| start.at).unwrap_or_default();
        until("nothing starts", || self.ledger.now() > last + Duration::from_millis(1500));
    }
}

/// The config of one.
fn files(vendor: &Vendor, plan: &Plan, address: &SocketAddr, link: &Link) -> Files {
    let Plan { replicas, per_second, limit, fleet, tls, user, .. } = plan;
    let scheme = if *tls { "rediss" } else { "redis" };
    let url = format!("{scheme}://{user}{}/0", link.address);
    let settings = Settings {
        log: "level: info",
        upstream: format!("load_limit: {{per_second: {per_second}, per_viewer_per_second: 1000, {limit}}}"),
        more: format!("fleet: {{redis_url: '{url}', replicas: {replicas}{fleet}}}"),
        ..Settings::default()
    };
    let files = Files::new(vendor, &settings);
    let text = files.text(vendor, &settings).replacen("127.0.0.1:0", &address.to_string(), 1);
    files.write("config.yaml", &text);
    files
}
