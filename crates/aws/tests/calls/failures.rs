use crate::bed::Bed;
use landfall_aws::{AwsError, Keys, Settings};
use landfall_model::Secret;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ACTION: &str = "DescribeLoadBalancers";

/// What a listing of load balancers gives after a fault, and how many calls it took.
async fn after(bed: &Bed, fault: Value) -> (Result<usize, AwsError>, usize) {
    let before = bed.calls(ACTION).await.len();
    bed.fault(ACTION, fault).await;
    let listed = bed.aws().await.load_balancers().await.map(|it| it.len());
    (listed, bed.calls(ACTION).await.len() - before)
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let Some(bed) = Bed::new("what_may_pass_is_tried_again").await else { return };
    for fault in [
        json!({ "kind": "refuse", "code": "Throttling", "times": 2 }),
        json!({ "kind": "refuse", "code": "InternalFailure", "status": 500, "times": 2 }),
        json!({ "kind": "page", "status": 503, "body": "<html>busy</html>", "times": 2 }),
        json!({ "kind": "reset", "times": 2 }),
        json!({ "kind": "end", "times": 2 }),
    ] {
        let (listed, calls) = after(&bed, fault.clone()).await;
        assert_eq!((listed, calls), (Ok(0), 3), "{fault}");
    }
}

#[tokio::test]
async fn tries_end_after_four() {
    let Some(bed) = Bed::new("tries_end_after_four").await else { return };
    let (throttled, calls) =
        after(&bed, json!({ "kind": "refuse", "code": "Throttling", "times": 4 })).await;
    let Err(AwsError::Throttled { code, tries: 4, .. }) = &throttled else {
        panic!("{throttled:?}")
    };
    assert_eq!((code.as_str(), calls), ("Throttling", 4));
    let (broken, calls) = after(&bed, json!({ "kind": "reset", "times": 4 })).await;
    let Err(AwsError::Unreachable { endpoint, .. }) = &broken else { panic!("{broken:?}") };
    assert_eq!((endpoint, calls), (&bed.url, 4));
    let page = json!({ "kind": "page", "status": 502, "body": "<html>no</html>", "times": 4 });
    let (busy, calls) = after(&bed, page).await;
    let Err(AwsError::Service { status: 502, message, .. }) = &busy else { panic!("{busy:?}") };
    assert_eq!((message.as_str(), calls), ("<html>no</html>", 4));
}

#[tokio::test]
async fn what_cannot_pass_is_said_at_once() {
    let Some(bed) = Bed::new("what_cannot_pass_is_said_at_once").await else { return };
    let refuse =
        |code: &str, status: u16| json!({ "kind": "refuse", "code": code, "status": status });
    for (fault, said) in [
        (refuse("AccessDenied", 403), "Allow `elasticloadbalancing:DescribeLoadBalancers`"),
        (refuse("ExpiredToken", 403), "have expired"),
        (refuse("InvalidClientTokenId", 403), "Check the access key"),
        (refuse("RequestExpired", 400), "clock"),
        (refuse("ValidationError", 400), "ValidationError (status 400)"),
        (json!({ "kind": "cut" }), "cannot be read"),
        (json!({ "kind": "page", "status": 200, "body": "<html>log in</html>" }), "cannot be read"),
        (json!({ "kind": "page", "status": 200, "body": "" }), "cannot be read"),
        (json!({ "kind": "flood", "bytes": 5_000_000 }), "longer than 4194304 bytes"),
    ] {
        let (listed, calls) = after(&bed, fault.clone()).await;
        let text = listed.expect_err("a fault").to_string();
        println!("{text}");
        assert!(text.contains(said), "{fault}: {text}");
        assert!(text.contains("in eu-west-1"), "{text}");
        assert_eq!(calls, 1, "{fault}");
    }
}

#[tokio::test]
async fn json_services_say_the_same() {
    let Some(bed) = Bed::new("json_services_say_the_same").await else { return };
    let aws = bed.aws().await;
    let refuse = |code: &str| json!({ "kind": "refuse", "code": code });
    bed.fault("DescribeCluster", refuse("AccessDeniedException")).await;
    let denied = aws.cluster("shop").await.expect_err("denied");
    assert!(denied.to_string().contains("Allow `eks:DescribeCluster`"), "{denied}");
    bed.fault("ListCertificates", refuse("ExpiredTokenException")).await;
    let expired = aws.certificates().await.expect_err("expired");
    assert!(matches!(expired, AwsError::Expired { .. }), "{expired}");
    bed.fault("ListCertificates", json!({ "kind": "cut" })).await;
    let cut = aws.certificates().await.expect_err("cut");
    assert!(matches!(cut, AwsError::Unreadable { .. }), "{cut}");
}

#[tokio::test]
async fn a_slow_answer_meets_the_deadline() {
    let Some(bed) = Bed::new("a_slow_answer_meets_the_deadline").await else { return };
    let aws = bed.hasty(Duration::from_millis(700)).await;
    bed.fault(ACTION, json!({ "kind": "delay", "seconds": 2 })).await;
    let began = Instant::now();
    let late = aws.load_balancers().await.expect_err("too late");
    assert!(matches!(late, AwsError::Timeout { .. }), "{late}");
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert!(late.to_string().contains("within 0.7 s"), "{late}");
    // The deadline is over all tries, and what was heard is worth more than that it is over.
    bed.fault(ACTION, json!({ "kind": "refuse", "code": "Throttling", "times": 9 })).await;
    let throttled = aws.load_balancers().await.expect_err("throttled");
    assert!(matches!(throttled, AwsError::Throttled { .. }), "{throttled}");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_never_said() {
    let Some(bed) = Bed::new("a_wrong_secret_is_refused_and_never_said").await else { return };
    let keys = Keys {
        access_key: bed.key(),
        secret_key: Secret::new("not-the-secret"),
        session: Some(Secret::new("the-session-token")),
    };
    let settings = Settings { keys: Some(keys), ..bed.settings() };
    assert!(!format!("{settings:?}").contains("not-the-secret"));
    let aws = landfall_aws::Aws::connect(settings).await.expect("a connection");
    // The bed recites the request, as AWS does, and the request has the session's token.
    let refused = aws.caller().await.expect_err("a wrong signature");
    let AwsError::Denied { code, .. } = &refused else { panic!("{refused}") };
    assert_eq!(code, "SignatureDoesNotMatch");
    let all = format!("{refused} {refused:?} {aws:?}");
    for secret in ["not-the-secret", "the-session-token"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let keys =
        Keys { access_key: "AKIDEXAMPLE".to_owned(), secret_key: Secret::new("s"), session: None };
    let settings = Settings {
        region: Some("eu-west-1".parse().expect("a region")),
        endpoint: Some(url.clone()),
        keys: Some(keys),
        ..Settings::default()
    };
    let aws = landfall_aws::Aws::connect(settings).await.expect("a connection");
    let error = aws.caller().await.expect_err("nobody");
    let AwsError::Unreachable { endpoint, why, .. } = &error else { panic!("{error}") };
    assert_eq!(endpoint, &url);
    assert!(why.to_lowercase().contains("refused"), "{why}");
}
