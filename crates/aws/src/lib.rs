//! The AWS calls that a deployment needs, signed and typed, without an SDK for each service.
//!
//! What goes in: the machine's usual credentials (environment, profiles, single sign-on, web
//! identity, containers, instance metadata) and a region. What comes out: what a load balancer, its
//! listeners and targets, a certificate and a cluster are at this moment, and a token for that
//! cluster. Except for the import and the deletion of a certificate, every call only looks.
//!
//! `aws-config` finds credentials and `aws-sigv4` signs; the rest is here, because nine SDK crates
//! take longer to build than everything else in the house together. One HTTP client serves both.
//!
//! Every call ends: it has a deadline over all its tries, tries again only what cannot do harm
//! twice, and reads at most 4 MiB. Nothing that is secret has a `Debug` that shows it.

mod arn;
mod call;
mod caller;
mod certificates;
mod clusters;
mod connection;
mod credentials;
mod endpoint;
mod error;
mod http;
mod json;
mod key_algorithm;
mod listeners;
mod load_balancers;
mod query;
mod region;
mod smithy;
mod targets;
mod token;

pub use arn::{Arn, ArnError};
pub use caller::Caller;
pub use certificates::{
    Certificate, CertificateKind, CertificateStatus, CertificateSummary, NewCertificate,
};
pub use clusters::{Cluster, ClusterStatus};
pub use connection::{Aws, Settings};
pub use credentials::Keys;
pub use endpoint::Service;
pub use error::{AwsError, Call, Result};
pub use key_algorithm::KeyAlgorithm;
pub use listeners::{Listener, ListenerCertificate};
pub use load_balancers::{Attributes, LoadBalancer, Tags};
pub use region::{Partition, Region, RegionError};
pub use targets::{HealthCheck, TargetGroup, TargetHealth, TargetState};
pub use token::Token;
