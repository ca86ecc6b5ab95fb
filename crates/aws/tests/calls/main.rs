//! Every call against a real moto, which `scripts/aws.sh` starts; without it they are skipped by
//! name. Each test is an account of its own, and botocore checks the signature of each call.

mod bed;
mod certificates;
mod clusters;
mod environment;
mod failures;
mod load_balancers;
mod targets;
