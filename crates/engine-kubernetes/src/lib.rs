//! An engine over one Kubernetes cluster.
//!
//! A desired state becomes typed objects ([`objects`]) that are written under a fence
//! ([`fence`]): one ConfigMap of the stack holds the highest fence that was accepted, and only the
//! API server moves it, by a conditional update. What a newer writer has touched carries its fence
//! and another resource version, so an older writer's change is refused by the cluster.
//!
//! A group, `web@2`, is a Deployment of its own; a listener is a Service whose selector names the
//! group that gets the traffic. So old and new run side by side, one update moves the traffic, and
//! going back is the same update the other way. Kubernetes does everything that takes long, and
//! this engine keeps no state: another one over the same namespace goes on where it was.
//!
//! What it sees comes from watches of the stack's own objects.

mod apply;
mod balancers;
mod binding;
mod check;
mod drift;
mod engine;
mod error;
mod events;
mod exec;
pub mod fence;
mod logs;
pub mod objects;
mod observe;
mod ownership;
mod reach;
mod reasons;
mod replace;
pub mod setup;
mod targets;
mod watcher;

pub use check::CODES;
pub use engine::{KubernetesEngine, Options};
pub use kube::Client;
pub use reach::{Address, ReachError, Reached, reach};
