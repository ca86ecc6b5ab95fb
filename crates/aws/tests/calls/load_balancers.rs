use crate::bed::Bed;
use crate::certificates::{ecdsa, new, rsa};
use landfall_aws::{Attributes, AwsError};
use rcgen::RsaKeySize;
use serde_json::json;

#[tokio::test]
async fn the_caller_is_known() {
    let Some(bed) = Bed::new("the_caller_is_known").await else { return };
    let caller = bed.aws().await.caller().await.expect("a caller");
    assert_eq!(caller.account, bed.account);
    assert_eq!((caller.arn.service(), caller.arn.region()), ("sts", None));
}

#[tokio::test]
async fn a_load_balancer_is_found_by_name_and_by_host() {
    let Some(bed) = Bed::new("a_load_balancer_is_found_by_name_and_by_host").await else { return };
    bed.set(json!({ "active_after": 0.5 })).await;
    let arn = bed.load_balancer("web").await;
    let aws = bed.aws().await;
    let found = aws.load_balancer("web").await.expect("a load balancer");
    assert_eq!(
        (&found.arn, found.kind.as_str(), found.scheme.as_str()),
        (&arn, "network", "internal")
    );
    assert_eq!(found.state, "provisioning");
    assert!(found.vpc.starts_with("vpc-"), "{found:?}");
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let host = format!("{}.", found.dns_name.to_uppercase());
    let again = aws.load_balancer_at(&host).await.expect("a listing").expect("a load balancer");
    assert_eq!((&again.arn, again.state.as_str()), (&arn, "active"));
    assert_eq!(aws.load_balancer_at("elsewhere.example.com").await.expect("a listing"), None);
    let attributes = aws.load_balancer_attributes(&arn).await.expect("attributes");
    assert_eq!(attributes["load_balancing.cross_zone.enabled"], "false");
}

#[tokio::test]
async fn load_balancers_and_their_tags_come_in_pages() {
    let Some(bed) = Bed::new("load_balancers_and_their_tags_come_in_pages").await else { return };
    let mut made = Vec::new();
    // moto's own pages have fifty.
    for number in 0..52 {
        made.push(bed.load_balancer(&format!("many-{number}")).await);
    }
    let aws = bed.aws().await;
    let listed = aws.load_balancers().await.expect("a listing");
    assert_eq!(listed.len(), 52);
    assert_eq!(bed.calls("DescribeLoadBalancers").await.len(), 2);
    let tags = aws.tags(&made).await.expect("tags");
    assert_eq!(bed.calls("DescribeTags").await.len(), 3);
    assert_eq!(tags.len(), 52);
    assert_eq!(tags[&made[51]]["landfall/stack"], "many-51");
    assert!(aws.tags(&[]).await.expect("no tags").is_empty());
}

#[tokio::test]
async fn listeners_show_certificates_policy_and_groups_as_they_change() {
    let Some(bed) = Bed::new("listeners_show_certificates_policy_and_groups_as_they_change").await
    else {
        return;
    };
    let aws = bed.aws().await;
    let (balancer, group) = (bed.load_balancer("web").await, bed.target_group("web").await);
    let mut certificates = Vec::new();
    for name in ["a.example.com", "b.example.com"] {
        certificates
            .push(aws.import_certificate(&new(&[name], &ecdsa())).await.expect("an import"));
    }
    let (first, second) = (certificates[0].to_string(), certificates[1].to_string());
    let policy = "ELBSecurityPolicy-TLS13-1-2-2021-06";
    let fields = [
        ("Protocol", "TLS"),
        ("SslPolicy", policy),
        ("AlpnPolicy.member.1", "HTTP2Preferred"),
        ("Certificates.member.1.CertificateArn", first.as_str()),
    ];
    let listener = bed.listener(&balancer, &group, 443, &fields).await;
    bed.listener(&balancer, &group, 80, &[("Protocol", "TCP")]).await;

    // Every listing in pages of one.
    bed.set(json!({ "page_size": 1 })).await;
    let listeners = aws.listeners(&balancer).await.expect("listeners");
    assert_eq!(bed.calls("DescribeListeners").await.len(), 2);
    let (tls, tcp) = (&listeners[0], &listeners[1]);
    assert_eq!(
        (tls.port, tls.protocol.as_str(), tls.policy.as_deref()),
        (443, "TLS", Some(policy))
    );
    assert_eq!(tls.default_certificate.as_ref(), Some(&certificates[0]));
    assert_eq!(tls.alpn.as_deref(), Some("HTTP2Preferred"));
    assert_eq!(tls.target_groups, std::slice::from_ref(&group));
    assert_eq!(
        (tcp.port, &tcp.policy, &tcp.default_certificate, &tcp.alpn),
        (80, &None, &None, &None)
    );

    let text = listener.to_string();
    let added = [("ListenerArn", text.as_str()), ("Certificates.member.1.CertificateArn", &second)];
    bed.elb("AddListenerCertificates", &added).await;
    let listed = aws.listener_certificates(&listener).await.expect("certificates");
    let listed: Vec<_> = listed.iter().map(|it| (it.arn.clone(), it.default)).collect();
    assert_eq!(listed, [(certificates[0].clone(), true), (certificates[1].clone(), false)]);

    let newer = "ELBSecurityPolicy-TLS13-1-3-2021-06";
    let edit = [
        ("ListenerArn", text.as_str()),
        ("SslPolicy", newer),
        ("Certificates.member.1.CertificateArn", second.as_str()),
    ];
    bed.elb("ModifyListener", &edit).await;
    let edited = &aws.listeners(&balancer).await.expect("listeners")[0];
    assert_eq!(edited.policy.as_deref(), Some(newer));
    assert_eq!(edited.default_certificate.as_ref(), Some(&certificates[1]));

    let attributes = aws.listener_attributes(&listener).await.expect("attributes");
    let idle = Attributes::from([("tcp.idle_timeout.seconds".to_owned(), "350".to_owned())]);
    assert_eq!(attributes, idle);
}

