use crate::bed::{Bed, REGION, SECRET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall_aws::{Aws, AwsError, ClusterStatus, Keys, Settings};
use landfall_model::{Secret, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

#[tokio::test]
async fn a_cluster_is_described() {
    let Some(bed) = Bed::new("a_cluster_is_described").await else { return };
    let (subnet, vpc) = bed.subnet().await;
    let cluster = |name: &str, auto: bool| {
        json!({
            "name": name,
            "version": "1.35",
            "roleArn": format!("arn:aws:iam::{}:role/cluster", bed.account),
            "resourcesVpcConfig": { "subnetIds": [subnet] },
            "computeConfig": { "enabled": auto },
        })
    };
    bed.post("eks", "/clusters", cluster("plain", false)).await;
    bed.post("eks", "/clusters", cluster("auto_2", true)).await;
    let aws = bed.aws().await;
    let plain = aws.cluster("plain").await.expect("a cluster");
    assert_eq!((plain.name.as_str(), plain.version.as_str()), ("plain", "1.35"));
    assert_eq!((plain.status, plain.auto_mode), (ClusterStatus::Active, false));
    assert_eq!(plain.arn.resource(), "cluster/plain");
    assert_eq!(plain.vpc, Some(vpc));
    assert!(plain.endpoint.is_some_and(|it| it.starts_with("https://")));
    assert!(plain.authority.is_some_and(|it| it.len() > 100));
    assert!(aws.cluster("auto_2").await.expect("a cluster").auto_mode);
    for name in ["none", "a/b", "", "../plain"] {
        let missing = aws.cluster(name).await.expect_err("no such cluster");
        assert!(matches!(missing, AwsError::NotFound { .. }), "{missing}");
    }
}

/// The address in a token, and its parameters: their order says nothing.
fn opened(token: &str) -> (String, BTreeMap<String, String>) {
    let encoded = token.strip_prefix("k8s-aws-v1.").expect("the prefix");
    let address = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).expect("base64"));
    parts(&address.expect("a text"))
}

fn parts(address: &str) -> (String, BTreeMap<String, String>) {
    let url = reqwest::Url::parse(address).expect("a URL");
    let pairs = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned()));
    (format!("{}{}", url.origin().ascii_serialization(), url.path()), pairs.collect())
}

async fn connected(region: &str, session: Option<&str>) -> Aws {
    let keys = Keys {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Secret::new(SECRET),
        session: session.map(Secret::new),
    };
    let region = Some(region.parse().expect("a region"));
    let settings = Settings { region, keys: Some(keys), ..Settings::default() };
    Aws::connect(settings).await.expect("a connection")
}

#[tokio::test]
async fn a_token_is_what_the_aws_program_gives() {
    // Made by the token generator of awscli 1.45.11 with these keys and this clock.
    let aws = connected(REGION, None).await;
    let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let token = aws.eks_token_at("shop", now).await.expect("a token");
    assert_eq!(token.expires, Timestamp(1_790_000_840_000));
    assert_eq!(format!("{:?}", token.secret), "Secret(…)");
    let (place, fields) = opened(token.secret.expose());
    assert_eq!(place, "https://sts.eu-west-1.amazonaws.com/");
    let wanted = [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", "AKIDEXAMPLE/20260921/eu-west-1/sts/aws4_request"),
        ("X-Amz-Date", "20260921T141320Z"),
        ("X-Amz-Expires", "60"),
        ("X-Amz-SignedHeaders", "host;x-k8s-aws-id"),
        ("X-Amz-Signature", "687344816eb94f2d60422f228101c9d51101066d1bef05bc547766c20cf05bb6"),
    ];
    let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(fields, BTreeMap::from(wanted));
}

#[tokio::test]
async fn a_token_is_what_botocore_gives() {
    let Some(bed) = Bed::new("a_token_is_what_botocore_gives").await else { return };
    for (region, cluster, session) in [
        (REGION, "shop", None),
        ("cn-north-1", "shop_2", None),
        ("us-gov-west-1", "a-b", Some("FwoGZXIvYXdzE/+=x y")),
    ] {
        let seconds = 1_790_000_000_u64;
        let given = json!({
            "key": "AKIDEXAMPLE", "secret": SECRET, "session": session,
            "region": region, "cluster": cluster, "time": seconds,
        });
        let theirs = bed.steer("token", given).await;
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let ours = connected(region, session).await.eks_token_at(cluster, now).await;
        let ours = opened(ours.expect("a token").secret.expose());
        assert_eq!(ours, parts(theirs["token"].as_str().expect("an address")));
    }
}
