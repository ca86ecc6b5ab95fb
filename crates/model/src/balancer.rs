//! What listens on a cluster: a Service of Kubernetes, or a load balancer of AWS before it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What listens on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    /// Whose it is.
    pub provider: Provider,
    /// Annotations of the user's own, for the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Whose load balancer it is, on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// A Service of Kubernetes, and whatever the cluster makes of it.
    Service {
        /// Its type.
        kind: ServiceKind,
        /// The port on every node; nothing lets the cluster choose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node_port: Option<u16>,
    },
    /// A Network Load Balancer of AWS, straight to the pods.
    AwsNlb(Nlb),
}

/// The type of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    /// An address inside the cluster.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// A port on every node.
    NodePort,
    /// A load balancer that the cluster brings.
    LoadBalancer,
}

impl ServiceKind {
    /// The word in a manifest and in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// A Network Load Balancer of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nlb {
    /// What makes it in the cluster.
    pub class: NlbClass,
    /// Who reaches it. A change replaces the NLB.
    pub scheme: NlbScheme,
    /// What is chosen when a client offers several protocols over TLS.
    pub alpn: NlbAlpn,
}

/// What makes NLBs in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NlbClass {
    /// The AWS Load Balancer Controller.
    Controller,
    /// EKS Auto Mode.
    AutoMode,
}

impl NlbClass {
    /// The class of a Service's load balancer.
    #[must_use]
    pub const fn load_balancer_class(self) -> &'static str {
        match self {
            Self::Controller => "service.k8s.aws/nlb",
            Self::AutoMode => "eks.amazonaws.com/nlb",
        }
    }
}

/// Who reaches an NLB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NlbScheme {
    /// The VPC and what is connected to it.
    Internal,
    /// Everybody.
    InternetFacing,
}

impl NlbScheme {
    /// The word in the file and in AWS.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::InternetFacing => "internet-facing",
        }
    }
}

/// The ALPN policy of an NLB, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NlbAlpn {
    /// Nothing is negotiated.
    None,
    /// HTTP/1 only.
    #[serde(rename = "HTTP1Only")]
    Http1Only,
    /// HTTP/2 only.
    #[serde(rename = "HTTP2Only")]
    Http2Only,
    /// HTTP/1 first.
    #[serde(rename = "HTTP2Optional")]
    Http2Optional,
    /// HTTP/2 first.
    #[serde(rename = "HTTP2Preferred")]
    Http2Preferred,
}

impl NlbAlpn {
    /// The word in the file and in AWS.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Http1Only => "HTTP1Only",
            Self::Http2Only => "HTTP2Only",
            Self::Http2Optional => "HTTP2Optional",
            Self::Http2Preferred => "HTTP2Preferred",
        }
    }
}
