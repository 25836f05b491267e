//! What the chart renders, run: the container, its variables, mounts, users and probes are those of the manifest.

use serde_json::{Value, json};
use sidemint::emulator::Settings;

use crate::chart::documents::{kind, text};
use crate::chart::renders::{app, below, chart};
use crate::chart::tools::{Helm, good, write};
use crate::stage::{Kubelet, Pod, config, seen_from, vendor};
use crate::support::Vendor;

/// Renders a chart with these values.
fn render(chart: &std::path::Path, values: &Value, kubernetes: &str) -> Vec<Value> {
    let values = write("values.json", &values.to_string());
    crate::chart::documents::split(&good(&Helm::Four.template(chart, &values, kubernetes), "helm template"))
}

/// The values that every example has.
fn values(pod: &Pod, vendor: &Vendor) -> Value {
    let databricks = vendor.databricks();
    json!({
        "image": {"repository": "localhost/sidemint-test"},
        "existingSecret": "sidemint",
        "config": {
            "upstreams": {"acme": {
                "kind": "databricks",
                "host": format!("http://{}", seen_from(pod, vendor)),
                "allow_insecure_http": true,
                "workspace_id": databricks.workspace_id,
                "auth": {
                    "client_id": databricks.client_id,
                    "client_secret_file": format!("{}/databricks", config::SECRETS),
                },
            }},
            "embeds": {"sales": {"upstream": "acme", "dashboard_id": vendor.dashboard()}},
        },
    })
}

/// The pod of a Deployment.
fn deployed(documents: &[Value]) -> &Value {
    &kind(documents, "Deployment").first().expect("there is one")["spec"]["template"]["spec"]
}

/// What the chart tells an app.
fn told<'a>(container: &'a Value, name: &str) -> &'a str {
    let variables = container["env"].as_array().expect("variables");
    text(variables.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is not told")), "/value")
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Sidecar and app, in both forms, and over a socket that the app's user may use by the pod's group alone.
#[test]
fn an_app_gets_its_token_in_the_pod_that_the_library_renders() {
    let sockets = json!({"enabled": true, "peerUids": [1000]});
    for (kubernetes, socket) in [("1.31", json!({})), ("1.28", json!({})), ("1.31", sockets)] {
        let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
        let mut values = values(&pod, &vendor);
        values["socket"] = socket;
        let documents = render(&app(), &below("sidemint", &values), kubernetes);
        let secret = [("databricks", vendor.databricks().client_secret.as_str())];
        let kubelet = Kubelet::of(&pod, deployed(&documents), &documents, &[("sidemint", &secret)]);
        let (sidemint, portal) = (kubelet.container("sidemint"), kubelet.container("portal"));
        let sidecar = kubelet.start(sidemint);
        let waits = kubelet.start_with(portal, &words("wait --timeout 60s"));
        kubelet.started(sidemint, &sidecar);
        assert_eq!(waits.wait(), 0, "{}", waits.logs());
        assert!(kubelet.probe(sidemint, &sidecar, "livenessProbe"));
        let url = match values["socket"]["enabled"] == true {
            true => format!("unix:{}", told(portal, "SIDEMINT_SOCKET")),
            false => told(portal, "SIDEMINT_URL").to_owned(),
        };
        let mut asks = kubelet.start_with(portal, &words(&format!("token sales --viewer-id u-1 --url {url}")));
        asks.is_for_tokens = true;
        assert_eq!(asks.wait(), 0, "{kubernetes} {url}: {}", asks.logs());
        assert_eq!(sidecar.stop(30), 0, "{}", sidecar.logs());
    }
}

/// The gateway: ready by its own probe, open to whoever knows the callers' secret, at the name of its Service.
#[test]
fn callers_get_their_tokens_from_the_gateway_that_the_chart_renders() {
    let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
    let mut values = values(&pod, &vendor);
    values["mode"] = json!("gateway");
    values["callerToken"] = json!({"existingSecret": "callers"});
    let documents = render(&chart(), &values, "1.37");
    let secret = [("databricks", vendor.databricks().client_secret.as_str())];
    let callers = [("token", "the-word-of-the-callers-4jw8")];
    let kubelet = Kubelet::of(&pod, deployed(&documents), &documents, &[("sidemint", &secret), ("callers", &callers)]);
    let spec = kubelet.container("sidemint");
    let gateway = kubelet.start(spec);
    kubelet.started(spec, &gateway);
    assert!(kubelet.probe(spec, &gateway, "readinessProbe") && kubelet.probe(spec, &gateway, "livenessProbe"));
    let service = kind(&documents, "Service").into_iter().find(|service| {
        service["spec"]["ports"].as_array().is_some_and(|ports| ports.iter().any(|port| port["name"] == "http"))
    });
    let name = format!("{}.apps.svc", text(service.expect("one for callers"), "/metadata/name"));
    let host = ["--add-host", &format!("{name}:{}", pod.address)];
    let known = crate::stage::Volume::new(&callers).at("/callers");
    let url = format!("http://{name}:8190");
    let ask = ["token", "sales", "--viewer-id", "u-1", "--url", &url];
    let mut guest = pod.neighbour(&[&known], &host, &[&ask[..], &["--caller-token-file", "/callers/token"]].concat());
    guest.is_for_tokens = true;
    assert_eq!(guest.wait(), 0, "{}", guest.logs());
    let stranger = pod.neighbour(&[], &host, &ask);
    assert_eq!(stranger.wait(), 1, "{}", stranger.logs());
    assert_eq!(gateway.stop(30), 0, "{}", gateway.logs());
}
