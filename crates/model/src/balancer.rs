//! What listens on a cluster: a Service of Kubernetes, or a load balancer of AWS before it.

use crate::{Content, Health, HealthCheck, Listener, ListenerName, Millis, Route, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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

/// How an NLB finds the health of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NlbHealth {
    /// What is asked by `GET`; nothing when a connection is enough.
    pub path: Option<String>,
    /// Seconds between two checks.
    pub every: u64,
    /// Seconds within which an answer must come.
    pub timeout: u64,
    /// Good answers in a row that make a target healthy.
    pub healthy: u16,
    /// Bad answers in a row that make it unhealthy.
    pub unhealthy: u16,
}

/// What annotations for AWS's load balancer controllers begin with.
pub const NLB_PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";

/// The annotations of an NLB, without [`NLB_PREFIX`], that follow from the file, each with the key
/// of the file that says it. They are stated in every release, because a controller lets AWS keep
/// what an annotation that is gone had set, or falls back to AWS's oldest default.
pub const NLB_STATED: &[(&str, &str)] = &[
    ("type", "class"),
    ("scheme", "scheme"),
    ("internal", "scheme"),
    ("nlb-target-type", "provider"),
    ("backend-protocol", "protocol"),
    ("ssl-cert", "certificate"),
    ("ssl-ports", "listen"),
    ("ssl-negotiation-policy", "policy"),
    ("alpn-policy", "alpn"),
    ("healthcheck-protocol", "health"),
    ("healthcheck-port", "health"),
    ("healthcheck-path", "health"),
    ("healthcheck-interval", "health"),
    ("healthcheck-timeout", "health"),
    ("healthcheck-healthy-threshold", "health"),
    ("healthcheck-unhealthy-threshold", "health"),
    ("healthcheck-success-codes", "health"),
];

impl Nlb {
    /// The policy of a listener that names none: what AWS's console chooses. Its controllers would
    /// choose `ELBSecurityPolicy-2016-08`.
    pub const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";
    /// How long new connections may still come to a target that was deregistered, whatever its
    /// deregistration delay (measured by users of NLBs: about two minutes).
    pub const DEREGISTRATION: Millis = Millis(120_000);
    /// How long an instance behind an NLB serves on after it was asked to go, at least.
    pub const LEAST_DRAIN: Millis = Millis(180_000);
    /// What an instance behind an NLB is given from the moment it is asked to go, at least.
    pub const LEAST_GRACE: Millis = Millis(200_000);
    /// The longest deregistration delay that AWS takes.
    pub const LONGEST_DELAY: Millis = Millis(3_600_000);

    /// How long an instance serves on after it was asked to go: the last connection that may come
    /// has all of the drain that the file asks for, and never less than [`Self::LEAST_DRAIN`].
    #[must_use]
    pub const fn drain(asked: Millis) -> Millis {
        let drain = Self::DEREGISTRATION.0.saturating_add(asked.0);
        if drain < Self::LEAST_DRAIN.0 { Self::LEAST_DRAIN } else { Millis(drain) }
    }

    /// How long an instance may take to be gone, with the drain and the grace that the file gives.
    #[must_use]
    pub const fn gone_within(drain: Millis, grace: Millis) -> Millis {
        let gone = drain.0.saturating_add(grace.0);
        if gone < Self::LEAST_GRACE.0 { Self::LEAST_GRACE } else { Millis(gone) }
    }
}

impl Balancer {
    /// The NLB, when it is one.
    #[must_use]
    pub const fn nlb(&self) -> Option<&Nlb> {
        match &self.provider {
            Provider::AwsNlb(nlb) => Some(nlb),
            Provider::Service { .. } => None,
        }
    }
}

impl Listener {
    /// The NLB that it is, on a cluster.
    #[must_use]
    pub fn nlb(&self) -> Option<&Nlb> {
        self.balancer.as_ref().and_then(Balancer::nlb)
    }
}

impl Content {
    /// The listeners that are NLBs.
    pub fn nlbs(&self) -> impl Iterator<Item = (&ListenerName, &Listener, &Nlb)> {
        self.listeners.iter().filter_map(|(name, it)| Some((name, it, it.nlb()?)))
    }

    /// The services behind NLBs.
    #[must_use]
    pub fn behind_nlbs(&self) -> BTreeSet<&ServiceName> {
        self.nlbs()
            .filter_map(|(_, listener, _)| match &listener.route {
                Route::To(service) => Some(service),
                Route::RedirectHttps { .. } => None,
            })
            .collect()
    }
}

impl NlbHealth {
    /// The check of an NLB that comes nearest to a service's own: whole seconds within what AWS
    /// takes, 5 to 300 between checks, 2 to 120 for an answer, 2 to 10 answers in a row. That a
    /// process runs is nothing that an NLB could see, so its port has to take a connection.
    #[must_use]
    pub fn of(health: &Health) -> Self {
        let seconds = |time: Millis| time.0.div_ceil(1000);
        let every = seconds(health.every).clamp(5, 300);
        Self {
            path: match &health.check {
                HealthCheck::Http { path } => Some(path.clone()),
                HealthCheck::Tcp | HealthCheck::Process => None,
            },
            every,
            // An answer has to come before the next question.
            timeout: seconds(health.timeout).clamp(2, 120).min(every),
            healthy: health.healthy.clamp(2, 10),
            unhealthy: health.unhealthy.clamp(2, 10),
        }
    }

    /// How long a target that is good takes to count as healthy after AWS has begun to ask.
    #[must_use]
    pub fn healthy_after(&self) -> Millis {
        Millis(self.every * 1000 * u64::from(self.healthy))
    }
}
