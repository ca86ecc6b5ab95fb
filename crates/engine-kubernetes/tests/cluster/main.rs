//! Tests against a real API server with a real node, in namespaces where `restricted` Pod Security
//! is enforced. `cargo xtask test` starts them; `LANDFALL_TEST_KUBECONFIG` says where, and
//! `LANDFALL_TEST_IMAGE` which image with a shell and a small server the node has.

mod engine;
mod nlb;
mod rollouts;
mod world;
