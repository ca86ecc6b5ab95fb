//! What differs between the places an agent works in: a host with processes and an edge, or a
//! namespace of a cluster.

use crate::certificates::Certificates;
use crate::cluster::ClusterGround;
use crate::edge::Edges;
use crate::{Home, keys};
use landfall_model::{Certificate, CertificateName, Content, Epoch, ExitCode, Finding, StackId};
use landfall_protocol::agent::Failure;
use landfall_store::seal::TrustedKeys;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// A host.
pub(crate) struct Host {
    pub(crate) home: Home,
    pub(crate) edge: Arc<Edges>,
    pub(crate) certificates: Arc<Certificates>,
    /// Every agent of a host reigns in an epoch of its own.
    pub(crate) epoch: Epoch,
    pub(crate) metrics: OnceLock<SocketAddr>,
}

/// Where the stacks are.
pub(crate) enum Ground {
    Host(Box<Host>),
    Cluster(Box<ClusterGround>),
}

impl Ground {
    /// The host, for what only a host has.
    pub(crate) fn host(&self) -> Result<&Host, Failure> {
        match self {
            Self::Host(host) => Ok(host),
            Self::Cluster(_) => Err(Failure::new(
                ExitCode::Usage,
                "a cluster keeps no certificates of its own here",
            )
            .help("name one of AWS's certificate manager in the file: `certificates: { NAME: { arn: … } }`")),
        }
    }

    pub(crate) fn cluster(&self) -> Option<&ClusterGround> {
        match self {
            Self::Host(_) => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }

    /// What stands in the way of a content, beside what the engine says.
    pub(crate) async fn check(&self, id: &StackId, content: &Content) -> Vec<Finding> {
        match self {
            Self::Host(host) => host.edge.check(id, content).await,
            Self::Cluster(_) => Vec::new(),
        }
    }

    /// The newest version of each certificate that is kept here.
    pub(crate) fn newest_certificates(
        &self,
        id: &StackId,
    ) -> BTreeMap<CertificateName, Certificate> {
        match self {
            Self::Host(host) => host.certificates.newest(id),
            Self::Cluster(_) => BTreeMap::new(),
        }
    }

    /// The keys that may deploy here.
    pub(crate) async fn trusted(&self) -> Result<TrustedKeys, Failure> {
        match self {
            Self::Host(host) => keys::load(&host.home)
                .map_err(|error| Failure::new(ExitCode::Integrity, crate::stack::chain(&error))),
            Self::Cluster(cluster) => cluster.trusted().await,
        }
    }

    /// Where those keys are listed, for people.
    pub(crate) fn keys_place(&self) -> String {
        match self {
            Self::Host(host) => host.home.trusted_keys().display().to_string(),
            Self::Cluster(cluster) => cluster.keys_place(),
        }
    }
}
