//! Listeners that understand requests: `https`, and `http`.

mod answer;
mod connection;
mod forward;
mod headers;
mod upgrade;

pub(crate) use connection::{Client, serve};
