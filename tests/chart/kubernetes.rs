//! Whether Kubernetes would take it, by its own schemas, strictly: an unknown field is an error.

use serde_json::{Value, json};

use super::renders::{Render, of_helm_4, render};
use super::tools::{fed, good, path, python, yaml};

/// What the schemas say of each: nothing, if it is good.
pub fn complaints(manifests: &[Value]) -> Vec<String> {
    let output = fed(python().arg(path("tests/chart/validate.py")), &json!(manifests));
    serde_json::from_str(&good(&output, "tests/chart/validate.py")).expect("a list of sentences")
}

fn wanted(render: &Render) -> Vec<Value> {
    let about = render.about();
    let item = |document| json!({"about": about, "version": render.kubernetes, "document": document});
    render.documents.iter().map(item).collect()
}

#[test]
fn every_object_is_valid_for_its_kubernetes() {
    let all: Vec<Value> = of_helm_4().flat_map(wanted).collect();
    assert!(all.len() > 200, "{} objects are fewer than there should be", all.len());
    assert_eq!(complaints(&all), Vec::<String>::new());
}

/// Otherwise the test above could be one that finds nothing.
#[test]
fn an_object_that_is_not_valid_is_found() {
    // 1.28 knows the field, and ignores it unless it is told to.
    let mut native = wanted(render("app-sidecar-native", "1.31"));
    native.iter_mut().for_each(|item| item["version"] = json!("1.27"));
    assert!(complaints(&native).iter().any(|said| said.contains("restartPolicy")), "{:?}", complaints(&native));
    let misspelt =
        yaml("{apiVersion: v1, kind: ServiceAccount, metadata: {name: x}, automountServiceAccountTokens: false}");
    let said = complaints(&[json!({"about": "x", "version": "1.31", "document": misspelt})]);
    assert!(said.len() == 1 && said[0].contains("automountServiceAccountTokens"), "{said:?}");
}
