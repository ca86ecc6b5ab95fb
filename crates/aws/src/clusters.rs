//! Kubernetes clusters of EKS.

use crate::arn::Arn;
use crate::call::Question;
use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::{AwsError, Result};
use http::Method;
use serde::Deserialize;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: Arn,
    /// Where its API server listens; nothing while it is being created.
    pub endpoint: Option<String>,
    /// The certificate of its authority, PEM in base64 as kubeconfig files want it.
    pub authority: Option<String>,
    /// The version of Kubernetes, such as `1.35`.
    pub version: String,
    /// Whether it can be used.
    pub status: ClusterStatus,
    /// Its network.
    pub vpc: Option<String>,
    /// Whether EKS makes nodes and load balancers itself, with classes of its own.
    pub auto_mode: bool,
}

/// Whether a cluster can be used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum ClusterStatus {
    /// It can be used.
    Active,
    /// It is being created.
    Creating,
    /// It can be used while it changes.
    Updating,
    /// It goes away.
    Deleting,
    /// It could not be created.
    Failed,
    /// One that this program does not know.
    Other(String),
}

impl From<String> for ClusterStatus {
    fn from(text: String) -> Self {
        match text.as_str() {
            "ACTIVE" => Self::Active,
            "CREATING" => Self::Creating,
            "UPDATING" => Self::Updating,
            "DELETING" => Self::Deleting,
            "FAILED" => Self::Failed,
            _ => Self::Other(text),
        }
    }
}

#[derive(Deserialize)]
struct Answered {
    cluster: Described,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    arn: Arn,
    endpoint: Option<String>,
    certificate_authority: Option<Authority>,
    #[serde(default)]
    version: String,
    status: ClusterStatus,
    resources_vpc_config: Option<Network>,
    compute_config: Option<Compute>,
}

#[derive(Deserialize)]
struct Authority {
    data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    vpc_id: Option<String>,
}

#[derive(Deserialize)]
struct Compute {
    enabled: Option<bool>,
}

impl Aws {
    /// A cluster of the region.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name, and when the call fails.
    pub async fn cluster(&self, name: &str) -> Result<Cluster> {
        let question = Question {
            service: Service::Eks,
            action: "DescribeCluster",
            region: &self.region,
            method: Method::GET,
            path: format!("/clusters/{name}"),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            repeatable: true,
        };
        // The name becomes part of a path; these are all the letters that EKS allows.
        let good = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        if name.is_empty() || name.len() > 100 || !name.chars().all(good) {
            return Err(AwsError::NotFound {
                call: question.call(),
                code: "ResourceNotFoundException".to_owned(),
                message: format!("`{name}` cannot be the name of a cluster"),
            });
        }
        let it = self.json::<Answered>(&question).await?.cluster;
        Ok(Cluster {
            name: it.name,
            arn: it.arn,
            endpoint: it.endpoint,
            authority: it.certificate_authority.and_then(|it| it.data),
            version: it.version,
            status: it.status,
            vpc: it.resources_vpc_config.and_then(|it| it.vpc_id),
            auto_mode: it.compute_config.and_then(|it| it.enabled).unwrap_or(false),
        })
    }
}
