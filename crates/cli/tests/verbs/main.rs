//! The verbs, end to end: the real program on a host of its own, with real services behind it.
//!
//! One module a topic. Each test has a host, an agent and an edge of its own, waits for conditions
//! instead of times, and leaves nothing behind.

mod agent;
mod certificates;
mod client;
mod damage;
mod failing;
mod hooks;
mod isolation;
mod looking;
mod output;
mod plan;
mod rollback;
mod rollout;
mod world;
