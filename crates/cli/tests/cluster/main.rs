//! The verbs on a cluster, end to end: the real program against a real API server with a real node.
//!
//! `cargo xtask test` starts them; `LANDFALL_TEST_KUBECONFIG` says where, and `LANDFALL_TEST_IMAGE`
//! which image with a shell and a small server the node has. Each test has a namespace of its own,
//! made by `landfall setup`, and works in it as the account that `landfall export rbac` prints.

mod agent;
mod exact;
mod failures;
mod file;
mod hooks;
mod kills;
mod load;
mod lost;
mod outage;
mod owners;
mod races;
mod requests;
mod restoring;
mod rights;
mod strangers;
mod verbs;
mod world;
