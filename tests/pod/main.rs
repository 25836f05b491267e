//! The image and the life of a pod: the static binary as `scripts/image` packs it, in real containers of podman, beside an
//! app that shares its localhost. What podman has no word for is done as Kubernetes does it: probes come from outside, by
//! the pod's address, and what starts and stops in which order is what the kubelet would do.

#[path = "../binary/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the black-box tests use the rest of it")]
mod support;

/// How charts are rendered.
#[path = "../chart"]
#[expect(dead_code, reason = "the chart's own tests use the rest of it")]
mod chart {
    pub mod documents;
    pub mod renders;
    pub mod tools;
}
mod stage;

mod compose;
mod image;
mod life;
mod memory;
mod rendered;
