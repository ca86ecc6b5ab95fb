//! For tests and benches only: clients that never retry, and what became of each of their requests.
//!
//! Whether a deploy loses requests can only be said by a client that repeats nothing and hides
//! nothing. A [`Load`] is a set of such clients over TLS: kept connections with idle times, one
//! connection a request, bodies, slow answers, HTTP/2. Each request carries an id; what the clients
//! got ([`Report`]) is compared, id by id, with what the instances say they served ([`Comparison`]).
//! [`Rollouts`] does all that while the real program takes releases out and back, and
//! [`Logs`] looks whether lines are lost while the agent is killed.

mod chance;
mod http1;
mod http2;
mod kinds;
mod load;
mod logs;
mod report;
mod rollouts;
mod served;
mod target;
mod world;

pub use chance::Chance;
pub use http1::{Body, Connection, Request, Response};
pub use load::{Load, Running, Scale};
pub use logs::{Logged, Logs};
pub use report::{Figures, Kind, Latency, Outcome, Report};
pub use rollouts::{Finished, Rollouts, Style};
pub use served::Comparison;
pub use target::{Failure, Target};
pub use world::{Shape, World};
