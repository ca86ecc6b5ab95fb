//! An engine that runs groups of processes on this Linux machine.
//!
//! In goes a desired state; out come processes, each held by a tiny shim that needs nobody, a
//! part for the load balancer, logs, and what is observed. The agent that hosts the engine may die
//! at any instant: everything it needs is in its folder, every step can be done again, and a new
//! life takes over what runs without touching it.
//!
//! - [`shim`] is the process that holds a run; `process` finds and kills what belongs to one.
//! - `run` is the outside of a shim; `instance` and `job` are the two kinds of run.
//! - `stack` is the one task per stack that compares and acts; `traffic` talks to the load
//!   balancer for it, behind the [`LoadBalancer`] seam.
//! - [`LocalEngine`] is the front: it checks fences, keeps desired states durably, and hands on.
//!
//! Deliberately avoided: sockets between agent and shim (files and signals have fewer ways to
//! fail), commands instead of desired states, and any state that only lives in memory.

mod artifact;
mod cgroup;
mod codes;
mod diagnosis;
mod disk;
mod engine;
mod findings;
mod flag;
mod health;
mod host;
mod instance;
mod job;
mod listen;
mod load_balancer;
mod log;
mod logs;
mod place;
mod ports;
mod process;
mod run;
mod session;
pub mod shim;
mod stack;
mod traffic;
mod users;
mod workplace;

pub use artifact::Unpack;
pub use codes::CODES;
pub use engine::LocalEngine;
pub use host::LocalEngineOptions;
pub use load_balancer::{LoadBalancer, StackPart, StackStats, group_key};
pub use users::Isolation;
