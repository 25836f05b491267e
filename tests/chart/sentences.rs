//! What no schema can say is said by the templates, in one sentence, by both Helms.

use serde_json::{Value, json};

use super::renders::{app, below, changed, chart};
use super::tools::{HELMS, Helm, each, output, read, said, write, yaml};

struct Refused {
    case: &'static str,
    change: fn(&mut Value),
    says: &'static str,
}

const fn refused(case: &'static str, change: fn(&mut Value), says: &'static str) -> Refused {
    Refused { case, change, says }
}

const OF_BOTH: [Refused; 14] = [
    refused("sidecar-native", |v| v["config"] = json!({"log": {"level": "debug"}}), "there is nothing to run"),
    refused("sidecar-native", |v| v["existingConfigMap"] = json!("mine"), "config and existingConfigMap are both set"),
    refused(
        "sidecar-native",
        |v| v["config"]["server"] = json!({"listen": "0.0.0.0:1"}),
        "config.server.listen is not used",
    ),
    refused(
        "sidecar-native",
        |v| v["config"]["admin"] = json!({"listen": "0.0.0.0:1"}),
        "config.admin.listen is not used",
    ),
    refused("sidecar-plain", |v| v["config"]["server"] = json!({"caller_token_env": "X"}), "are both set"),
    refused("sidecar-native", |v| v["ports"] = json!({"api": 8191}), "ports.api and admin.port are both 8191"),
    refused(
        "federation-databricks",
        |v| v["federation"]["databricks"]["audience"] = json!(""),
        "by default the Databricks account id",
    ),
    refused("sidecar-native", |v| v["admin"] = json!({"host": "127.0.0.1"}), "Prometheus cannot reach it"),
    refused("sidecar-native", |v| v["config"]["cache"] = json!({"max_size": "128MiB"}), "needs 216Mi"),
    refused("sidecar-native", |v| v["resources"] = json!({"limits": {"memory": 125_829_119}}), "needs 120Mi"),
    refused("sidecar-native", |v| v["resources"] = json!({"limits": {"memory": "0.1Gi"}}), "needs 120Mi"),
    refused(
        "sidecar-environment",
        |v| v["callerToken"] = json!({"existingSecret": "x"}),
        "without config.upstreams there is none",
    ),
    refused("sidecar-existing", |v| v["hmac"] = json!({"existingSecret": "x"}), "with existingConfigMap that is yours"),
    refused(
        "sidecar-existing",
        |v| v["socket"] = json!({"enabled": true, "peerUids": [1]}),
        "with existingConfigMap that is yours",
    ),
];

const OF_THE_SIDECAR: [Refused; 3] = [
    refused("sidecar-native", |v| v["config"] = json!({}), "there is nothing to run"),
    refused("sidecar-native", |v| v["image"] = json!({}), "image.repository is not set"),
    refused(
        "sidecar-existing",
        |v| v["probes"] = json!({"readiness": {"enabled": true}}),
        "the readiness probe calls /readyz",
    ),
];

