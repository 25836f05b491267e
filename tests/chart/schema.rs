//! `values.schema.json` of both charts. The part for `config` is the binary's own schema, and what the charts share is
//! written once, in the library's. After a change of either:
//!
//! ```sh
//! SIDEMINT_TEST_UPDATE=1 cargo test --test chart schema
//! ```

use serde_json::{Map, Value, json};

use super::renders::{app, below, changed, chart};
use super::tools::{HELMS, each, good, output, path, read, said, sidemint, write, yaml};

const LIBRARY: &str = "helm/sidemint/charts/sidemint-sidecar";
const CHART: &str = "helm/sidemint";

fn parsed(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The newest draft that Helm 3's engine knows is 07: `$defs` have another name there.
fn to_draft_7(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !["$schema", "title", "$defs"].contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), to_draft_7(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(to_draft_7).collect(),
        Value::String(text) => text.replace("#/$defs/", "#/definitions/config.").into(),
        other => other.clone(),
    }
}

/// Definitions of the config, under names of their own.
fn of_config() -> Map<String, Value> {
    let text = good(&output(sidemint().arg("schema")), "sidemint schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let parts = schema["$defs"].as_object().expect("definitions").iter();
    let mut all: Map<_, _> = parts.map(|(name, part)| (format!("config.{name}"), to_draft_7(part))).collect();
    all.insert("config".into(), to_draft_7(&schema));
    all
}

fn object<'a>(schema: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    schema[key].as_object_mut().unwrap_or_else(|| panic!("no {key}"))
}

/// The library's schema and the chart's, as they should be.
fn expected() -> [(String, Value); 2] {
    let mut library = parsed(&format!("{LIBRARY}/values.schema.json"));
    let mut chart = parsed(&format!("{CHART}/values.schema.json"));
    let definitions = object(&mut library, "definitions");
    definitions.retain(|name, _| name != "config" && !name.starts_with("config."));
    definitions.extend(of_config());
    object(&mut chart, "definitions").retain(|name, _| !name.starts_with("config"));
    object(&mut chart, "definitions").extend(library["definitions"].as_object().expect("definitions").clone());
    object(&mut library, "properties").insert("global".into(), json!({"type": "object"}));
    object(&mut chart, "properties").extend(library["properties"].as_object().expect("properties").clone());
    // Where Helm puts the library's defaults. They are not fixed here: `helm upgrade --reuse-values` brings old ones.
    let defaults = json!({"type": "object", "description": "Without effect: set these keys at the top."});
    object(&mut chart, "properties").insert("sidemint-sidecar".into(), defaults);
    [(format!("{LIBRARY}/values.schema.json"), library), (format!("{CHART}/values.schema.json"), chart)]
}

#[test]
fn the_schemas_hold_that_of_the_binary() {
    for (file, schema) in expected() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
        if std::env::var_os("SIDEMINT_TEST_UPDATE").is_some() {
            std::fs::write(path(&file), &text).expect("a file");
        }
        assert_eq!(read(&file), text, "{file}: SIDEMINT_TEST_UPDATE=1 cargo test --test chart schema");
    }
}

/// Every place of the schema where a map of ours has fixed keys gets one more.
fn plant(schema: &Value, root: &Value, place: &str, planted: &mut Vec<String>) -> Option<Value> {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
        return if name.starts_with("config") { None } else { plant(&root["definitions"][name], root, place, planted) };
    }
    if schema["type"] == "array" {
        return plant(&schema["items"], root, &format!("{place}_item"), planted).map(|item| json!([item]));
    }
    if schema["additionalProperties"] != false {
        return None;
    }
    let name = format!("misspelt{place}");
    let mut values = Map::from_iter([(name.clone(), json!(1))]);
    planted.push(name);
    for (key, part) in schema["properties"].as_object()? {
        if let Some(below) = plant(part, root, &format!("{place}_{key}"), planted) {
            values.insert(key.clone(), below);
        }
    }
    Some(values.into())
}

#[test]
fn an_unknown_key_is_refused_on_every_level() {
    for (file, chart, nested) in [(CHART, chart(), false), (LIBRARY, app(), true)] {
        let schema = parsed(&format!("{file}/values.schema.json"));
        let mut planted = Vec::new();
        let values = plant(&schema, &schema, "", &mut planted).expect("keys");
        assert!(planted.len() > 20, "{planted:?}");
        let values = if nested { below("sidemint", &values) } else { values };
        let values = write("values.json", &values.to_string());
        for helm in HELMS {
            let rendered = helm.template(&chart, &values, "1.31");
            let said = said(&rendered);
            // With the quotes, or one name would be found in a longer one.
            let named = |name: &&String| ['\'', ' '].iter().any(|end| said.contains(&format!("{name}{end}")));
            let missed: Vec<_> = planted.iter().filter(|name| !named(name)).collect();
            assert!(!rendered.status.success() && missed.is_empty(), "{helm:?} {file}: {missed:?} in {said}");
        }
    }
}

