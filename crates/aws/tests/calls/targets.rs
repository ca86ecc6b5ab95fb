use crate::bed::Bed;
use landfall_aws::TargetState;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn targets_go_through_their_states() {
    let Some(bed) = Bed::new("targets_go_through_their_states").await else { return };
    bed.set(json!({ "healthy_after": 1.0, "drain_max": 1.0, "unhealthy": ["10.0.0.9"] })).await;
    let aws = bed.aws().await;
    let (balancer, group) = (bed.load_balancer("web").await, bed.target_group("web").await);
    let text = group.to_string();
    let register = async |action: &str, id: &str, port: &str| {
        let fields = [
            ("TargetGroupArn", text.as_str()),
            ("Targets.member.1.Id", id),
            ("Targets.member.1.Port", port),
        ];
        bed.elb(action, &fields).await
    };
    let states = async || {
        let health = aws.target_health(&group).await.expect("the health");
        let mut states: Vec<_> = health
            .into_iter()
            .map(|it| (it.id, it.port.unwrap_or(0), it.state, it.reason))
            .collect();
        states.sort_by_key(|it| (it.0.clone(), it.1));
        states
    };
    let is = |id: &str, port, state, reason: Option<&str>| {
        (id.to_owned(), port, state, reason.map(str::to_owned))
    };
    let starting = Some("Elb.RegistrationInProgress");

    assert_eq!(states().await, []);
    register("RegisterTargets", "10.0.0.7", "8080").await;
    assert_eq!(
        states().await,
        [is("10.0.0.7", 8080, TargetState::Unused, Some("Target.NotInUse"))]
    );
    bed.listener(&balancer, &group, 80, &[("Protocol", "TCP")]).await;
    register("RegisterTargets", "10.0.0.8", "8080").await;
    register("RegisterTargets", "10.0.0.8", "9090").await;
    register("RegisterTargets", "10.0.0.9", "8080").await;
    let now = states().await;
    assert_eq!(now[1], is("10.0.0.8", 8080, TargetState::Initial, starting));
    assert_eq!(
        now[3],
        is("10.0.0.9", 8080, TargetState::Unhealthy, Some("Target.FailedHealthChecks"))
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(states().await[2], is("10.0.0.8", 9090, TargetState::Healthy, None));

    register("DeregisterTargets", "10.0.0.8", "8080").await;
    let draining = Some("Target.DeregistrationInProgress");
    let now = states().await;
    assert_eq!(now[1], is("10.0.0.8", 8080, TargetState::Draining, draining));
    assert_eq!(now[2].2, TargetState::Healthy, "another port is another target");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(states().await.len(), 3);
}

#[tokio::test]
async fn target_groups_are_described_in_pages() {
    let Some(bed) = Bed::new("target_groups_are_described_in_pages").await else { return };
    bed.set(json!({ "page_size": 1 })).await;
    let aws = bed.aws().await;
    let balancer = bed.load_balancer("web").await;
    let (first, second) = (bed.target_group("one").await, bed.target_group("two").await);
    bed.listener(&balancer, &first, 80, &[("Protocol", "TCP")]).await;
    bed.listener(&balancer, &second, 81, &[("Protocol", "TCP")]).await;
    let groups = aws.target_groups(&balancer).await.expect("groups");
    assert_eq!(bed.calls("DescribeTargetGroups").await.len(), 2);
    assert_eq!(groups.iter().map(|it| &it.arn).collect::<Vec<_>>(), [&first, &second]);
    let group = &groups[0];
    assert_eq!((group.name.as_str(), group.protocol.as_str(), group.port), ("one", "TCP", 8080));
    assert_eq!((group.kind.as_str(), &group.load_balancers), ("ip", &vec![balancer]));
    let check = &group.health_check;
    assert_eq!((check.protocol.as_str(), check.path.as_deref()), ("HTTP", Some("/healthy")));
    assert!(check.interval_seconds > 0 && check.healthy_threshold > 0, "{check:?}");
    let attributes = aws.target_group_attributes(&first).await.expect("attributes");
    assert_eq!(attributes["deregistration_delay.timeout_seconds"], "300");
}