const OF_THE_GATEWAY: [Refused; 24] = [
    refused("gateway-caller", |v| v["config"] = json!({}), "there is nothing to run"),
    refused("gateway-caller", |v| v["callerToken"] = json!({}), "the gateway is reached over the network"),
    refused("gateway-caller", |v| v["image"] = json!({}), "image.repository is not set"),
    refused("gateway-caller", |v| v["socket"] = json!({"enabled": true}), "socket.enabled is for sidecars"),
    refused("gateway-caller", |v| v["admin"] = json!({"host": "127.0.0.1"}), "the gateway's readiness probe"),
    refused("gateway-caller", |v| v["gateway"] = json!({"pdb": {"minAvailable": 1}}), "exactly one of"),
    refused("gateway-caller", |v| v["gateway"] = json!({"pdb": {"maxUnavailable": null}}), "exactly one of"),
    refused("gateway-caller", |v| v["gateway"] = json!({"terminationGracePeriodSeconds": 95}), "must be over the 95 s"),
    refused(
        "gateway-caller",
        |v| v["gateway"] = json!({"tls": {"clientCa": {"existingSecret": "x"}}}),
        "clientCa needs",
    ),
    refused(
        "gateway-caller",
        |v| v["gateway"] = json!({"tls": {"certManager": {"enabled": true}}}),
        "issuerRef.name is not set",
    ),
    refused("gateway-tls", |v| v["gateway"]["tls"]["certManager"] = json!({"enabled": true}), "are both set"),
    refused(
        "gateway-tls",
        |v| v["config"]["server"] = json!({"tls": {"cert_file": "/a", "key_file": "/b"}}),
        "gateway.tls and config.server.tls are both set",
    ),
    refused(
        "gateway-tls",
        |v| v["gateway"]["autoscaling"]["minReplicas"] = json!(9),
        "minReplicas is above maxReplicas",
    ),
    refused(
        "gateway-tls",
        |v| v["gateway"]["tls"]["clientCa"] = json!({}),
        "nothing proves who the gateway's callers are",
    ),
    refused("gateway-caller", |v| v["config"]["admin"] = json!({"quit": true}), "config.admin.quit is for the sidecar"),
    refused(
        "gateway-fleet",
        |v| v["gateway"]["pdb"] = json!({"minAvailable": 3, "maxUnavailable": null}),
        "lets none of 3 replicas go",
    ),
    refused("gateway-tls", |v| v["gateway"]["pdb"]["minAvailable"] = json!(2), "lets none of 2 replicas go"),
    refused("gateway-tls", |v| v["gateway"]["pdb"]["minAvailable"] = json!("100%"), "lets none of 2 replicas go"),
    refused("gateway-fleet", |v| v["gateway"]["pdb"] = json!({"maxUnavailable": 0}), "lets none of 3 replicas go"),
    refused("gateway-fleet", |v| v["gateway"]["pdb"] = json!({"maxUnavailable": "0%"}), "lets none of 3 replicas go"),
    refused("monitoring", |v| v["podMonitor"] = json!({"enabled": true}), "would be scraped and counted twice"),
    refused("monitoring", |v| v["gateway"]["networkPolicy"] = json!({"enabled": true}), "metricsFrom is empty"),
    refused("monitoring-pods", |v| v["gateway"] = json!({"networkPolicy": {"enabled": true}}), "metricsFrom is empty"),
    refused(
        "gateway-tls",
        |v| v["resources"] = json!({"requests": {"cpu": null}}),
        "in percent of resources.requests.cpu",
    ),
];

/// What comes close to the above, and works.
#[test]
fn what_can_work_is_not_refused() {
    let server_only = |more: fn(&mut Value)| {
        changed("gateway-tls", |v| {
            v["gateway"]["tls"]["clientCa"] = json!({});
            more(v);
        })
    };
    let jwt = json!({"source": "jwt", "jwt": {"issuer": "https://i", "audience": "a", "algorithms": ["RS256"]}});
    let jwt = changed("gateway-tls", |v| {
        v["gateway"]["tls"]["clientCa"] = json!({});
        v["config"]["viewers"] = jwt.clone();
    });
    for values in [
        server_only(|v| v["gateway"]["allowAnyCaller"] = json!(true)),
        server_only(|v| v["callerToken"] = json!({"existingSecret": "x"})),
        server_only(|v| v["config"]["server"] = json!({"caller_token_env": "X"})),
        jwt,
    ] {
        super::renders::with(&values);
    }
    let quit = changed("sidecar-native", |v| v["config"]["admin"] = json!({"quit": true}));
    super::renders::with(&quit);
}