#[tokio::test]
async fn policies_come_in_pages() {
    let Some(bed) = Bed::new("policies_come_in_pages").await else { return };
    bed.set(json!({ "page_size": 7 })).await;
    let policies = bed.aws().await.tls_policies().await.expect("policies");
    let unique: std::collections::BTreeSet<_> = policies.iter().collect();
    assert_eq!(unique.len(), policies.len());
    for name in ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS13-1-3-2021-06"] {
        assert!(policies.iter().any(|it| it == name), "{name}");
    }
    assert_eq!(bed.calls("DescribeSSLPolicies").await.len(), policies.len().div_ceil(7));
}

#[tokio::test]
async fn what_is_not_there_says_what_and_where() {
    let Some(bed) = Bed::new("what_is_not_there_says_what_and_where").await else { return };
    let aws = bed.aws().await;
    let balancer = bed.load_balancer("here").await;
    for error in [
        aws.load_balancer("nowhere").await.expect_err("no such name"),
        // The name is right, and the region is not.
        aws.in_region("us-west-2".parse().expect("a region"))
            .load_balancer("here")
            .await
            .expect_err("wrong"),
        aws.listeners(
            &"arn:aws:elasticloadbalancing:eu-west-1:1:x"
                .replace(":1:", &format!(":{}:", bed.account))
                .parse()
                .expect("an ARN"),
        )
        .await
        .expect_err("no such ARN"),
        // An ARN is looked for where it says to be.
        aws.target_health(
            &balancer.to_string().replace("eu-west-1", "eu-north-1").parse().expect("an ARN"),
        )
        .await
        .expect_err("wrong"),
        aws.certificate(
            &format!("arn:aws:acm:us-east-1:{}:certificate/none", bed.account)
                .parse()
                .expect("an ARN"),
        )
        .await
        .expect_err("none"),
    ] {
        assert!(matches!(error, AwsError::NotFound { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("Check the name, the account and the region"), "{text}");
        assert!(!text.contains(".."), "{text}");
        println!("{text}");
    }
}

#[tokio::test]
async fn the_test_bed_refuses_what_aws_refuses() {
    let Some(bed) = Bed::new("the_test_bed_refuses_what_aws_refuses").await else { return };
    let aws = bed.aws().await;
    let (balancer, group) = (bed.load_balancer("web").await, bed.target_group("web").await);
    let large = new(&["a.example.com"], &rsa(RsaKeySize::_4096));
    let large = aws.import_certificate(&large).await.expect("ACM takes it").to_string();
    let small = aws
        .import_certificate(&new(&["a.example.com"], &ecdsa()))
        .await
        .expect("an import")
        .to_string();
    let made = |policy, certificate: String| {
        let (bed, balancer, group) = (&bed, balancer.clone(), group.clone());
        async move {
            let fields = [
                ("Protocol", "TLS"),
                ("SslPolicy", policy),
                ("Certificates.member.1.CertificateArn", certificate.as_str()),
                ("LoadBalancerArn", &balancer.to_string()),
                ("Port", "443"),
                ("DefaultActions.member.1.Type", "forward"),
                ("DefaultActions.member.1.TargetGroupArn", &group.to_string()),
                ("Action", "CreateListener"),
            ];
            bed.refused("elasticloadbalancing", &fields).await
        }
    };
    let good = "ELBSecurityPolicy-TLS13-1-2-2021-06";
    assert_eq!(made(good, large).await, "UnsupportedCertificate");
    assert_eq!(made("ELBSecurityPolicy-of-nobody", small.clone()).await, "SSLPolicyNotFound");
    let missing = small.replace("certificate/", "certificate/0");
    assert_eq!(made(good, missing).await, "CertificateNotFound");
}
