//! An account of the AWS for tests, and what a test makes in it.

use landfall_aws::{Arn, Aws, Keys, Settings};
use landfall_model::Secret;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const REGION: &str = "eu-west-1";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub struct Bed {
    pub url: String,
    pub account: String,
    http: reqwest::Client,
}

impl Bed {
    /// A new account, or nothing where no AWS was started.
    pub async fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let Ok(url) = std::env::var("LANDFALL_TEST_AWS") else {
            println!("skipped: {test} needs LANDFALL_TEST_AWS, see scripts/aws.sh");
            return None;
        };
        // The AWS may have seen earlier runs of the same tests.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        let number = now % 10_000_000_000 * 100 + u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let bed = Self { url, account: format!("{:012}", number % 1_000_000_000_000), http };
        bed.steer("sign", json!({ "key": bed.key(), "secret": SECRET })).await;
        Some(bed)
    }

    pub fn key(&self) -> String {
        format!("AKIA{}", self.account)
    }

    pub fn settings(&self) -> Settings {
        Settings {
            region: Some(REGION.parse().expect("a region")),
            endpoint: Some(self.url.clone()),
            keys: Some(Keys {
                access_key: self.key(),
                secret_key: Secret::new(SECRET),
                session: None,
            }),
            ..Settings::default()
        }
    }

    pub async fn aws(&self) -> Aws {
        Aws::connect(self.settings()).await.expect("a connection")
    }

    /// With little patience.
    pub async fn hasty(&self, deadline: Duration) -> Aws {
        let settings = Settings { deadline: Some(deadline), ..self.settings() };
        Aws::connect(settings).await.expect("a connection")
    }

    pub async fn steer(&self, what: &str, given: Value) -> Value {
        let url = format!("{}/testbed/{what}", self.url);
        let answer = self.http.post(url).body(given.to_string()).send().await.expect("an answer");
        let text = answer.text().await.expect("a text");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text}"))
    }

    pub async fn set(&self, mut given: Value) {
        given["account"] = Value::from(self.account.as_str());
        self.steer("set", given).await;
    }

    pub async fn fault(&self, action: &str, mut given: Value) {
        given["account"] = Value::from(self.account.as_str());
        given["action"] = Value::from(action);
        self.steer("fault", given).await;
    }

    /// The calls of the crate, not of the test.
    pub async fn calls(&self, action: &str) -> Vec<Value> {
        let lines = self.steer("calls", json!({ "account": self.account })).await;
        let lines = lines.as_array().expect("lines").clone();
        lines
            .into_iter()
            .filter(|it| it["key"] == self.key().as_str() && it["action"] == action)
            .collect()
    }

    /// A call of the test itself, with a key whose signatures nobody checks.
    pub async fn form(&self, service: &str, fields: &[(&str, &str)]) -> String {
        let (good, text) = self.sent(service, fields).await;
        assert!(good, "{fields:?}: {text}");
        text
    }

    /// The code with which a call of the test is refused.
    pub async fn refused(&self, service: &str, fields: &[(&str, &str)]) -> String {
        let (good, text) = self.sent(service, fields).await;
        assert!(!good, "{fields:?}: {text}");
        inside(&text, "Code")
    }

    async fn sent(&self, service: &str, fields: &[(&str, &str)]) -> (bool, String) {
        let version = if service == "ec2" { "2016-11-15" } else { "2015-12-01" };
        let mut url = reqwest::Url::parse("http://form/").expect("a URL");
        url.query_pairs_mut().extend_pairs(fields).append_pair("Version", version);
        let request = self
            .http
            .post(&self.url)
            .header("authorization", self.authorization(service))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(url.query().expect("a query").to_owned());
        let answer = request.send().await.expect("an answer");
        (answer.status().is_success(), answer.text().await.expect("a text"))
    }

    pub async fn post(&self, service: &str, path: &str, body: Value) -> Value {
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("authorization", self.authorization(service))
            .header("content-type", "application/json")
            .body(body.to_string());
        let text = request.send().await.expect("an answer").text().await.expect("a text");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    fn authorization(&self, service: &str) -> String {
        let scope = format!("TEST{}/20260101/{REGION}/{service}/aws4_request", self.account);
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
    }

    pub async fn elb(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let mut all = vec![("Action", action)];
        all.extend(fields);
        self.form("elasticloadbalancing", &all).await
    }

    /// A subnet of the account's own network, and that network.
    pub async fn subnet(&self) -> (String, String) {
        let text = self.form("ec2", &[("Action", "DescribeSubnets")]).await;
        (inside(&text, "subnetId"), inside(&text, "vpcId"))
    }

    pub async fn load_balancer(&self, name: &str) -> Arn {
        let (subnet, _) = self.subnet().await;
        let fields = [
            ("Name", name),
            ("Type", "network"),
            ("Scheme", "internal"),
            ("Subnets.member.1", subnet.as_str()),
            ("Tags.member.1.Key", "landfall/stack"),
            ("Tags.member.1.Value", name),
        ];
        arn(&self.elb("CreateLoadBalancer", &fields).await, "LoadBalancerArn")
    }

    pub async fn target_group(&self, name: &str) -> Arn {
        let (_, vpc) = self.subnet().await;
        let fields = [
            ("Name", name),
            ("Protocol", "TCP"),
            ("Port", "8080"),
            ("VpcId", vpc.as_str()),
            ("TargetType", "ip"),
            ("HealthCheckProtocol", "HTTP"),
            ("HealthCheckPath", "/healthy"),
        ];
        arn(&self.elb("CreateTargetGroup", &fields).await, "TargetGroupArn")
    }

    pub async fn listener(
        &self,
        balancer: &Arn,
        group: &Arn,
        port: u16,
        more: &[(&str, &str)],
    ) -> Arn {
        let (balancer, group, port) = (balancer.to_string(), group.to_string(), port.to_string());
        let mut fields = vec![
            ("LoadBalancerArn", balancer.as_str()),
            ("Port", port.as_str()),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", group.as_str()),
        ];
        fields.extend(more);
        arn(&self.elb("CreateListener", &fields).await, "ListenerArn")
    }
}

/// The text of the first element of a name.
pub fn inside(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let rest = xml.split_once(&open).unwrap_or_else(|| panic!("no {name} in {xml}")).1;
    rest.split_once(&close).expect("an end").0.to_owned()
}

pub fn arn(xml: &str, name: &str) -> Arn {
    inside(xml, name).parse().expect("an ARN")
}