#[test]
fn what_cannot_work_is_refused_with_a_sentence() {
    let mut wanted = Vec::new();
    for helm in HELMS {
        let own = OF_BOTH.iter().chain(&OF_THE_GATEWAY).map(|row| (helm, chart(), row, false));
        let through_app = OF_BOTH.iter().chain(&OF_THE_SIDECAR).map(|row| (helm, app(), row, true));
        wanted.extend(own.chain(through_app));
    }
    let wrong: Vec<String> = each(&wanted, |(helm, chart, row, nested)| {
        let values = changed(row.case, row.change);
        let values = if *nested { below("sidemint", &values) } else { values };
        let rendered = helm.template(chart, &write("values.json", &values.to_string()), "1.31");
        let fine = !rendered.status.success() && said(&rendered).contains(row.says);
        (!fine).then(|| format!("{helm:?} {}, `{}`: {}", row.case, row.says, said(&rendered)))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// By `--set config=null`: a sentence with its name, and no word of Go. One that has no keys of ours may be null.
#[test]
fn a_group_that_is_null_is_named() {
    let mut wanted = Vec::new();
    for (chart, case, prefix, file) in [
        (chart(), "gateway-tls", "", "helm/sidemint/values.yaml"),
        (app(), "sidecar-native", "sidemint.", "helm/sidemint/charts/sidemint-sidecar/values.yaml"),
    ] {
        let values = changed(case, |_| ());
        let values = if prefix.is_empty() { values } else { below("sidemint", &values) };
        let values = write("values.json", &values.to_string());
        let mut found = Vec::new();
        groups(&yaml(&read(file)), "", &mut found);
        assert!(found.len() >= 20, "{found:?}");
        for (group, is_empty) in found {
            let helms = if is_empty { &HELMS[1..] } else { &HELMS };
            wanted.extend(helms.iter().map(|h| (*h, chart.clone(), values.clone(), prefix, group.clone(), is_empty)));
        }
    }
    let values = write("values.json", &changed("gateway-tls", |_| ()).to_string());
    for (key, may_be) in [
        ("admin.host", false),
        ("tests.live", false),
        ("gateway.listenHost", false),
        ("gateway.clusterDomain", false),
        ("gateway.autoscaling.enabled", false),
        ("gateway.extraHosts", true),
        ("gateway.networkPolicy.metricsFrom", true),
        ("openshift", true),
    ] {
        wanted.push((Helm::Four, chart(), values.clone(), "", key.to_owned(), may_be));
    }
    let wrong: Vec<String> = each(&wanted, |(helm, chart, values, prefix, group, is_empty)| {
        let mut command = helm.command();
        command.args(["template", "rel", "--kube-version", "1.31", "--set", &format!("{prefix}{group}=null")]);
        let rendered = output(command.arg(chart).arg("--values").arg(values));
        let is_named = !rendered.status.success() && said(&rendered).contains(&format!(": {group} is null"));
        let fine = is_named || *is_empty && rendered.status.success();
        (!fine).then(|| format!("{helm:?} {prefix}{group}: {}", said(&rendered)))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Maps among the values, and whether each is empty; not those of Kubernetes' own keys.
fn groups(values: &Value, place: &str, found: &mut Vec<(String, bool)>) {
    for (key, part) in values.as_object().into_iter().flatten() {
        let Some(keys) = part.as_object() else { continue };
        let place = format!("{place}{key}");
        found.push((place.clone(), keys.is_empty() || place == "dashboard.labels"));
        if !["securityContext", "podSecurityContext", "resources"].contains(&key.as_str()) {
            groups(part, &format!("{place}."), found);
        }
    }
}

/// Warnings that a person reads after the installation.
#[test]
fn the_notes_warn_of_limits_that_add_up_and_of_callers_without_proof() {
    // Helm 3 asks a cluster, even for a dry run.
    let notes = |case: &str, change: fn(&mut Value)| {
        let values = write("values.json", &changed(case, change).to_string());
        let mut command = Helm::Four.command();
        command
            .args(["install", "rel", "--namespace", "apps", "--dry-run=client"])
            .arg(chart())
            .arg("--values")
            .arg(values);
        let text = super::tools::good(&super::tools::output(&mut command), "helm install --dry-run");
        text.split_once("\nNOTES:\n").expect("notes").1.to_owned()
    };
    assert!(!notes("gateway-caller", |_| ()).contains("WARNING"));
    assert!(notes("gateway-caller", |_| ()).contains("http://rel-sidemint.apps.svc:80/v1/embeds/"));
    let many = notes("gateway-caller", |v| v["gateway"] = json!({"replicas": 2}));
    assert!(many.contains("each keeps a load limit of its own"), "{many}");
    let shares = notes("gateway-fleet", |v| v["gateway"]["replicas"] = json!(4));
    assert!(shares.contains("config.fleet.replicas is 3, and there can be 4"), "{shares}");
    let open = notes("gateway-tls", |v| {
        v["gateway"]["tls"] = json!({"existingSecret": "x"});
        v["gateway"]["allowAnyCaller"] = json!(true);
    });
    assert!(open.contains("nothing proves who the callers are"), "{open}");
    let sidecar = notes("sidecar-native", |_| ());
    assert!(sidecar.contains("existingConfigMap: rel-sidemint") && sidecar.contains("alias: sidemint"), "{sidecar}");
}
