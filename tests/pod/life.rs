//! From the first probe to the last request.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use sidemint::emulator::{Fault, Operation, Settings};

use crate::stage::{Container, Pod, Volume, config, metric, until, vendor};
use crate::support::Vendor;
use crate::support::http::send;

const API: &str = "http://127.0.0.1:8190";
/// What Kubernetes gives a pod to end.
const GRACE: u32 = 30;

/// A pod whose sidecar has started. What is first goes first.
struct Scene {
    sidecar: Container,
    _config: Volume,
    secret: Volume,
    vendor: Vendor,
    pod: Pod,
}

/// With more of a config.
fn scene(more: &str) -> Scene {
    let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
    let (config, secret) = config::databricks(&pod, &vendor, more);
    let sidecar = pod.sidecar("64m", &[&config, &secret], &[]);
    until("it has started", || pod.is_up("/startupz"));
    Scene { sidecar, _config: config, secret, vendor, pod }
}

/// A fault of every call of this kind from now on.
fn always(operation: &str) -> Fault {
    Fault { operation: operation.to_owned(), ..Fault::default() }
}

/// How often this became of a request.
fn count(result: &Value, what: &str) -> u64 {
    result[what].as_u64().unwrap_or_default()
}

/// All requests of an app were answered by a token.
#[track_caller]
fn all_is_well(app: &Container) -> u64 {
    let result = app.result();
    let kinds: Vec<&String> = result.as_object().expect("a tally").keys().collect();
    assert_eq!(kinds, ["200 token"], "{result}");
    count(&result, "200 token")
}

/// The order of a native sidecar: it starts, its start-up probe passes, then the app starts; and of a plain one: both
/// start, and the app waits by itself. Rejected credentials are what no time alone mends.
#[test]
fn an_app_starts_when_its_sidecar_has() {
    let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
    let (config, mut secret) = config::databricks(&pod, &vendor, "");
    secret.publish(&[("databricks", "dose-of-another-pod")]);
    let sidecar = pod.sidecar("64m", &[&config, &secret], &[]);
    let waits = pod.client(&[], &["wait", "--timeout", "60s"]);
    let gives_up = pod.client(&[], &["wait", "--timeout", "1s"]);
    assert_eq!(gives_up.wait(), 1, "{}", gives_up.logs());
    until("its admin port answers", || TcpStream::connect(pod.admin()).is_ok());
    assert_eq!((pod.look("/startupz").status, pod.look("/livez").status), (503, 200), "it lives and has not started");
    assert!(waits.runs(), "the app is held back: {}", waits.logs());
    secret.publish(&[("databricks", &vendor.databricks().client_secret)]);
    assert_eq!(waits.wait(), 0, "{}", waits.logs());
    assert_eq!(pod.look("/startupz").status, 200);
    let asks = pod.client(&[], &["token", "sales", "--viewer-id", "u-1"]);
    assert_eq!(asks.wait(), 0, "{}", asks.logs());
    assert!(sidecar.runs());
}

/// What the pod's own address offers to the cluster is health and metrics; tokens are for its localhost.
#[test]
fn the_token_port_is_the_pod_s_own() {
    let scene = scene("");
    let pod = &scene.pod;
    let neighbour = pod.neighbour(&[], &[], &["token", "sales", "--viewer-id", "u-1", "--url", &pod.url(8190)]);
    assert_eq!(neighbour.wait(), 1, "{}", neighbour.logs());
    assert!(TcpStream::connect((pod.address, 8190)).is_err(), "nobody listens there");
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(pod.look(path).status, 200, "{path}");
    }
    assert_eq!(pod.look("/v1/embeds/sales/token?viewer_id=u-1").status, 404, "the admin port has no tokens");
}

#[test]
fn a_job_ends_with_its_native_sidecar() {
    let scene = scene("");
    let pod = &scene.pod;
    let job = pod.app("pod_app.py", &["job", API, "--asks", "30"]);
    assert_eq!(job.wait(), 0, "{}", job.logs());
    assert_eq!(all_is_well(&job), 30);
    let begin = Instant::now();
    assert_eq!(scene.sidecar.stop(GRACE), 0, "the kubelet ends it after the last container: {}", scene.sidecar.logs());
    assert!(begin.elapsed() < Duration::from_secs(5), "nothing is in flight: {:?}", begin.elapsed());
}

