//! The config that pods get is one that the binary takes, and a change of it reaches them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};

use super::documents::{kind, list, pods, split, text, variables};
use super::renders::{app, below, changed, of_helm_4, render, with};
use super::tools::{Helm, good, output, said, sidemint, write};

/// The variables of a container as the kubelet would give them, with the config where it can be read here.
fn environment(container: &Value, config: Option<&str>) -> Vec<(String, String)> {
    let from_secret = list(container, "/env").iter().filter(|entry| entry["valueFrom"]["secretKeyRef"].is_object());
    let mut all: Vec<(String, String)> =
        from_secret.map(|entry| (text(entry, "/name").to_owned(), "a secret".to_owned())).collect();
    for (name, value) in variables(container) {
        let value = match (name, config) {
            ("SIDEMINT_CONFIG", Some(config)) => write("config.yaml", config).display().to_string(),
            _ => value.to_owned(),
        };
        all.push((name.to_owned(), value));
    }
    all
}

fn run(arguments: &[&str], environment: &[(String, String)]) -> Output {
    output(sidemint().args(arguments).envs(environment.iter().map(|(name, value)| (name, value))))
}

/// The config of a pod, if it was rendered: one of the user's own is not here.
fn config_of<'a>(documents: &'a [Value], spec: &Value) -> Option<&'a str> {
    let volume = list(spec, "/volumes").iter().find(|volume| volume["name"] == "sidemint-config")?;
    let name = text(volume, "/configMap/name");
    let map = kind(documents, "ConfigMap").into_iter().find(|map| map["metadata"]["name"] == name)?;
    map["data"]["config.yaml"].as_str()
}

#[test]
fn the_binary_takes_every_config_with_the_variables_of_its_container() {
    let mut seen = BTreeSet::new();
    for render in of_helm_4() {
        for pod in pods(&render.documents) {
            let config = config_of(&render.documents, pod.spec);
            for container in
                pod.containers().into_iter().filter(|c| ["sidemint", "check"].iter().any(|n| c["name"] == *n))
            {
                let has_file = variables(container).iter().any(|(name, _)| *name == "SIDEMINT_CONFIG");
                if has_file && config.is_none() || !seen.insert((config, variables(container))) {
                    continue;
                }
                let checked = run(&["check"], &environment(container, config));
                assert!(checked.status.success(), "{} {}: {}", render.about(), pod.owner, said(&checked));
            }
        }
    }
    assert!(seen.len() >= 12, "{} configs are fewer than there should be", seen.len());
}

/// Otherwise nobody looks at the port with the tokens but under its own name.
#[test]
fn a_gateway_answers_to_the_names_of_its_service() {
    let documents = &render("gateway-caller", "1.31").documents;
    let config = super::tools::yaml(text(kind(documents, "ConfigMap")[0], "/data/config.yaml"));
    let service = text(kind(documents, "Service")[0], "/metadata/name");
    let hosts: Vec<&str> = list(&config, "/server/allowed_hosts").iter().filter_map(Value::as_str).collect();
    for suffix in ["", ".apps", ".apps.svc", ".apps.svc.cluster.local"] {
        assert!(hosts.contains(&format!("{service}{suffix}").as_str()), "{hosts:?}");
    }
    assert!(hosts.contains(&"dashboards.internal"), "what the user named stays: {hosts:?}");
    let certificate = kind(&render("gateway-cert-manager", "1.31").documents, "Certificate")[0];
    assert!(list(certificate, "/spec/dnsNames").contains(&json!("rel-sidemint.apps.svc")), "{certificate}");
}

/// The annotation that restarts pods when their config changes.
fn checksum(documents: &[Value]) -> String {
    let pods = pods(documents);
    let annotation = pods.iter().find_map(|pod| pod.metadata["annotations"]["checksum/sidemint-config"].as_str());
    annotation.expect("an annotation").to_owned()
}

