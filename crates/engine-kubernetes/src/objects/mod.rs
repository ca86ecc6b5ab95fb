//! A desired state as Kubernetes objects: pure, so that a plan can show them.

mod deployment;
mod job;
mod labels;
mod names;
mod nlb;
mod pod;
mod service;

pub(crate) use job::JOB;
pub use labels::{FENCE, GROUP, HASH, MANAGED_BY, RELEASE, SERVICE, STACK, WEIGHTS, selector};
pub use names::{fence_name, group_name, group_of, job_name, stack_label};
pub(crate) use nlb::{GATE, Made, is as is_nlb, made};
pub(crate) use service::LISTENER;

use landfall_model::{Desired, GroupId, ServiceName};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The kinds of objects, in the order in which they are made; they go in the opposite order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The environment of a group or job.
    ConfigMap,
    /// A listener.
    Service,
    /// What keeps a drain of nodes from taking a whole service.
    PodDisruptionBudget,
    /// A hook.
    Job,
    /// A group.
    Deployment,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::ConfigMap, Self::Service, Self::PodDisruptionBudget, Self::Job, Self::Deployment];

    /// The word in a manifest.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Job => "Job",
            Self::Deployment => "Deployment",
        }
    }
}

/// One object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name in the namespace.
    pub name: String,
    /// All of it, as a manifest.
    pub manifest: Value,
}

impl Object {
    fn new(kind: Kind, name: &str, manifest: &impl Serialize) -> Self {
        // The types of the API are plain data, which always has a JSON form.
        let manifest = serde_json::to_value(manifest).unwrap_or(Value::Null);
        Self { kind, name: name.to_owned(), manifest }
    }
}

/// The annotation with the drain, in milliseconds, that the pods of a group were made with.
pub(crate) const DRAIN: &str = "landfall.dev/drain";

/// Every object of a desired state, in the order in which they are made.
#[must_use]
pub fn objects(desired: &Desired) -> Vec<Object> {
    objects_as(desired, &made(desired))
}

/// The same, with pods as they were made.
pub(crate) fn objects_as(desired: &Desired, made: &BTreeMap<GroupId, Made>) -> Vec<Object> {
    let stack = &desired.stack;
    let mut all = Vec::new();
    for (id, group) in &desired.groups {
        if let Some(made) = made.get(id) {
            all.extend(deployment::group(stack, id, group, made));
        }
    }
    for (name, state) in &desired.listeners {
        all.extend(service::listener(desired, name, state, made));
    }
    for (id, job) in &desired.jobs {
        all.extend(job::job(stack, id, job));
    }
    for (service, replicas) in newest(desired) {
        all.extend(deployment::budget(stack, &service, replicas));
    }
    all.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    all
}

/// How many instances of each service there are in its largest group.
fn newest(desired: &Desired) -> BTreeMap<ServiceName, u16> {
    let mut found = BTreeMap::new();
    for (id, group) in &desired.groups {
        let replicas = found.entry(id.service.clone()).or_insert(0);
        *replicas = group.replicas.max(*replicas);
    }
    found
}

/// A hash of what an object should be.
#[must_use]
pub fn hash_of(object: &Object) -> String {
    names::hash(&object.manifest.to_string())
}
