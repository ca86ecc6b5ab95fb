//! The load balancer on one machine: listeners, TLS, target groups, drain and hand-over.
//!
//! It is a process of its own, so that nothing that happens to the agent touches traffic. In go, over
//! a Unix socket, whole configurations with listening sockets beside them
//! ([`landfall_protocol::edge`]); out come counts. It opens no listening socket for traffic itself: the
//! agent passes the same descriptors to each edge process, so a newer process takes over without a
//! connection being refused, and what waits in a socket's queue survives the death of an edge.
//!
//! How a request finds its way: [`accept`] takes a connection, [`tls`] ends TLS behind a seam, [`http`]
//! understands requests or [`opaque`] does not, [`router`] chooses the target by the configuration in
//! force, and [`upstream`] sends. What must not happen, and where that is seen to:
//!
//! * A request follows a configuration that was replaced: [`router`] chooses and counts under a lock.
//! * A request is sent twice, or given up though it was never sent: [`upstream`] knows what was written.
//! * A request meets a connection that closes: [`http`] ends connections only with an answer, and
//!   [`lingering`] lets that answer arrive.
//! * A connection outlives its instance unseen: [`target`] cuts at the end of a drain, and counts.
//!
//! This is the plain data plane, on tokio, hyper and rustls: the one whose behaviour a faster one has to
//! reproduce.

mod accept;
mod clock;
mod compile;
mod control;
mod count;
mod edge;
mod host;
mod http;
mod lingering;
mod live;
mod metrics;
mod opaque;
mod relay;
mod router;
mod serve;
mod table;
mod target;
mod tls;
mod upstream;

pub use serve::{EdgeError, EdgeOptions, run, serve};
