//! Rollouts behind NLBs, against a real API server with fake nodes, a controller that does what the
//! AWS Load Balancer Controller 3.5.0 was seen to do with bindings, gates and events, and its
//! webhook. How long AWS takes is `nlb_simulation`'s.

mod bed;
mod controller;
mod webhook;

use crate::rollouts::{Writer, release};
use crate::world::World;
use bed::Bed;
use controller::Controller;
use k8s_openapi::api::core::v1::{Pod, Service as KubernetesService};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use landfall_engine::conformance::{Harness, Kind};
use landfall_model::{
    Balancer, Desired, Epoch, Fence, Group, Listener, ListenerState, Millis, Nlb, NlbAlpn,
    NlbClass, NlbScheme, Outcome, Provider, Release, Revision, Strategy, Verb,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use webhook::Webhook;

const LABEL: (&str, &str) = ("elbv2.k8s.aws/pod-readiness-gate-inject", "enabled");
const IMAGE: &str = "testbed.local/app:1";

/// One cluster for all of them: each has a namespace of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_an_nlb() {
    let Some(bed) = Bed::up("behind_an_nlb") else { return };
    let client = crate::world::connect(&bed.kubeconfig()).await;
    controller::install(&client).await;
    let _webhook = Webhook::start(&client).await;
    let cases = [
        tokio::spawn(nothing_is_taken_away_before_its_successor_is_healthy(client.clone())),
        tokio::spawn(what_aws_refuses_is_undone_with_its_words(client.clone())),
        tokio::spawn(pods_wait_for_the_label_of_their_namespace(client.clone())),
        tokio::spawn(pods_without_gates_end_a_rollout(client.clone())),
        tokio::spawn(the_reason_of_a_sick_target_is_shown(client.clone())),
        tokio::spawn(another_class_is_another_service(client.clone())),
    ];
    for case in cases {
        case.await.expect("see above");
    }
}

/// A release whose listener is an NLB.
fn behind(world: &World, number: u64, change: impl Fn(&mut Release)) -> Arc<Release> {
    let mut made = Release::clone(&release(world, number, Strategy::Rolling, None));
    made.content
        .listeners
        .values_mut()
        .for_each(|it| it.balancer = Some(nlb(NlbClass::Controller)));
    change(&mut made);
    Arc::new(made)
}

fn nlb(class: NlbClass) -> Balancer {
    let nlb = Nlb { class, scheme: NlbScheme::Internal, alpn: NlbAlpn::None };
    Balancer { provider: Provider::AwsNlb(nlb), annotations: BTreeMap::new() }
}

async fn world(client: &Client, name: &str, labels: &[(&str, &str)]) -> World {
    World::within(client.clone(), name, IMAGE, labels).await
}

async fn pods(world: &World) -> Vec<Pod> {
    let pods: Api<Pod> = world.api();
    pods.list(&ListParams::default()).await.expect("a list").items
}

fn gates(pod: &Pod) -> usize {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_ref());
    gates.map_or(0, Vec::len)
}

async fn nothing_is_taken_away_before_its_successor_is_healthy(client: Client) {
    let world = world(&client, "forth", &[LABEL]).await;
    let controller = Controller::start(&world);
    // Longer than it takes until pods are wanted: they wait for the target group.
    controller.binds_after.store(8, Ordering::Relaxed);
    let mut writer = Writer::over(world).await;
    let (one, two) = (behind(&writer.world, 1, |_| {}), behind(&writer.world, 2, |_| {}));
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&one)).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    let first = pods(&writer.world).await;
    assert_eq!(first.iter().map(gates).collect::<Vec<_>>(), [1, 1], "{said}");
    controller.begin_to_count();
    let (outcome, said) = writer.roll_out(Verb::Up, Some(&one), Some(&two)).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    let second = pods(&writer.world).await;
    assert_eq!(second.iter().map(gates).collect::<Vec<_>>(), [1, 1], "{said}");
    let fewest = controller.fewest.load(Ordering::Relaxed);
    assert_eq!(fewest, 2, "as many healthy targets as before, all the while: {said}");
    assert_eq!(controller.groups_made(), 1, "one target group for both releases");
    let (outcome, said) = writer.roll_out(Verb::Down, Some(&two), None).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    writer.world.end().await;
}

