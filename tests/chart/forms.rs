//! Native, plain and gateway: which one when, and what each has and has not.

use serde_json::{Value, json};

use super::documents::{Pod, kind, list, pods, split, text, variables};
use super::renders::{app, app_with, below, changed, chart, render, with};
use super::tools::{HELMS, Helm, copy, good, output, said, scratch, write};

fn through_app(values: &Value, kubernetes: &str) -> std::process::Output {
    Helm::Four.template(&app(), &write("values.json", &below("sidemint", values).to_string()), kubernetes)
}

fn app_documents(values: &Value, kubernetes: &str) -> Vec<Value> {
    split(&good(&through_app(values, kubernetes), "helm template"))
}

fn form_of(pod: &Pod<'_>) -> &'static str {
    let has = |pointer| list(pod.spec, pointer).iter().any(|container| container["name"] == "sidemint");
    match (has("/initContainers"), has("/containers")) {
        (true, false) => "native",
        (false, true) => "plain",
        both => panic!("init and plain containers: {both:?}"),
    }
}

#[test]
fn the_form_follows_kubernetes_unless_it_is_given() {
    for (kubernetes, native, form) in [
        ("1.25.0", json!("auto"), "plain"),
        ("1.28.15", json!("auto"), "plain"),
        ("1.29.0", json!("auto"), "native"),
        // What a distributor appends is no pre-release.
        ("1.29.3-gke.1282000", json!("auto"), "native"),
        ("1.37.0", json!("auto"), "native"),
        ("1.31.0", json!(true), "native"),
        ("1.31.0", json!("true"), "native"),
        ("1.31.0", json!(false), "plain"),
        ("1.31.0", json!("false"), "plain"),
    ] {
        let values = changed("sidecar-native", |values| values["sidecar"] = json!({"native": native}));
        for pod in pods(&app_documents(&values, kubernetes)) {
            assert_eq!(form_of(&pod), form, "{kubernetes}, native: {native}: {}", pod.owner);
        }
    }
    let values = changed("sidecar-native", |values| values["sidecar"] = json!({"native": true}));
    let refused = through_app(&values, "1.28.0");
    assert!(!refused.status.success() && said(&refused).contains("has no native sidecars"), "{}", said(&refused));
}

#[test]
fn a_native_sidecar_restarts_gates_the_start_and_has_no_hooks() {
    let render = render("app-sidecar-native", "1.31");
    for pod in pods(&render.documents) {
        let sidecar = pod.sidecar().expect("a sidecar");
        assert_eq!(sidecar["restartPolicy"], "Always");
        assert_eq!(sidecar["startupProbe"]["httpGet"], json!({"path": "/startupz", "port": "sidemint-admin"}));
        assert_eq!(sidecar["livenessProbe"]["httpGet"], json!({"path": "/livez", "port": "sidemint-admin"}));
        assert!(sidecar["readinessProbe"].is_null() && sidecar["lifecycle"].is_null());
        assert!(variables(sidecar).contains(&("SIDEMINT_LISTEN", "127.0.0.1:8190")), "{sidecar}");
        assert!(list(sidecar, "/ports").iter().all(|port| port["name"] == "sidemint-admin"));
    }
}

/// `restartPolicy` is a field of init containers, and `sleep` one of Kubernetes 1.30.
#[test]
fn a_plain_sidecar_outlives_the_app_where_kubernetes_can() {
    for (kubernetes, hook) in [("1.28", Value::Null), ("1.31", json!({"preStop": {"sleep": {"seconds": 20}}}))] {
        for pod in pods(&render("app-sidecar-plain", kubernetes).documents) {
            let sidecar = pod.sidecar().expect("a sidecar");
            assert_eq!(sidecar["lifecycle"], hook, "{kubernetes}");
            assert!(sidecar["restartPolicy"].is_null());
        }
    }
    let values = changed("sidecar-plain", |values| values["sidecar"]["preStopSleepSeconds"] = json!(0));
    let documents = app_documents(&values, "1.31");
    assert!(pods(&documents)[0].sidecar().expect("a sidecar")["lifecycle"].is_null());
}

#[test]
fn the_app_is_told_where_it_is_and_given_what_to_show() {
    let find = |case: &str| {
        let pods = pods(&render(case, "1.31").documents);
        list(pods[0].spec, "/containers").iter().find(|c| c["name"] == "portal").expect("the app").clone()
    };
    let plain = find("app-sidecar-plain");
    assert_eq!(
        variables(&plain),
        [
            ("SIDEMINT_URL", "http://127.0.0.1:9190"),
            ("SIDEMINT_ADMIN_LISTEN", "127.0.0.1:9191"),
            ("SIDEMINT_CALLER_TOKEN_FILE", "/var/run/secrets/sidemint-caller/token"),
        ]
    );
    assert_eq!(plain["volumeMounts"][0]["mountPath"], "/var/run/secrets/sidemint-caller");
    let socket = find("app-sidecar-socket");
    assert_eq!(variables(&socket)[0], ("SIDEMINT_SOCKET", "/run/sidemint/api.sock"));
    // Who can write to the folder can put another socket in its place.
    assert_eq!(
        socket["volumeMounts"],
        json!([{"mountPath": "/run/sidemint", "name": "sidemint-socket", "readOnly": true}])
    );
    let native = find("app-sidecar-native");
    assert!(native["volumeMounts"].is_null(), "the app sees none of the sidecar's secrets: {native}");
}

#[test]
fn a_socket_is_in_a_memory_volume_and_open_to_the_pods_group() {
    let pods = pods(&render("app-sidecar-socket", "1.31").documents);
    let volume = list(pods[0].spec, "/volumes").iter().find(|volume| volume["name"] == "sidemint-socket");
    assert_eq!(volume.expect("a volume")["emptyDir"], json!({"medium": "Memory", "sizeLimit": "1Mi"}));
    assert_eq!(pods[0].spec["securityContext"]["fsGroup"], 65532);
    let sidecar = pods[0].sidecar().expect("a sidecar");
    assert!(variables(sidecar).contains(&("SIDEMINT_LISTEN", "unix:/run/sidemint/api.sock")));
    assert_eq!(sidecar["readinessProbe"]["httpGet"]["path"], "/readyz", "it was asked for");
}

/// It would change the owner of the app's volumes.
#[test]
fn a_group_for_volumes_is_there_with_the_socket_only() {
    for case in ["app-sidecar-native", "app-federation-entra", "app-federation-databricks", "gateway-tls"] {
        let context = &pods(&render(case, "1.31").documents)[0].spec["securityContext"];
        assert_eq!(context, &json!({"seccompProfile": {"type": "RuntimeDefault"}}), "{case}");
    }
    let own = changed("sidecar-socket", |values| values["podSecurityContext"] = json!({"fsGroup": 2000}));
    let documents = app_documents(&own, "1.31");
    assert_eq!(pods(&documents)[0].spec["securityContext"]["fsGroup"], 2000);
    assert_eq!(pods(&documents)[0].spec["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch");
}

/// Through values of somebody else's chart, where a null does not take away a default with Helm 4.
#[test]
fn on_openshift_no_user_and_no_group_is_named() {
    let app = app_with("openshift", |chart| chart);
    let values = changed("sidecar-socket", |values| values["openshift"] = json!(true));
    std::fs::write(app.join("values.yaml"), json!({"image": "i", "sidemint": values}).to_string()).expect("a file");
    let nothing = write("values.json", "{}");
    let gateway = changed("gateway-full", |values| values["openshift"] = json!(true));
    let gateway = write("values.json", &gateway.to_string());
    for helm in HELMS {
        for (chart, values) in [(&app, &nothing), (&chart(), &gateway)] {
            let documents = split(&good(&helm.template(chart, values, "1.31"), "helm template"));
            let pods = pods(&documents);
            assert!(pods.len() >= 2);
            for pod in &pods {
                let context = &pod.spec["securityContext"];
                assert!(context["fsGroup"].is_null() && context["fsGroupChangePolicy"].is_null(), "{context}");
                for container in pod.containers().iter().filter(|c| text(c, "/image").contains("/sidemint")) {
                    let own = &container["securityContext"];
                    assert!(own["runAsUser"].is_null() && own["runAsGroup"].is_null(), "{helm:?}: {own}");
                    assert_eq!(own["runAsNonRoot"], true, "{helm:?}");
                }
            }
        }
    }
}

/// `sidemint wait` in the app's container asks at this address.
#[test]
fn the_app_is_told_the_admin_port_that_is_there() {
    for (host, from_pod) in [
        ("0.0.0.0", "127.0.0.1:8191"),
        ("[::]", "[::1]:8191"),
        ("[::1]", "[::1]:8191"),
        ("127.0.0.2", "127.0.0.2:8191"),
        ("10.0.0.1", "10.0.0.1:8191"),
    ] {
        let values = changed("sidecar-environment", |values| values["admin"] = json!({"host": host}));
        let documents = app_documents(&values, "1.31");
        let portal = &list(pods(&documents)[0].spec, "/containers")[0];
        assert!(variables(portal).contains(&("SIDEMINT_ADMIN_LISTEN", from_pod)), "{host}: {portal}");
    }
}

/// A token port is never open to the network without TLS or a secret.
#[test]
fn only_a_gateway_listens_beyond_its_pod() {
    for render in super::renders::of_helm_4() {
        for pod in pods(&render.documents) {
            let Some(sidecar) = pod.sidecar() else { continue };
            let listen = variables(sidecar).into_iter().find(|(name, _)| *name == "SIDEMINT_LISTEN").expect("one").1;
            let local = listen.starts_with("127.0.0.1:") || listen.starts_with("unix:/");
            assert_eq!(local, render.case.name.starts_with("app-"), "{}: {listen}", render.about());
        }
    }
}

#[test]
fn a_gateway_drains_before_it_is_killed_and_goes_on_through_a_rollout() {
    let documents = &render("gateway-caller", "1.31").documents;
    let deployment = kind(documents, "Deployment")[0];
    let spec = &deployment["spec"]["template"]["spec"];
    // 90 s of drain, 5 s of preStop, 5 s to end.
    assert_eq!(spec["terminationGracePeriodSeconds"], 100);
    assert_eq!(spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 5);
    assert_eq!(spec["enableServiceLinks"], false);
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(spec["containers"][0]["readinessProbe"]["httpGet"]["path"], "/readyz");
    let spread = list(spec, "/topologySpreadConstraints");
    assert_eq!(spread.len(), 2);
    assert_eq!(spread[0]["labelSelector"]["matchLabels"], deployment["spec"]["selector"]["matchLabels"]);
    // One more pod would be one more share of the fleet's limit, when Redis is away.
    for (case, strategy) in [
        ("gateway-fleet", json!({"maxSurge": 0, "maxUnavailable": 1})),
        ("gateway-tls", json!({"maxSurge": 0, "maxUnavailable": 1})),
        ("gateway-cert-manager", json!({"maxSurge": 1, "maxUnavailable": 0})),
    ] {
        let deployment = kind(&render(case, "1.31").documents, "Deployment")[0];
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"], strategy, "{case}");
    }
    let old = &render("gateway-caller", "1.28").documents;
    assert!(kind(old, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"].is_null());
}

#[test]
fn a_budget_and_a_scaler_are_there_when_they_make_sense() {
    let count = |values: &Value, of: &str| kind(&with(values), of).len();
    assert_eq!(count(&changed("gateway-caller", |_| ()), "PodDisruptionBudget"), 0, "one replica");
    let two = changed("gateway-caller", |values| values["gateway"] = json!({"replicas": 2}));
    assert_eq!((count(&two, "PodDisruptionBudget"), count(&two, "HorizontalPodAutoscaler")), (1, 0));
    let scaled = with(&changed("gateway-tls", |_| ()));
    assert_eq!(kind(&scaled, "PodDisruptionBudget")[0]["spec"]["minAvailable"], "50%");
    assert!(kind(&scaled, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"].is_null());
    assert!(kind(&scaled, "Deployment")[0]["spec"]["replicas"].is_null(), "two would pull at it");
    // What has no request beside it must not stop the scaler, where Kubernetes can tell containers apart.
    let metric = |kubernetes| {
        kind(&render("gateway-tls", kubernetes).documents, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0].clone()
    };
    assert_eq!(metric("1.31")["containerResource"]["container"], "sidemint");
    assert_eq!(metric("1.28")["resource"]["name"], "cpu");
}

#[test]
fn a_policy_lets_in_whom_it_names_and_out_to_what_is_needed() {
    let documents = &render("gateway-tls", "1.31").documents;
    let policy = &kind(documents, "NetworkPolicy")[0]["spec"];
    assert_eq!(policy["ingress"][0]["ports"][0]["port"], "sidemint-api");
    assert_eq!(policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["app"], "portal");
    assert_eq!(policy["ingress"][1]["ports"][0]["port"], "sidemint-admin");
    // Beside Prometheus the pod of `helm test`.
    let test = &kind(documents, "Pod")[0]["metadata"]["labels"];
    let peer = &policy["ingress"][1]["from"][1]["podSelector"]["matchLabels"];
    assert!(peer.as_object().expect("labels").iter().all(|(name, value)| test.get(name) == Some(value)), "{peer}");
    let out: Vec<i64> = list(policy, "/egress")
        .iter()
        .flat_map(|rule| list(rule, "/ports"))
        .filter_map(|p| p["port"].as_i64())
        .collect();
    assert_eq!(out, [53, 53, 5353, 5353, 443, 6380]);
    let identity = with(&changed("gateway-full", |v| v["gateway"]["networkPolicy"] = json!({"enabled": true})));
    let rules = kind(&identity, "NetworkPolicy")[0]["spec"]["egress"].clone();
    let metadata =
        json!({"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80, "protocol": "TCP"}]});
    assert!(list(&rules, "").contains(&metadata), "a managed identity's tokens come from there: {rules}");
    let plain = kind(&render("gateway-fleet", "1.31").documents, "NetworkPolicy")[0];
    assert_eq!(plain["spec"]["egress"][2]["ports"][0]["port"], 6379, "redis://host/0 has the usual port");
}

#[test]
fn values_are_found_under_the_alias_or_the_name_and_nowhere_else() {
    let values = changed("sidecar-native", |_| ());
    let named = app_with("named", |chart| chart.replace("    alias: sidemint\n", ""));
    for helm in HELMS {
        let render = |key: &str| helm.template(&named, &write("values.json", &below(key, &values).to_string()), "1.31");
        let documents = split(&good(&render("sidemint-sidecar"), "under the library's name"));
        let aliased = &super::renders::render("app-sidecar-native", "1.31").documents;
        assert_eq!(&documents, aliased, "{helm:?}");
        let lost = render("sidemint");
        assert!(said(&lost).contains("lack their defaults"), "{}", said(&lost));
    }
}

/// Without a name of its own for each, two charts of one release would share a config.
#[test]
fn names_tell_charts_of_one_release_apart() {
    let name = |case: &str| text(kind(&render(case, "1.31").documents, "ConfigMap")[0], "/metadata/name").to_owned();
    assert_eq!(name("app-sidecar-native"), "rel-portal-sidemint");
    assert_eq!(name("sidecar-native"), "rel-sidemint");
    assert_eq!(name("gateway-full"), "dashboards-tokens");
}

/// As a dependency our chart has another name, and its values are not at the top of the release's.
#[test]
fn the_chart_itself_can_be_a_dependency() {
    let folder = scratch("umbrella");
    copy(&chart(), &folder.join("sidemint"));
    let umbrella = folder.join("all");
    std::fs::create_dir_all(&umbrella).expect("a folder");
    let text = "{apiVersion: v2, name: all, version: 1.0.0, dependencies: \
                [{name: sidemint, alias: tokens, version: 0.1.0, repository: 'file://../sidemint'}]}";
    std::fs::write(umbrella.join("Chart.yaml"), text).expect("a file");
    for helm in HELMS {
        good(&output(helm.command().args(["dependency", "build"]).arg(&umbrella)), "helm dependency build");
        let values = below("tokens", &changed("gateway-caller", |_| ()));
        let rendered = helm.template(&umbrella, &write("values.json", &values.to_string()), "1.31");
        let documents = split(&good(&rendered, "helm template"));
        assert_eq!(
            names(&documents),
            ["rel-tokens", "rel-tokens", "rel-tokens-admin", "rel-tokens", "rel-tokens-test"]
        );
    }
}

/// Both charts as dependencies, by their own names: each has its values.
#[test]
fn a_chart_can_depend_on_both() {
    copy(&chart(), &scratch("both").join("chart"));
    let both = app_with("both", |chart| {
        let chart = chart.replace("    alias: sidemint\n", "");
        format!("{}\n  - {{name: sidemint, version: 0.1.0, repository: 'file://../chart'}}\n", chart.trim_end())
    });
    let values = json!({
        "sidemint-sidecar": changed("sidecar-native", |_| ()),
        "sidemint": changed("gateway-caller", |_| ()),
    });
    for helm in HELMS {
        let rendered = helm.template(&both, &write("values.json", &values.to_string()), "1.31");
        let documents = split(&good(&rendered, "helm template"));
        let pods = pods(&documents);
        let pod = pods.iter().find(|pod| pod.owner == "Deployment rel-portal").expect("the app");
        assert_eq!(form_of(pod), "native", "{helm:?}");
        let config = list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == "sidemint-config");
        assert_eq!(config.expect("a volume")["configMap"]["name"], "rel-portal-sidemint", "{helm:?}");
        // Of the library's values alone; a caller secret is of the gateway's alone.
        let secrets = list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == "sidemint-secrets");
        assert_eq!(list(secrets.expect("a volume"), "/projected/sources").len(), 2, "{helm:?}");
        assert!(list(pod.spec, "/volumes").iter().all(|volume| volume["name"] != "sidemint-caller"), "{helm:?}");
        let gateway = pods.iter().find(|pod| pod.owner == "Deployment rel-sidemint").expect("the gateway");
        assert_eq!(form_of(gateway), "plain", "{helm:?}");
    }
}

/// Names of digits are names, and a label that is a number is refused by the API server.
#[test]
fn names_and_labels_are_texts_whatever_they_look_like() {
    let digits = |values: &mut Value| {
        values["fullnameOverride"] = json!("12345");
        values["nameOverride"] = json!("99");
        values["existingSecret"] = json!("99");
        values["serviceAccount"] = json!({"create": true, "name": "1e3"});
        values["commonLabels"] = json!({"a": "true", "b": "1"});
    };
    let full = changed("gateway-full", |values| {
        digits(values);
        values["gateway"]["priorityClassName"] = json!("true");
        values["gateway"]["runtimeClassName"] = json!("99");
    });
    let tls = changed("gateway-tls", |values| {
        digits(values);
        values["gateway"]["tls"] = json!({"existingSecret": "99", "clientCa": {"existingSecret": "1", "key": "2"}});
    });
    let monitoring = changed("monitoring", |values| values["dashboard"]["namespace"] = json!("77"));
    let plain = changed("sidecar-plain", |_| ());
    let sidecar = below("sidemint", &changed("sidecar-native", digits));
    let cases = [
        (chart(), full),
        (chart(), tls),
        (chart(), monitoring),
        (chart(), plain.clone()),
        (app(), below("sidemint", &plain)),
        (app(), sidecar),
    ];
    for helm in HELMS {
        for (chart, values) in &cases {
            let mut command = helm.command();
            command.args(["template", "1234567"]).arg(chart).args(["--namespace", "99", "--kube-version", "1.31"]);
            command.arg("--values").arg(write("values.json", &values.to_string()));
            let documents = split(&good(&output(&mut command), "helm template"));
            assert!(!documents.is_empty());
            let mut wrong = Vec::new();
            documents.iter().for_each(|document| no_texts(document, "", &mut wrong));
            assert_eq!(wrong, Vec::<String>::new(), "{helm:?}");
        }
    }
}

/// Places where Kubernetes wants a text, and has something else.
fn no_texts(value: &Value, place: &str, wrong: &mut Vec<String>) {
    const MAPS: [&str; 4] = ["/labels", "/annotations", "/matchLabels", "/data"];
    const NAMES: [&str; 9] = [
        "/name",
        "/namespace",
        "/secretName",
        "/serviceAccountName",
        "/priorityClassName",
        "/runtimeClassName",
        "/key",
        "/value",
        "/image",
    ];
    let ends = |ends: &[&str]| ends.iter().any(|end| place.ends_with(end));
    let all_texts = value.as_object().is_some_and(|map| map.values().all(Value::is_string));
    if ends(&NAMES) && !value.is_string() || ends(&MAPS) && !all_texts {
        wrong.push(format!("{place}: {value}"));
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, part)| no_texts(part, &format!("{place}/{key}"), wrong)),
        Value::Array(items) => items.iter().for_each(|item| no_texts(item, &format!("{place}/-"), wrong)),
        _ => (),
    }
}

fn names(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| text(document, "/metadata/name")).collect()
}