/// Where there are no native sidecars, a Job is done only when the sidecar has ended, too: the job ends it. Nobody else can,
/// though the admin port is open to the cluster.
#[test]
fn a_job_ends_its_plain_sidecar() {
    let scene = scene("admin: {quit: true}");
    let pod = &scene.pod;
    let stranger = send(pod.admin(), "POST", "/quitquitquit", &[], "");
    assert_eq!((stranger.status, stranger.code().as_str()), (403, "forbidden_host"), "{}", stranger.text());
    let job = pod.app("pod_app.py", &["job", API, "--asks", "3", "--quit", "http://127.0.0.1:8191/quitquitquit"]);
    assert_eq!(job.wait(), 0, "{}", job.logs());
    assert_eq!((count(&job.result(), "200 token"), count(&job.result(), "quit 200")), (3, 1), "{}", job.logs());
    assert_eq!(scene.sidecar.wait(), 0, "{}", scene.sidecar.logs());
}

/// The worst order: the sidecar is told to end while its app has not even noticed. Whatever reached it is answered: with a
/// token, or by `draining`, which says that it was not done and when to ask again.
#[test]
fn sigterm_under_load_loses_no_request() {
    let scene = scene("");
    let pod = &scene.pod;
    let app = pod.app("pod_app.py", &["load", API, "--threads", "16"]);
    until("it is under load", || pod.mints() >= 200.0);
    let begin = Instant::now();
    assert_eq!(scene.sidecar.stop(GRACE), 0, "{}", scene.sidecar.logs());
    assert!(begin.elapsed() < Duration::from_secs(GRACE.into()), "not killed: {:?}", begin.elapsed());
    assert_eq!(app.wait(), 0, "{}", app.logs());
    let result = app.result();
    assert!(count(&result, "200 token") > 200, "{result}");
    let others: Vec<_> = result.as_object().expect("a tally").iter().filter(|(what, _)| *what != "200 token").collect();
    assert!(others.iter().all(|(what, _)| *what == "503 draining"), "{result}");
}

/// The kubelet swaps the volume; the old secret ends at the vendor ten seconds later, and nobody notices either.
#[test]
fn a_swapped_secret_is_used_within_ten_seconds() {
    const NEW: &str = "dose-the-new-secret-of-the-pod";
    let mut scene = scene("");
    let (pod, vendor) = (&scene.pod, &scene.vendor);
    vendor.set_secrets(&[&vendor.databricks().client_secret, NEW]);
    let app = pod.app("pod_app.py", &["load", API, "--threads", "4"]);
    until("it is under load", || pod.mints() >= 50.0);
    let offered = || {
        let mint = vendor.journal().into_iter().rev().find(|entry| entry.operation == Operation::Mint);
        mint.and_then(|entry| entry.credential).expect("the load mints")
    };
    let (before, begin) = (offered(), Instant::now());
    scene.secret.publish(&[("databricks", NEW)]);
    until("the vendor is shown the new secret", || offered() != before);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    vendor.set_secrets(&[NEW]);
    let mints = pod.mints();
    until("it goes on with the new one alone", || pod.mints() >= mints + 50.0);
    app.terminate();
    assert_eq!(app.wait(), 0, "{}", app.logs());
    all_is_well(&app);
    let reloads = r#"sidemint_secret_reloads_total{outcome="ok",secret="upstreams.acme.auth"}"#;
    assert_eq!(metric(&pod.look("/metrics").text(), reloads), 1.0);
}

/// An outage of the vendor is none of the pod: no probe fails, so nothing is restarted and no app taken out of service, and
/// whoever was shown a dashboard before goes on.
#[test]
fn an_outage_of_the_vendor_flips_no_probe() {
    let scene = scene("");
    let pod = &scene.pod;
    let before = pod.app("pod_app.py", &["job", API, "--asks", "20"]);
    assert_eq!(before.wait(), 0, "{}", before.logs());
    for operation in ["service_token", "token_info", "mint"] {
        scene.vendor.inject(Fault { status: Some(503), ..always(operation) });
    }
    // Somebody new finds that out, again and again, and those from before do not.
    let known = pod.app("pod_app.py", &["job", API, "--asks", "20"]);
    let failing = r#"sidemint_embed_requests_total{embed="sales",outcome="error"}"#;
    let unknown = pod.app("pod_app.py", &["load", API, "--threads", "2"]);
    let mut looks = 0;
    until("many have failed", || {
        for path in ["/livez", "/readyz", "/startupz"] {
            assert_eq!(pod.look(path).status, 200, "{path}");
            looks += 1;
        }
        metric(&pod.look("/metrics").text(), failing) >= 20.0
    });
    assert!(looks >= 9, "{looks}");
    let exec = scene.sidecar.exec(&["sidemint", "healthcheck"]);
    assert!(exec.status.success(), "{}", crate::stage::both(&exec));
    assert_eq!(known.wait(), 0, "{}", known.logs());
    assert_eq!(all_is_well(&known), 20);
    unknown.terminate();
    assert_eq!(unknown.wait(), 0, "{}", unknown.logs());
    assert_eq!(count(&unknown.result(), "lost"), 0, "{}", unknown.logs());
    assert!(scene.sidecar.runs());
}
