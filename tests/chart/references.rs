//! Names that must fit each other: no schema looks at these.

use std::collections::BTreeSet;

use serde_json::Value;

use super::documents::{Pod, kind, list, pods, text, title, variables};
use super::renders::{Render, of_helm_4};

#[test]
fn what_names_something_names_something_that_is_there() {
    for render in of_helm_4() {
        let mut wrong = Vec::new();
        for pod in pods(&render.documents) {
            wrong.extend(in_pod(&pod).into_iter().map(|said| format!("{}: {said}", pod.owner)));
        }
        wrong.extend(between(render));
        assert_eq!(wrong, Vec::<String>::new(), "{}", render.about());
    }
}

fn names<'a>(items: &'a [Value], key: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[key].as_str().unwrap_or_default()).collect()
}

fn doubles(names: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| !seen.insert(**name)).map(|name| format!("{name} is there twice")).collect()
}

/// What is wrong within a pod.
pub fn in_pod(pod: &Pod<'_>) -> Vec<String> {
    let volumes = names(list(pod.spec, "/volumes"), "name");
    let mut wrong = doubles(&volumes);
    wrong.extend(doubles(&pod.containers().iter().map(|container| text(container, "/name")).collect::<Vec<_>>()));
    for container in pod.containers() {
        let mounts = list(container, "/volumeMounts");
        wrong.extend(doubles(&names(mounts, "mountPath")));
        wrong.extend(doubles(&names(list(container, "/env"), "name")));
        wrong.extend(mounts.iter().filter(|mount| mount["subPath"].is_string()).map(|_| "subPath".to_owned()));
        let missing = names(mounts, "name").into_iter().filter(|name| !volumes.contains(name));
        wrong.extend(missing.map(|name| format!("no volume {name}")));
        wrong.extend(ports(container));
    }
    // A Secret that is mounted and that nothing reads is a Secret that is exposed for nothing.
    let mounted: BTreeSet<&str> =
        pod.containers().into_iter().flat_map(|container| names(list(container, "/volumeMounts"), "name")).collect();
    wrong.extend(volumes.into_iter().filter(|v| !mounted.contains(v)).map(|v| format!("nothing mounts {v}")));
    wrong
}

/// Probes go to a port that is named, and the ports are those on which the binary is told to listen.
fn ports(container: &Value) -> Vec<String> {
    let ports = list(container, "/ports");
    let mut wrong = doubles(&names(ports, "name"));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let port = &container[probe]["httpGet"]["port"];
        if !port.is_null() && !names(ports, "name").contains(&port.as_str().unwrap_or_default()) {
            wrong.push(format!("{probe} goes to port {port}"));
        }
    }
    let number =
        |name: &str| ports.iter().find(|port| port["name"] == name).map(|port| port["containerPort"].to_string());
    let listens = |variable: &str| {
        let value = variables(container).into_iter().find(|(name, _)| *name == variable)?.1;
        Some(value.rsplit_once(':')?.1.to_owned())
    };
    for (name, variable) in [("sidemint-admin", "SIDEMINT_ADMIN_LISTEN"), ("sidemint-api", "SIDEMINT_LISTEN")] {
        if number(name).is_some() && number(name) != listens(variable) {
            wrong.push(format!("{name} is {:?}, {variable} {:?}", number(name), listens(variable)));
        }
    }
    wrong
}

/// Services, monitors, policies and budgets find the pods and ports that they are about.
fn between(render: &Render) -> Vec<String> {
    let documents = &render.documents;
    let pods = pods(documents);
    let mut wrong =
        doubles(&documents.iter().map(title).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
    let selects = |labels: &Value| {
        let labels = labels.as_object().cloned().unwrap_or_default();
        !labels.is_empty() && pods.iter().any(|pod| labels.iter().all(|(name, value)| pod.has_label(name, value)))
    };
    for service in kind(documents, "Service") {
        let port = text(service, "/spec/ports/0/targetPort");
        let has = |container: &&Value| names(list(container, "/ports"), "name").contains(&port);
        let found =
            selects(&service["spec"]["selector"]) && pods.iter().any(|pod| pod.sidecar().as_ref().is_some_and(has));
        wrong.extend((!found).then(|| format!("{} finds no pod with {port}", title(service))));
    }
    for (kind_of, pointer) in [
        ("Deployment", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ] {
        for object in kind(documents, kind_of) {
            let found = object.pointer(pointer).is_some_and(selects);
            wrong.extend((!found).then(|| format!("{} selects no pod", title(object))));
        }
    }
    for scaler in kind(documents, "HorizontalPodAutoscaler") {
        let target = text(scaler, "/spec/scaleTargetRef/name");
        let found = kind(documents, "Deployment").iter().any(|object| object["metadata"]["name"] == target);
        wrong.extend((!found).then(|| format!("{} scales {target}, which is not there", title(scaler))));
    }
    wrong.extend(monitors(render, &selects));
    wrong.extend(config_maps(render));
    wrong
}

fn monitors(render: &Render, selects: &impl Fn(&Value) -> bool) -> Vec<String> {
    let documents = &render.documents;
    let mut wrong = Vec::new();
    for monitor in kind(documents, "PodMonitor") {
        let labels = &monitor["spec"]["selector"]["matchLabels"];
        // Of our chart's own in mode sidecar, the pods are elsewhere.
        let elsewhere = monitor["spec"]["selector"]["matchExpressions"][0]["key"] == "sidemint/sidecar";
        wrong.extend((!elsewhere && !selects(labels)).then(|| format!("{} selects no pod", title(monitor))));
        let port = text(monitor, "/spec/podMetricsEndpoints/0/port");
        wrong.extend((port != "sidemint-admin").then(|| format!("{} scrapes {port}", title(monitor))));
    }
    for monitor in kind(documents, "ServiceMonitor") {
        let labels = monitor["spec"]["selector"]["matchLabels"].as_object().cloned().unwrap_or_default();
        let port = text(monitor, "/spec/endpoints/0/port");
        let fits = |service: &&&Value| {
            labels.iter().all(|(name, value)| service["metadata"]["labels"].get(name) == Some(value))
        };
        let services = kind(documents, "Service");
        let found: Vec<_> = services.iter().filter(fits).collect();
        let good = found.len() == 1 && found[0]["spec"]["ports"][0]["name"] == port;
        wrong.extend((!good).then(|| format!("{} finds {} services", title(monitor), found.len())));
    }
    wrong
}

/// A ConfigMap that pods mount is one that was made here, or that the values name.
fn config_maps(render: &Render) -> Vec<String> {
    let made: Vec<&str> = kind(&render.documents, "ConfigMap").iter().map(|map| text(map, "/metadata/name")).collect();
    let mut wrong = Vec::new();
    for pod in pods(&render.documents) {
        for volume in list(pod.spec, "/volumes").iter().filter(|volume| volume["name"] == "sidemint-config") {
            let name = text(volume, "/configMap/name");
            let known = made.contains(&name) || (name == "dashboards" && render.case.name.ends_with("existing"));
            wrong.extend((!known).then(|| format!("{} mounts {name}, which is not there", pod.owner)));
        }
    }
    wrong
}
