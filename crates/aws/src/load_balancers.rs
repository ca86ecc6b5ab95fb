//! Load balancers, and what every resource around them has: tags and attributes.

use crate::arn::Arn;
use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::Result;
use crate::query::{Form, Members, Page};
use crate::region::Region;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Attributes by key, as AWS spells both.
pub type Attributes = BTreeMap<String, String>;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// At most this many resources in one question for tags.
const TAGGED: usize = 20;

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoadBalancer {
    /// Its ARN.
    #[serde(rename = "LoadBalancerArn")]
    pub arn: Arn,
    /// Its name, unique in the account and region.
    #[serde(rename = "LoadBalancerName")]
    pub name: String,
    /// The host that clients look up.
    #[serde(rename = "DNSName", default)]
    pub dns_name: String,
    /// `network`, `application` or `gateway`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `internal` or `internet-facing`.
    #[serde(rename = "Scheme", default)]
    pub scheme: String,
    /// `provisioning`, `active`, `active_impaired` or `failed`.
    #[serde(rename = "State", deserialize_with = "code")]
    pub state: String,
    /// Its network.
    #[serde(rename = "VpcId", default)]
    pub vpc: String,
}

fn code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct State {
        #[serde(rename = "Code", default)]
        code: String,
    }
    Ok(State::deserialize(deserializer)?.code)
}

#[derive(Deserialize)]
struct LoadBalancers {
    #[serde(rename = "DescribeLoadBalancersResult")]
    result: LoadBalancersResult,
}

#[derive(Deserialize)]
struct LoadBalancersResult {
    #[serde(rename = "LoadBalancers", default)]
    load_balancers: Members<LoadBalancer>,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

impl Page for LoadBalancers {
    type Item = LoadBalancer;
    fn parts(self) -> (Vec<LoadBalancer>, Option<String>) {
        (self.result.load_balancers.member, self.result.next)
    }
}

#[derive(Deserialize)]
struct Pair {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value", default)]
    value: String,
}

#[derive(Deserialize)]
struct Attributed {
    #[serde(
        rename = "DescribeLoadBalancerAttributesResult",
        alias = "DescribeTargetGroupAttributesResult",
        alias = "DescribeListenerAttributesResult"
    )]
    result: AttributedResult,
}

#[derive(Deserialize)]
struct AttributedResult {
    #[serde(rename = "Attributes", default)]
    attributes: Members<Pair>,
}

#[derive(Deserialize)]
struct Tagged {
    #[serde(rename = "DescribeTagsResult")]
    result: TaggedResult,
}

#[derive(Deserialize)]
struct TaggedResult {
    #[serde(rename = "TagDescriptions", default)]
    descriptions: Members<TaggedResource>,
}

#[derive(Deserialize)]
struct TaggedResource {
    #[serde(rename = "ResourceArn")]
    arn: Arn,
    #[serde(rename = "Tags", default)]
    tags: Members<Pair>,
}

fn pairs(members: Members<Pair>) -> BTreeMap<String, String> {
    members.member.into_iter().map(|it| (it.key, it.value)).collect()
}

impl Aws {
    /// Every load balancer of the region.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn load_balancers(&self) -> Result<Vec<LoadBalancer>> {
        let form = Form::default();
        self.pages::<LoadBalancers>(&self.region, "DescribeLoadBalancers", form).await
    }

    /// The load balancer of a name.
    ///
    /// # Errors
    /// `NotFound` when there is none in the region, and when the call fails.
    pub async fn load_balancer(&self, name: &str) -> Result<LoadBalancer> {
        let action = "DescribeLoadBalancers";
        let form = Form::default().list("Names", &[name]);
        let found = self.pages::<LoadBalancers>(&self.region, action, form).await;
        let found = found.map_err(|error| error.naming(name))?;
        // The first is the only one: names are unique.
        found.into_iter().find(|it| it.name == name).ok_or_else(|| {
            let message = format!("no load balancer is named `{name}`");
            self.nothing(action, "LoadBalancerNotFound", message)
        })
    }

    /// The load balancer that a host name belongs to; none when it is no load balancer's in the
    /// region. It lists them all: AWS cannot be asked for this.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn load_balancer_at(&self, host: &str) -> Result<Option<LoadBalancer>> {
        let host = host.trim_end_matches('.');
        // A dual-stack name is the same load balancer's.
        let same = |it: &LoadBalancer| {
            let plain = host.strip_prefix("dualstack.").unwrap_or(host);
            !it.dns_name.is_empty() && it.dns_name.eq_ignore_ascii_case(plain)
        };
        Ok(self.load_balancers().await?.into_iter().find(same))
    }

    /// What is set on a load balancer, such as `load_balancing.cross_zone.enabled`.
    ///
    /// # Errors
    /// When it is not there, or the call fails.
    pub async fn load_balancer_attributes(&self, load_balancer: &Arn) -> Result<Attributes> {
        self.attributes("DescribeLoadBalancerAttributes", "LoadBalancerArn", load_balancer).await
    }

    /// The tags of load balancers, listeners and target groups of one region, by ARN.
    ///
    /// # Errors
    /// When one is not there, or the call fails.
    pub async fn tags(&self, resources: &[Arn]) -> Result<BTreeMap<Arn, Tags>> {
        let mut found = BTreeMap::new();
        for some in resources.chunks(TAGGED) {
            let region = self.region_of(&some[0]);
            let form = Form::default().list("ResourceArns", some);
            let tagged: Tagged =
                self.query(Service::LoadBalancing, region, "DescribeTags", &form).await?;
            let described = tagged.result.descriptions.member;
            found.extend(described.into_iter().map(|it| (it.arn, pairs(it.tags))));
        }
        Ok(found)
    }

    pub(crate) async fn attributes(
        &self,
        action: &'static str,
        field: &str,
        arn: &Arn,
    ) -> Result<Attributes> {
        let form = Form::default().field(field, arn);
        let attributed: Attributed = self.about(arn, action, &form).await?;
        Ok(pairs(attributed.result.attributes))
    }

    /// One call about a resource, in the resource's region.
    pub(crate) async fn about<T: DeserializeOwned>(
        &self,
        arn: &Arn,
        action: &'static str,
        form: &Form,
    ) -> Result<T> {
        let answer = self.query(Service::LoadBalancing, self.region_of(arn), action, form).await;
        answer.map_err(|error| error.naming(arn))
    }

    /// A listing of what belongs to a resource, in the resource's region.
    pub(crate) async fn pages_of<T: DeserializeOwned + Page>(
        &self,
        arn: &Arn,
        action: &'static str,
        field: &str,
    ) -> Result<Vec<T::Item>> {
        let form = Form::default().field(field, arn);
        let listed = self.pages::<T>(self.region_of(arn), action, form).await;
        listed.map_err(|error| error.naming(arn))
    }

    /// The region that a resource's ARN names: nowhere else is it known.
    pub(crate) fn region_of<'a>(&'a self, arn: &'a Arn) -> &'a Region {
        arn.region().unwrap_or(&self.region)
    }

    /// Says that an answer does not hold what was asked for.
    pub(crate) fn nothing(&self, action: &str, code: &str, message: String) -> crate::AwsError {
        let action = format!("{}:{action}", Service::LoadBalancing.name());
        let call = crate::Call { action, region: self.region.clone() };
        crate::AwsError::NotFound { call, code: code.to_owned(), message }
    }
}
