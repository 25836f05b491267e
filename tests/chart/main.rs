//! The Helm chart, the library chart and the kustomize base, without a cluster: rendered by Helm 3 and 4 for three
//! versions of Kubernetes, and judged by the schemas of these versions, by the binary (is the config one that it takes?)
//! and by rules of our own. The values are those of `helm/sidemint/ci/`; the ones for a sidecar are rendered a second
//! time through `app/`, a chart of somebody else's that depends on the library.

mod config;
mod documents;
mod forms;
mod golden;
mod kubernetes;
mod kustomize;
mod monitoring;
mod references;
mod renders;
mod restricted;
mod schema;
mod sentences;
mod tools;
mod values;
