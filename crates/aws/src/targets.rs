//! Target groups, and how their targets are.

use crate::arn::Arn;
use crate::connection::Aws;
use crate::error::Result;
use crate::load_balancers::Attributes;
use crate::query::{Form, Members, Page};
use serde::Deserialize;
use std::fmt;

/// Where a listener sends connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: Arn,
    /// Its name.
    pub name: String,
    /// The protocol towards the targets: `TCP`, `TLS`, `HTTP` and so on.
    pub protocol: String,
    /// The port of targets that name none.
    pub port: u16,
    /// `ip`, `instance`, `alb` or `lambda`.
    pub kind: String,
    /// Its network.
    pub vpc: String,
    /// How targets are checked.
    pub health_check: HealthCheck,
    /// The load balancers that send here.
    pub load_balancers: Vec<Arn>,
}

/// How targets are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `TCP`, `HTTP` or `HTTPS`.
    pub protocol: String,
    /// A port, or `traffic-port`.
    pub port: String,
    /// The path of HTTP.
    pub path: Option<String>,
    /// Seconds from one check to the next.
    pub interval_seconds: u32,
    /// Seconds until a check has failed.
    pub timeout_seconds: u32,
    /// Good checks in a row until a target is healthy.
    pub healthy_threshold: u32,
    /// Bad checks in a row until it is not.
    pub unhealthy_threshold: u32,
    /// The status codes that are good.
    pub codes: Option<String>,
}

/// How one target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// An address, an instance or another resource.
    pub id: String,
    /// The port.
    pub port: Option<u16>,
    /// How it is.
    pub state: TargetState,
    /// Why, as a code such as `Elb.RegistrationInProgress`; none for a healthy one.
    pub reason: Option<String>,
    /// Why, in words.
    pub description: Option<String>,
}

/// How a target is. Only `Healthy` gets new connections as long as any target is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    /// It is being registered, or was not checked often enough yet.
    Initial,
    /// It is well.
    Healthy,
    /// Checks fail.
    Unhealthy,
    /// It was unhealthy, and old connections are being ended.
    UnhealthyDraining,
    /// It was deregistered, and old connections may end.
    Draining,
    /// No listener sends to its group, or it is not registered.
    Unused,
    /// Checks are off.
    Unavailable,
    /// A state that this program does not know.
    Other(String),
}

impl TargetState {
    fn of(text: String) -> Self {
        match text.as_str() {
            "initial" => Self::Initial,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            "unhealthy.draining" => Self::UnhealthyDraining,
            "draining" => Self::Draining,
            "unused" => Self::Unused,
            "unavailable" => Self::Unavailable,
            _ => Self::Other(text),
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::UnhealthyDraining => "unhealthy.draining",
            Self::Draining => "draining",
            Self::Unused => "unused",
            Self::Unavailable => "unavailable",
            Self::Other(text) => text,
        })
    }
}

#[derive(Deserialize)]
struct TargetGroups {
    #[serde(rename = "DescribeTargetGroupsResult")]
    result: TargetGroupsResult,
}

#[derive(Deserialize)]
struct TargetGroupsResult {
    #[serde(rename = "TargetGroups", default)]
    groups: Members<DescribedGroup>,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedGroup {
    target_group_arn: Arn,
    target_group_name: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    target_type: String,
    #[serde(default)]
    vpc_id: String,
    #[serde(default)]
    health_check_protocol: String,
    #[serde(default)]
    health_check_port: String,
    health_check_path: Option<String>,
    #[serde(default)]
    health_check_interval_seconds: u32,
    #[serde(default)]
    health_check_timeout_seconds: u32,
    #[serde(default)]
    healthy_threshold_count: u32,
    #[serde(default)]
    unhealthy_threshold_count: u32,
    matcher: Option<Matcher>,
    #[serde(default)]
    load_balancer_arns: Members<Arn>,
}

#[derive(Deserialize)]
struct Matcher {
    #[serde(rename = "HttpCode")]
    codes: Option<String>,
}

impl From<DescribedGroup> for TargetGroup {
    fn from(it: DescribedGroup) -> Self {
        let health_check = HealthCheck {
            protocol: it.health_check_protocol,
            port: it.health_check_port,
            path: it.health_check_path.filter(|path| !path.is_empty()),
            interval_seconds: it.health_check_interval_seconds,
            timeout_seconds: it.health_check_timeout_seconds,
            healthy_threshold: it.healthy_threshold_count,
            unhealthy_threshold: it.unhealthy_threshold_count,
            codes: it.matcher.and_then(|it| it.codes),
        };
        Self {
            arn: it.target_group_arn,
            name: it.target_group_name,
            protocol: it.protocol,
            port: it.port,
            kind: it.target_type,
            vpc: it.vpc_id,
            health_check,
            load_balancers: it.load_balancer_arns.member,
        }
    }
}

impl Page for TargetGroups {
    type Item = TargetGroup;
    fn parts(self) -> (Vec<TargetGroup>, Option<String>) {
        let groups = self.result.groups.member;
        (groups.into_iter().map(TargetGroup::from).collect(), self.result.next)
    }
}

#[derive(Deserialize)]
struct Health {
    #[serde(rename = "DescribeTargetHealthResult")]
    result: HealthResult,
}

#[derive(Deserialize)]
struct HealthResult {
    #[serde(rename = "TargetHealthDescriptions", default)]
    descriptions: Members<DescribedHealth>,
}

#[derive(Deserialize)]
struct DescribedHealth {
    #[serde(rename = "Target")]
    target: Target,
    #[serde(rename = "TargetHealth")]
    health: State,
}

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Port")]
    port: Option<u16>,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "State", default)]
    state: String,
    #[serde(rename = "Reason")]
    reason: Option<String>,
    #[serde(rename = "Description")]
    description: Option<String>,
}

impl From<DescribedHealth> for TargetHealth {
    fn from(it: DescribedHealth) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            id: it.target.id,
            port: it.target.port,
            state: TargetState::of(it.health.state),
            reason: said(it.health.reason),
            description: said(it.health.description),
        }
    }
}

impl Aws {
    /// The target groups that a load balancer sends to.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn target_groups(&self, load_balancer: &Arn) -> Result<Vec<TargetGroup>> {
        self.pages_of::<TargetGroups>(load_balancer, "DescribeTargetGroups", "LoadBalancerArn")
            .await
    }

    /// What is set on a target group, such as `deregistration_delay.timeout_seconds`.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn target_group_attributes(&self, group: &Arn) -> Result<Attributes> {
        self.attributes("DescribeTargetGroupAttributes", "TargetGroupArn", group).await
    }

    /// How every target of a group is, the draining ones included.
    ///
    /// # Errors
    /// When the group is not there, or the call fails.
    pub async fn target_health(&self, group: &Arn) -> Result<Vec<TargetHealth>> {
        let form = Form::default().field("TargetGroupArn", group);
        let health: Health = self.about(group, "DescribeTargetHealth", &form).await?;
        let described = health.result.descriptions.member;
        Ok(described.into_iter().map(TargetHealth::from).collect())
    }
}
