//! Pure: the load balancer's named TLS policies, and which of them this edge can serve exactly.
//!
//! A policy is chosen by a name that people know and can look up, so the name has to mean what it
//! means elsewhere. In goes a name; out comes the policy's row of AWS's table, and either exactly
//! what a rustls server has to be told ([`expressible`]), or an error that says which part of the
//! policy rustls cannot do ([`Inexpressible`]). Nothing is rounded to "nearly the same".
//!
//! The crate knows rustls only by names, so that whoever plans can use it without a TLS library.

mod ciphers;
mod express;
mod policy;
mod table;

pub use express::{Inexpressible, RustlsPolicy, expressible};
pub use policy::{Confidence, DEFAULT, Policy, Version, find, nearest};
pub use table::POLICIES;
