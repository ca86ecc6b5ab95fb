//! An engine without processes: a small world that behaves as its services are told to.
//!
//! [`World`] is pure and deterministic, so that property tests and the model checker can put it
//! through thousands of rollouts a second; [`SimulatedEngine`] runs the same world behind the
//! [`Engine`](crate::Engine) trait on the runtime's clock.

mod engine;
mod world;

pub use engine::SimulatedEngine;
pub use world::{Behaviour, World};