#[test]
fn pods_restart_when_their_config_changes_and_not_otherwise() {
    let through_app = |values: &Value| {
        let file = write("values.json", &below("sidemint", values).to_string());
        split(&good(&Helm::Four.template(&app(), &file, "1.31"), "helm template"))
    };
    type Rendered<'a> = &'a dyn Fn(&Value) -> Vec<Value>;
    let render: [(&str, Rendered<'_>); 2] = [("gateway-caller", &with), ("sidecar-native", &through_app)];
    for (case, render) in render {
        let before = checksum(&render(&changed(case, |_| ())));
        let config = changed(case, |values| values["config"]["log"] = json!({"level": "debug"}));
        assert_ne!(checksum(&render(&config)), before, "{case}");
        let computed = changed(case, |values| values["hmac"] = json!({"existingSecret": "other", "key": "k"}));
        let is_new = case == "gateway-caller";
        assert_eq!(checksum(&render(&computed)) != before, is_new, "{case}: hmac adds a key where there was none");
        let other = changed(case, |values| values["podMonitor"] = json!({"enabled": true}));
        assert_eq!(checksum(&render(&other)), before, "{case}");
    }
}

/// What the pod of `helm test` runs does what it says, with a Service of the admin port whose address is in a variable.
#[test]
fn the_pod_of_helm_test_runs_commands_that_the_binary_has() {
    for case in ["gateway-caller", "gateway-full"] {
        let documents = &render(case, "1.31").documents;
        let pod = kind(documents, "Pod")[0];
        assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
        assert_eq!(pod["spec"]["enableServiceLinks"], true, "the kubelet makes the variable only then");
        let wait = list(pod, "/spec/containers").iter().find(|c| c["name"] == "wait").expect("a container");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = std::thread::spawn(move || answer(&listener));
        let address = expanded(variables(wait)[0].1, documents).replace(":8191", &format!(":{port}"));
        let arguments: Vec<&str> = list(wait, "/args").iter().filter_map(Value::as_str).collect();
        let waited = run(&arguments, &[("SIDEMINT_ADMIN_LISTEN".to_owned(), address)]);
        assert!(waited.status.success(), "{case}: {}", said(&waited));
        assert!(asked.join().expect("the listener").starts_with("GET /startupz "), "{case}");
    }
    let live = kind(&render("gateway-cert-manager", "1.31").documents, "Pod")[0];
    assert_eq!(live["spec"]["containers"][0]["args"], json!(["check", "--live"]));
    let sidecar = kind(&render("sidecar-native", "1.31").documents, "Pod")[0];
    assert_eq!(list(sidecar, "/spec/containers").len(), 1, "there is nothing to wait for: {sidecar}");
}

/// `$(NAME_SERVICE_HOST)` as the kubelet writes it, for Services that are there.
fn expanded(text_with: &str, documents: &[Value]) -> String {
    let mut expanded = text_with.to_owned();
    for service in kind(documents, "Service") {
        let name = text(service, "/metadata/name").to_uppercase().replace('-', "_");
        expanded = expanded.replace(&format!("$({name}_SERVICE_HOST)"), "127.0.0.1");
    }
    expanded
}

/// Answers one request like `/startupz` does, and says what was asked.
fn answer(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().expect("a caller");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("a reader");
    String::from_utf8_lossy(&head).into_owned()
}

/// Paths and variables are those of the vendors, and of the README.
#[test]
fn federated_tokens_are_where_the_binary_looks() {
    for (case, variable, path, audience, life) in [
        (
            "app-federation-databricks",
            "DATABRICKS_OIDC_TOKEN_FILEPATH",
            "/var/run/secrets/tokens/databricks",
            "0d26daa6-5e44-4c97-a497-ef015f91254a",
            3600,
        ),
        (
            "app-federation-entra",
            "AZURE_FEDERATED_TOKEN_FILE",
            "/var/run/secrets/azure/tokens/azure-identity-token",
            "api://AzureADTokenExchange",
            600,
        ),
    ] {
        for pod in pods(&render(case, "1.31").documents) {
            let sidecar = pod.sidecar().expect("a sidecar");
            assert!(variables(sidecar).contains(&(variable, path)), "{sidecar}");
            let (folder, file) = path.rsplit_once('/').expect("a path");
            let mount =
                list(sidecar, "/volumeMounts").iter().find(|mount| mount["mountPath"] == folder).expect("a mount");
            let volume = list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == mount["name"]);
            let token = json!({"audience": audience, "expirationSeconds": life, "path": file});
            assert_eq!(volume.expect("a volume")["projected"]["sources"], json!([{"serviceAccountToken": token}]));
        }
    }
}