async fn what_aws_refuses_is_undone_with_its_words(client: Client) {
    let world = world(&client, "refused", &[LABEL]).await;
    let _controller = Controller::start(&world);
    let mut writer = Writer::over(world).await;
    let tls = |policy: &str| {
        let policy = policy.to_owned();
        move |it: &mut Release| {
            for listener in it.content.listeners.values_mut() {
                listener.protocol = landfall_model::ListenerProtocol::Tls;
                listener.policy = Some(policy.clone());
            }
        }
    };
    let one = behind(&writer.world, 1, tls(Nlb::POLICY));
    let two = behind(&writer.world, 2, tls("ELBSecurityPolicy-Nonsense"));
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&one)).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    let (outcome, said) = writer.roll_out(Verb::Up, Some(&one), Some(&two)).await;
    assert_eq!(outcome, Outcome::Failed, "{said}");
    assert!(said.contains("FailedDeployModel") && said.contains("Nonsense"), "{said}");
    writer.world.end().await;
}

/// A desired state of two pods behind an NLB.
fn desired(world: &World, revision: u64, class: NlbClass, replicas: u16) -> Desired {
    let fence = Fence { epoch: Epoch(1), revision: Revision(revision) };
    let mut desired = Desired::nothing(world.stack(), fence);
    let group = Group { replicas, service: world.service(Kind::Good), drain: Millis(1000) };
    desired.groups.insert("web@1".parse().expect("a group"), group);
    let content = &release(world, 1, Strategy::Rolling, None).content;
    for (name, listener) in &content.listeners {
        let listener = Listener { balancer: Some(nlb(class)), ..listener.clone() };
        let state = ListenerState { listener, certificate: None, weights: BTreeMap::new() };
        desired.listeners.insert(name.clone(), state);
    }
    desired
}

async fn pods_wait_for_the_label_of_their_namespace(client: Client) {
    let world = world(&client, "unlabelled", &[]).await;
    let _controller = Controller::start(&world);
    let engine = world.open().await;
    let wanted = desired(&world, 1, NlbClass::Controller, 2);
    let refused = engine.apply(wanted.clone(), world.materials()).await;
    let words = refused.expect_err("no gates").to_string();
    assert!(words.contains("kubectl label namespace") && words.contains(LABEL.0), "{words}");
    assert_eq!(pods(&world).await.len(), 0);
    // The state counts as accepted, so that deadlines do, and says why it is not well.
    let said = world.reason(&engine, 1, &["kubectl label namespace"]).await;
    assert!(said.contains(LABEL.0), "{said}");
    world.label(LABEL).await;
    engine.apply(wanted, world.materials()).await.expect("applied");
    world.end().await;
}

async fn pods_without_gates_end_a_rollout(client: Client) {
    let world = world(&client, "ungated", &[LABEL, ("testbed/webhook", "stopped")]).await;
    let _controller = Controller::start(&world);
    let mut writer = Writer::over(world).await;
    let one = behind(&writer.world, 1, |_| {});
    let began = tokio::time::Instant::now();
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&one)).await;
    assert_eq!(outcome, Outcome::Failed, "{said}");
    assert!(said.contains("has no readiness gate of the NLB of shop-public"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(40), "before the deadline: {said}");
    writer.world.end().await;
}

async fn the_reason_of_a_sick_target_is_shown(client: Client) {
    let world = world(&client, "sick", &[LABEL]).await;
    let controller = Controller::start(&world);
    controller.sick.store(true, Ordering::Relaxed);
    let mut writer = Writer::over(world).await;
    let one = behind(&writer.world, 1, |it| it.content.rollout.deadline = Millis(8000));
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&one)).await;
    assert_eq!(outcome, Outcome::Failed, "{said}");
    assert!(said.contains("no healthy target") && said.contains("FailedHealthChecks"), "{said}");
    writer.world.end().await;
}

/// Kubernetes takes no change of a class.
async fn another_class_is_another_service(client: Client) {
    let world = world(&client, "class", &[LABEL]).await;
    let engine = world.open().await;
    let services: Api<KubernetesService> = world.api();
    let mut uids = Vec::new();
    for (revision, class) in [(1, NlbClass::Controller), (2, NlbClass::AutoMode)] {
        let wanted = desired(&world, revision, class, 0);
        engine.apply(wanted, world.materials()).await.expect("applied");
        let service = services.get("shop-public").await.expect("there");
        let is = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.clone());
        assert_eq!(is.as_deref(), Some(class.load_balancer_class()));
        uids.push(service.uid());
    }
    assert_ne!(uids[0], uids[1]);
    world.end().await;
}
