//! Listeners of a load balancer: their certificates and policies.

use crate::arn::Arn;
use crate::connection::Aws;
use crate::error::Result;
use crate::load_balancers::Attributes;
use crate::query::{Form, Members, Page};
use serde::Deserialize;

/// What a load balancer listens with on one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its ARN.
    pub arn: Arn,
    /// The port.
    pub port: u16,
    /// `TLS`, `TCP`, `UDP`, `HTTPS` and so on.
    pub protocol: String,
    /// The policy of TLS; none where nothing is encrypted.
    pub policy: Option<String>,
    /// The certificate for clients that name no host, or a host that no other covers.
    pub default_certificate: Option<Arn>,
    /// What is offered by ALPN, as AWS names it; none when nothing is.
    pub alpn: Option<String>,
    /// Where connections go.
    pub target_groups: Vec<Arn>,
}

/// A certificate of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListenerCertificate {
    /// Its ARN.
    #[serde(rename = "CertificateArn")]
    pub arn: Arn,
    /// Whether it is the default one. The default one may be listed a second time without it.
    #[serde(rename = "IsDefault", default)]
    pub default: bool,
}

#[derive(Deserialize)]
struct Listeners {
    #[serde(rename = "DescribeListenersResult")]
    result: ListenersResult,
}

#[derive(Deserialize)]
struct ListenersResult {
    #[serde(rename = "Listeners", default)]
    listeners: Members<Described>,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "ListenerArn")]
    arn: Arn,
    #[serde(rename = "Port", default)]
    port: u16,
    #[serde(rename = "Protocol", default)]
    protocol: String,
    #[serde(rename = "SslPolicy")]
    policy: Option<String>,
    #[serde(rename = "Certificates", default)]
    certificates: Members<ListenerCertificate>,
    #[serde(rename = "AlpnPolicy", default)]
    alpn: Members<String>,
    #[serde(rename = "DefaultActions", default)]
    actions: Members<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "TargetGroupArn")]
    group: Option<Arn>,
    #[serde(rename = "ForwardConfig")]
    forward: Option<Forward>,
}

#[derive(Deserialize)]
struct Forward {
    #[serde(rename = "TargetGroups", default)]
    groups: Members<Weighted>,
}

#[derive(Deserialize)]
struct Weighted {
    #[serde(rename = "TargetGroupArn")]
    group: Arn,
}

impl From<Described> for Listener {
    fn from(it: Described) -> Self {
        let mut target_groups: Vec<Arn> = Vec::new();
        // AWS writes a single group in both ways at once.
        for action in it.actions.member {
            let weighted = action.forward.map(|it| it.groups.member).unwrap_or_default();
            for group in action.group.into_iter().chain(weighted.into_iter().map(|it| it.group)) {
                if !target_groups.contains(&group) {
                    target_groups.push(group);
                }
            }
        }
        let encrypted = matches!(it.protocol.as_str(), "TLS" | "HTTPS");
        Self {
            arn: it.arn,
            port: it.port,
            policy: it.policy.filter(|policy| encrypted && !policy.is_empty()),
            protocol: it.protocol,
            default_certificate: it.certificates.member.into_iter().next().map(|it| it.arn),
            alpn: it.alpn.member.into_iter().next().filter(|it| it != "None"),
            target_groups,
        }
    }
}

impl Page for Listeners {
    type Item = Listener;
    fn parts(self) -> (Vec<Listener>, Option<String>) {
        let listeners = self.result.listeners.member;
        (listeners.into_iter().map(Listener::from).collect(), self.result.next)
    }
}

#[derive(Deserialize)]
struct Certificates {
    #[serde(rename = "DescribeListenerCertificatesResult")]
    result: CertificatesResult,
}

#[derive(Deserialize)]
struct CertificatesResult {
    #[serde(rename = "Certificates", default)]
    certificates: Members<ListenerCertificate>,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

impl Page for Certificates {
    type Item = ListenerCertificate;
    fn parts(self) -> (Vec<ListenerCertificate>, Option<String>) {
        (self.result.certificates.member, self.result.next)
    }
}

#[derive(Deserialize)]
struct Policies {
    #[serde(rename = "DescribeSSLPoliciesResult")]
    result: PoliciesResult,
}

#[derive(Deserialize)]
struct PoliciesResult {
    #[serde(rename = "SslPolicies", default)]
    policies: Members<Policy>,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Policy {
    #[serde(rename = "Name")]
    name: String,
}

impl Page for Policies {
    type Item = String;
    fn parts(self) -> (Vec<String>, Option<String>) {
        let policies = self.result.policies.member;
        (policies.into_iter().map(|it| it.name).collect(), self.result.next)
    }
}

impl Aws {
    /// The listeners of a load balancer.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn listeners(&self, load_balancer: &Arn) -> Result<Vec<Listener>> {
        self.pages_of::<Listeners>(load_balancer, "DescribeListeners", "LoadBalancerArn").await
    }

    /// Every certificate of a listener: the default one, and those that are chosen by host.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn listener_certificates(&self, listener: &Arn) -> Result<Vec<ListenerCertificate>> {
        self.pages_of::<Certificates>(listener, "DescribeListenerCertificates", "ListenerArn").await
    }

    /// What is set on a listener, such as `tcp.idle_timeout.seconds`.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn listener_attributes(&self, listener: &Arn) -> Result<Attributes> {
        self.attributes("DescribeListenerAttributes", "ListenerArn", listener).await
    }

    /// The names of the policies that the region has.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn tls_policies(&self) -> Result<Vec<String>> {
        self.pages::<Policies>(&self.region, "DescribeSSLPolicies", Form::default()).await
    }
}
