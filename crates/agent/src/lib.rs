//! The agent: the composition root on a host.
//!
//! One process per host (or per user) owns the store, drives rollouts, supervises instances and
//! starts the edge. Whoever drives is where the state is, so the death of a client changes
//! nothing; and because instances belong to shims and connections to the edge, the death of the
//! agent changes nothing either: its successor reads the last journal entry of each stack, applies
//! its desired state again and looks.
//!
//! In come requests over a Unix socket that only the owner can open ([`client`] is the other
//! side); out go desired states to the engine and configurations to the edge.

mod address;
mod agent;
mod authority;
mod certificates;
mod changes;
pub mod client;
mod clock;
mod cluster;
mod codes;
mod doctor;
mod durable;
mod edge;
mod ground;
mod history;
mod home;
mod keys;
mod materials;
mod metrics;
mod objects;
mod points;
mod reign;
mod run;
mod server;
mod stack;
mod status;
mod streams;
mod verify;

pub use agent::{AgentError, Options, serve};
pub use clock::now;
pub use cluster::{ClusterOptions, InProcess};
pub use codes::CODES;
pub use home::Home;
pub use keys::{owner_key, signing_key};
