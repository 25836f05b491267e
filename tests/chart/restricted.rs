//! Pod Security "restricted" in every container, ours and that of the example app beside it: one container that is not
//! keeps the whole pod out of the namespace.

use serde_json::{Value, json};

use super::documents::{Pod, list, pods, text};
use super::renders::of_helm_4;

/// Volumes that "restricted" allows.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// What breaks the standard, and what this project asks for beside it of its own containers.
pub fn breaches(pod: &Pod<'_>) -> Vec<String> {
    let mut found: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|key| pod.spec.get(**key).is_some_and(|value| value != &json!(false)))
        .map(|key| format!("{key} is set"))
        .collect();
    for volume in list(pod.spec, "/volumes") {
        let kinds = volume.as_object().expect("a volume").keys().filter(|key| *key != "name");
        found.extend(kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).map(|kind| format!("volume of {kind}")));
    }
    for container in pod.containers() {
        let name = text(container, "/name");
        found.extend(container_breaches(pod, container).into_iter().map(|breach| format!("{name}: {breach}")));
    }
    found
}

fn container_breaches(pod: &Pod<'_>, container: &Value) -> Vec<String> {
    let own = &container["securityContext"];
    let of_pod = &pod.spec["securityContext"];
    let either = |pointer: &str| own.pointer(pointer).or(of_pod.pointer(pointer)).cloned().unwrap_or_default();
    let mut rules = vec![
        ("allowPrivilegeEscalation is not false", own["allowPrivilegeEscalation"] == false),
        ("capabilities are not all dropped", own["capabilities"]["drop"] == json!(["ALL"])),
        ("capabilities are added", own["capabilities"]["add"].is_null()),
        ("is privileged", own["privileged"].is_null() || own["privileged"] == false),
        ("runAsNonRoot is not true", either("/runAsNonRoot") == true),
        ("runs as root", either("/runAsUser") != 0),
        (
            "no seccomp profile",
            ["RuntimeDefault", "Localhost"].iter().any(|kind| either("/seccompProfile/type") == *kind),
        ),
        ("has a hostPort", list(container, "/ports").iter().all(|port| port["hostPort"].is_null())),
        ("has a procMount", own["procMount"].is_null()),
    ];
    if text(container, "/image").contains("/sidemint") {
        rules.extend([
            ("the root file system can be written", own["readOnlyRootFilesystem"] == true),
            ("has no memory limit", container["resources"]["limits"]["memory"].is_string()),
            ("has a CPU limit", container["resources"]["limits"]["cpu"].is_null()),
            ("has no user of its own", own["runAsUser"].is_number()),
        ]);
    }
    rules.into_iter().filter(|(_, kept)| !kept).map(|(breach, _)| breach.to_owned()).collect()
}

#[test]
fn every_container_keeps_to_the_restricted_standard() {
    let mut seen = 0;
    for render in of_helm_4() {
        for pod in pods(&render.documents) {
            seen += pod.containers().len();
            assert_eq!(breaches(&pod), Vec::<String>::new(), "{}: {}", render.about(), pod.owner);
        }
    }
    assert!(seen > 150, "{seen} containers are fewer than there should be");
}

/// Nothing in the pod talks to the API server, and a token of it that is mounted is one that can be stolen.
#[test]
fn no_pod_of_ours_has_a_token_of_the_kubernetes_api() {
    for render in of_helm_4() {
        for pod in pods(&render.documents) {
            let off = pod.spec["automountServiceAccountToken"] == false;
            let ours = !render.case.name.starts_with("app-");
            assert!(if ours { off } else { hides_it(&pod) }, "{}: {}", render.about(), pod.owner);
        }
    }
}

/// In somebody else's pod it is theirs to say: the sidecar alone has something empty where it would be mounted.
fn hides_it(pod: &Pod<'_>) -> bool {
    let place = |container| {
        list(container, "/volumeMounts")
            .iter()
            .find(|mount| mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
    };
    let mount = pod.sidecar().and_then(place).filter(|mount| mount["readOnly"] == true);
    let volume = mount.and_then(|m| list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == m["name"]));
    let empty = volume.is_some_and(|volume| volume["emptyDir"]["medium"] == "Memory");
    empty && list(pod.spec, "/containers").iter().filter(|c| c["name"] != "sidemint").all(|c| place(c).is_none())
}

#[test]
fn a_breach_is_found() {
    let render = super::renders::render("app-sidecar-native", "1.31");
    let changes: [(&str, Value, &str); 6] = [
        ("/initContainers/0/securityContext/allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation"),
        ("/initContainers/0/securityContext/capabilities", json!({}), "capabilities"),
        ("/initContainers/0/securityContext/readOnlyRootFilesystem", json!(false), "root file system"),
        ("/containers/0/securityContext/runAsNonRoot", json!(false), "portal: runAsNonRoot"),
        ("/initContainers/0/ports/0", json!({"containerPort": 1, "hostPort": 1}), "hostPort"),
        ("/volumes/0", json!({"name": "x", "hostPath": {"path": "/"}}), "hostPath"),
    ];
    for (pointer, value, says) in changes {
        let mut spec = pods(&render.documents)[0].spec.clone();
        *spec.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        let pod = Pod { owner: String::new(), metadata: &Value::Null, spec: &spec };
        assert!(breaches(&pod).iter().any(|breach| breach.contains(says)), "{pointer}: {:?}", breaches(&pod));
    }
}
