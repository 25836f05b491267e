//! `deploy/kubernetes`: the base, and the component in a Deployment of somebody else's.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::documents::{kind, list, pods, split, text, variables};
use super::kubernetes::complaints;
use super::references::in_pod;
use super::restricted::breaches;
use super::tools::{good, kubectl, output, path, said, sidemint, write};

fn built(folder: &str) -> Vec<Value> {
    split(&good(&output(kubectl().arg("kustomize").arg(path(folder))), folder))
}

const FOLDERS: [&str; 2] = ["deploy/kubernetes/base", "tests/chart/kustomize"];

#[test]
fn what_kustomize_builds_is_valid_and_restricted() {
    for folder in FOLDERS {
        let documents = built(folder);
        let item = |version: &'static str| move |document: &Value| json!({"about": folder, "version": version, "document": document});
        let wanted: Vec<Value> = ["1.29", "1.37"]
            .iter()
            .flat_map(|version| documents.iter().map(item(version)).collect::<Vec<_>>())
            .collect();
        assert_eq!(complaints(&wanted), Vec::<String>::new());
        let pods = pods(&documents);
        assert_eq!(pods.len(), 1, "{folder}");
        assert_eq!(breaches(&pods[0]), Vec::<String>::new(), "{folder}");
        assert_eq!(in_pod(&pods[0]), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn the_sidecar_is_that_of_the_chart() {
    let chart = super::renders::render("app-sidecar-native", "1.31");
    let of_chart = pods(&chart.documents)[0].sidecar().expect("a sidecar");
    for folder in FOLDERS {
        let documents = built(folder);
        let pods = pods(&documents);
        let sidecar = pods[0].sidecar().expect("a sidecar");
        assert_eq!(list(pods[0].spec, "/initContainers")[0]["name"], "sidemint", "before all that need tokens");
        for key in
            ["restartPolicy", "args", "env", "ports", "startupProbe", "livenessProbe", "resources", "securityContext"]
        {
            assert_eq!(sidecar[key], of_chart[key], "{folder}: {key}");
        }
        let mounts = |container: &Value| -> BTreeSet<String> {
            list(container, "/volumeMounts").iter().map(|mount| text(mount, "/mountPath").to_owned()).collect()
        };
        assert_eq!(mounts(sidecar), mounts(of_chart), "{folder}");
        let app =
            list(pods[0].spec, "/containers").iter().find(|container| container["name"] == "app").expect("the app");
        assert_eq!(variables(app)[0], ("SIDEMINT_URL", "http://127.0.0.1:8190"), "{folder}");
    }
}

#[test]
fn its_config_is_one_that_the_binary_takes_and_a_change_restarts_the_pod() {
    for folder in FOLDERS {
        let documents = built(folder);
        let map = kind(&documents, "ConfigMap")[0];
        let config = write("config.yaml", text(map, "/data/config.yaml"));
        let checked = output(sidemint().args(["check", "--config"]).arg(config));
        assert!(checked.status.success(), "{folder}: {}", said(&checked));
        let pods = pods(&documents);
        let volume = list(pods[0].spec, "/volumes").iter().find(|volume| volume["name"] == "sidemint-config");
        let name = text(volume.expect("a volume"), "/configMap/name");
        // Generated: the name ends in a digest of the content.
        assert!(name == text(map, "/metadata/name") && name.len() > "sidemint-".len() + 8, "{folder}: {name}");
    }
}
