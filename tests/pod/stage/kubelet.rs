//! Pods as the chart renders them: what a kubelet reads in a pod's spec, in podman's words. A field that it does not know
//! fails the test: what is overlooked here would be believed to work.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Container, Pod, Volume, image, until};
use crate::chart::documents::{list, text};

/// A pod's spec and its volumes.
pub struct Kubelet<'a> {
    pod: &'a Pod,
    spec: &'a Value,
    volumes: BTreeMap<String, Volume>,
}

impl<'a> Kubelet<'a> {
    /// Makes the volumes of a spec out of the ConfigMaps in `documents`, and of these contents of Secrets.
    pub fn of(pod: &'a Pod, spec: &'a Value, documents: &[Value], secrets: &[(&str, &[(&str, &str)])]) -> Kubelet<'a> {
        let content = |volume: &Value| -> Volume {
            if let Some(map) = volume.pointer("/configMap/name") {
                let map = documents.iter().find(|document| {
                    text(document, "/kind") == "ConfigMap" && document.pointer("/metadata/name") == Some(map)
                });
                let data = map.and_then(|map| map["data"].as_object()).expect("the ConfigMap is rendered, too");
                let files = data.iter().map(|(name, text)| (name.as_str(), text.as_str().expect("a text")));
                return Volume::new(&files.collect::<Vec<_>>());
            }
            if volume.get("emptyDir").is_some() {
                return Volume::shared(group(spec));
            }
            let named = volume.pointer("/secret/secretName").or(volume.pointer("/projected/sources/0/secret/name"));
            let named = named.and_then(Value::as_str).unwrap_or_else(|| panic!("a kind of volume: {volume}"));
            let secret = secrets.iter().find(|(name, _)| *name == named);
            Volume::new(secret.unwrap_or_else(|| panic!("the Secret {named} is not made")).1)
        };
        let volume = |volume: &Value| (text(volume, "/name").to_owned(), content(volume));
        Kubelet { pod, spec, volumes: list(spec, "/volumes").iter().map(volume).collect() }
    }

    /// A container of the spec.
    pub fn container(&self, name: &str) -> &'a Value {
        let all = list(self.spec, "/initContainers").iter().chain(list(self.spec, "/containers"));
        all.into_iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self, container: &Value) -> Container {
        let command = list(container, "/args").iter().map(|word| word.as_str().expect("a word").to_owned());
        self.start_with(container, &command.collect::<Vec<_>>())
    }

    /// The same with the image that there is here, and another command: what an app is.
    #[track_caller]
    pub fn start_with(&self, container: &Value, command: &[String]) -> Container {
        let known = [
            "name",
            "image",
            "imagePullPolicy",
            "restartPolicy",
            "args",
            "env",
            "ports",
            "startupProbe",
            "livenessProbe",
            "readinessProbe",
            "lifecycle",
            "resources",
            "securityContext",
            "volumeMounts",
        ];
        for field in container.as_object().expect("a container").keys() {
            assert!(known.contains(&field.as_str()), "the field {field} of {container}");
        }
        let mut arguments = vec!["--pod".to_owned(), self.pod.name().to_owned()];
        let mut option = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        for variable in list(container, "/env") {
            option("-e", format!("{}={}", text(variable, "/name"), text(variable, "/value")));
        }
        if let Some(memory) = container.pointer("/resources/limits/memory").and_then(Value::as_str) {
            let memory = memory.strip_suffix("Mi").expect("in MiB");
            option("--memory", format!("{memory}m"));
            option("--memory-swap", format!("{memory}m"));
        }
        for mount in list(container, "/volumeMounts") {
            let volume = self.volumes.get(text(mount, "/name")).expect("a mount of a volume that there is");
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            option("-v", format!("{}:{}:{mode}", volume.path("").display(), text(mount, "/mountPath")));
        }
        if let Some(group) = group(self.spec) {
            option("--group-add", group.to_string());
        }
        arguments.extend(security(&container["securityContext"]));
        arguments.push(image().to_owned());
        arguments.extend_from_slice(command);
        Container::start(arguments)
    }

    /// Whether a probe of a container passes now: from outside of the pod, or in it.
    pub fn probe(&self, spec: &Value, running: &Container, probe: &str) -> bool {
        let probe = &spec[probe];
        if let Some(get) = probe.get("httpGet") {
            let port = list(spec, "/ports").iter().find(|port| port["name"] == get["port"]).expect("a named port");
            assert_eq!(port["containerPort"], self.pod.admin().port());
            return self.pod.is_up(text(get, "/path"));
        }
        let command: Vec<&str> = list(probe, "/exec/command").iter().filter_map(Value::as_str).collect();
        assert!(!command.is_empty(), "a probe of a kind: {probe}");
        running.exec(&command).status.success()
    }

    /// Waits for the start-up probe, for as long as the kubelet would.
    #[track_caller]
    pub fn started(&self, spec: &Value, running: &Container) {
        let number = |field: &str| spec["startupProbe"][field].as_u64().expect("a number");
        let longest = Duration::from_secs(number("failureThreshold") * number("periodSeconds"));
        let begin = Instant::now();
        until("the start-up probe passes", || self.probe(spec, running, "startupProbe"));
        assert!(begin.elapsed() < longest, "{:?}", begin.elapsed());
    }
}

fn group(spec: &Value) -> Option<u32> {
    spec.pointer("/securityContext/fsGroup").and_then(Value::as_u64).map(|group| u32::try_from(group).expect("a group"))
}

fn security(context: &Value) -> Vec<String> {
    let is = |field: &str, value: bool| assert_eq!(context[field], value, "{field} of {context}");
    is("allowPrivilegeEscalation", false);
    is("runAsNonRoot", true);
    let mut arguments = vec!["--security-opt".to_owned(), "no-new-privileges".to_owned()];
    for dropped in list(context, "/capabilities/drop") {
        arguments.extend(["--cap-drop".to_owned(), dropped.as_str().expect("a word").to_owned()]);
    }
    let number = |field: &str| context[field].as_u64();
    if let Some(user) = number("runAsUser") {
        let group = number("runAsGroup").map(|group| format!(":{group}")).unwrap_or_default();
        arguments.extend(["--user".to_owned(), format!("{user}{group}")]);
    }
    if context["readOnlyRootFilesystem"] == true {
        arguments.extend(["--read-only".to_owned(), "--read-only-tmpfs=false".to_owned()]);
    }
    arguments
}
