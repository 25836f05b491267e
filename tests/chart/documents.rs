//! What was rendered, as objects, and the pods in them.

use serde_json::Value;

use super::tools::yaml;

/// The documents of a file, without empty ones.
pub fn split(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| if line == "---" { "\u{0}" } else { line });
    let joined = lines.collect::<Vec<_>>().join("\n");
    joined.split('\u{0}').map(yaml).filter(|document| !document.is_null()).collect()
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// `Deployment rel-sidemint`
pub fn title(document: &Value) -> String {
    format!("{} {}", text(document, "/kind"), text(document, "/metadata/name"))
}

/// Metadata and spec of a pod, wherever it stands.
pub struct Pod<'a> {
    pub owner: String,
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

pub fn pods(documents: &[Value]) -> Vec<Pod<'_>> {
    let pod = |document| {
        let template = match text(document, "/kind") {
            "Pod" => document,
            "Deployment" | "Job" | "StatefulSet" | "DaemonSet" => &document["spec"]["template"],
            "CronJob" => &document["spec"]["jobTemplate"]["spec"]["template"],
            _ => return None,
        };
        Some(Pod { owner: title(document), metadata: &template["metadata"], spec: &template["spec"] })
    };
    documents.iter().filter_map(pod).collect()
}

impl<'a> Pod<'a> {
    /// All of its containers, of whatever kind.
    pub fn containers(&self) -> Vec<&'a Value> {
        let kinds = ["/initContainers", "/containers", "/ephemeralContainers"];
        kinds.iter().flat_map(|kind| list(self.spec, kind)).collect()
    }

    /// Where Sidemint runs, and not a command of it.
    pub fn sidecar(&self) -> Option<&'a Value> {
        self.containers().into_iter().find(|container| container["name"] == "sidemint")
    }

    pub fn has_label(&self, name: &str, value: &Value) -> bool {
        self.metadata["labels"].get(name) == Some(value)
    }
}

/// The plain variables of a container.
pub fn variables(container: &Value) -> Vec<(&str, &str)> {
    let plain = |entry: &'_ Value| entry.get("value").is_some();
    list(container, "/env").iter().filter(|e| plain(e)).map(|e| (text(e, "/name"), text(e, "/value"))).collect()
}