/// One value of `sidecar-native`, or of `gateway-caller`, that is not right.
const BAD: &[(&str, &str)] = &[
    ("/config/sever", "{}"),
    ("/config/server", "{workers: two}"),
    ("/config/server", "{drain_timeout: 10}"),
    ("/config/server", "{drain_timeout: 10 s}"),
    ("/config/server", "{tls: {cert_file: /a, key_file: /b, ca_file: /c}}"),
    ("/config/cache", "{max_size: 64MB}"),
    ("/config/log", "{leval: info}"),
    ("/config/log", "{format: xml}"),
    ("/config/upstreams/acme/hosts", "x"),
    ("/config/upstreams/acme/kind", "tableau"),
    ("/config/upstreams/acme/workspace_id", "1234567890"),
    ("/config/upstreams/acme/auth/client_secret", "literal"),
    ("/config/upstreams/acme/auth/client_secret_file", "[a]"),
    ("/config/upstreams/acme/load_limit", "{per_secnd: 1}"),
    ("/config/embeds/sales/upstreem", "acme"),
    ("/config/embeds/sales/min_ttl", "10"),
    ("/config/fleet", "{redis_url: redis://r, replicas: 2, password: literal}"),
    ("/config/routes", "{r: {upstream: acme, target: https://x, alow: []}}"),
    ("/config/viewers", "{id_privacy: none}"),
    ("/image/repository", "registry.example.com/sidemint:1"),
    ("/image/digest", "sha256:1"),
    ("/image/tag", "1.0"),
    ("/image/pullPolicy", "Sometimes"),
    ("/sidecar", "{native: sometimes}"),
    ("/sidecar", "{preStopSleepSeconds: -1}"),
    ("/existingSecret", "{name: x}"),
    ("/existingSecretItems", "[{key: a}]"),
    ("/existingSecretItems", "[{key: a, path: /b}]"),
    ("/extraSecrets", "[{name: Upper, secretName: a, mountPath: /b}]"),
    ("/extraSecrets", "[{name: a, secretName: a}]"),
    ("/federation", "{databricks: {expirationSeconds: 599}}"),
    ("/federation", "{entra: {enabled: 'yes'}}"),
    ("/ports", "{api: 80}"),
    ("/ports", "{api: 99999}"),
    ("/admin", "{host: example.com}"),
    ("/socket", "{path: run/api.sock}"),
    ("/socket", "{path: /api.sock}"),
    ("/socket", "{peerUids: [portal]}"),
    ("/probes", "{startup: {periodSeconds: 0}}"),
    ("/probes", "{readiness: {enabled: maybe}}"),
    ("/probes", "{liveness: {path: /x}}"),
    ("/resources", "{limit: {memory: 1Gi}}"),
    ("/podMonitor", "{interval: 30}"),
    ("/commonLabels", "{a: 1}"),
    ("/extraEnv", "[{value: x}]"),
    ("/command", "sidemint run"),
    ("/serviceAccount", "{create: 'true'}"),
];
const BAD_OF_THE_CHART: &[(&str, &str)] = &[
    ("/mode", "both"),
    ("/gateway", "{replicas: 0}"),
    ("/gateway", "{service: {type: ExternalName}}"),
    ("/gateway", "{service: {port: 0}}"),
    ("/gateway", "{pdb: {minAvailable: half}}"),
    ("/gateway", "{pdb: {maxUnavailable: -1}}"),
    ("/gateway", "{hostNetwork: true}"),
    ("/gateway", "{networkPolicy: {egressPorts: [https]}}"),
    ("/gateway", "{tls: {certManager: {issuerRef: {names: x}}}}"),
    ("/gateway", "{dnsPolicy: ClusterFirstWithHostNet}"),
    ("/tests", "{timeout: 60}"),
    ("/dashboard", "{labels: {grafana_dashboard: 1}}"),
    ("/sidemint-sidecar", "{imag: {tag: x}}"),
];

#[test]
fn a_wrong_value_is_refused() {
    let mut wanted = Vec::new();
    for helm in HELMS {
        wanted.extend(BAD.iter().map(|row| (helm, app(), "sidecar-native", *row)));
        wanted.extend(BAD_OF_THE_CHART.iter().map(|row| (helm, chart(), "gateway-caller", *row)));
    }
    let wrong: Vec<String> = each(&wanted, |(helm, chart, case, (pointer, text))| {
        let values = changed(case, |values| set(values, pointer, yaml(text)));
        let values = if *case == "sidecar-native" { below("sidemint", &values) } else { values };
        let said = said(&helm.template(chart, &write("values.json", &values.to_string()), "1.31"));
        // Not any failure: a template that stumbles over the value would have let it through.
        let fine = said.contains("values don't meet the specifications of the schema");
        (!fine).then(|| format!("{helm:?} {pointer}: {text}: {}", said.lines().next_back().unwrap_or_default()))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sets what is at the pointer, there or not.
fn set(values: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    values.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"))[key] = value;
}
