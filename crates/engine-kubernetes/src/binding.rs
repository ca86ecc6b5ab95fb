//! Target groups of NLBs: what a controller of AWS binds to a Service, and waiting for it.
//!
//! A pod gets a readiness gate only when the binding exists as it is made. Without one it counts as
//! ready minutes before the NLB sends to it, and its predecessor goes too early.

use crate::error;
use crate::events;
use crate::objects::is_nlb;
use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::core::v1::{Event as Said, Namespace, Service};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_of};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a controller may take to bind a target group: it makes an NLB, and does not wait until
/// that can be reached.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may try again after it said that it failed.
const FAILURE_PATIENCE: Duration = Duration::from_secs(5);

/// The controllers by the class of load balancer that they make: the API of their bindings, and the
/// label of a namespace whose pods get gates.
const CONTROLLERS: [(&str, &str, &str, &str); 2] = [
    ("service.k8s.aws/nlb", "elbv2.k8s.aws", "v1beta1", "elbv2.k8s.aws/pod-readiness-gate-inject"),
    (
        "eks.amazonaws.com/nlb",
        "eks.amazonaws.com",
        "v1",
        "eks.amazonaws.com/pod-readiness-gate-inject",
    ),
];

fn controller(service: &Service) -> (&'static str, &'static str, &'static str) {
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_deref());
    let found = CONTROLLERS.into_iter().find(|it| Some(it.0) == class);
    let (_, group, version, label) = found.unwrap_or(CONTROLLERS[0]);
    (group, version, label)
}

/// The bindings of the controller that makes a Service's NLB.
pub(crate) fn watch(
    client: &Client,
    namespace: &str,
    service: &Service,
) -> BoxStream<'static, watcher::Result<Event<DynamicObject>>> {
    let (group, version, _) = controller(service);
    let kind = GroupVersionKind::gvk(group, version, "TargetGroupBinding");
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    watch_of(api, watcher::Config::default()).default_backoff().boxed()
}

/// Whether it binds a target group to a Service.
pub(crate) fn binds(binding: &DynamicObject, service: &Service) -> bool {
    let to = &binding.data["spec"]["serviceRef"];
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    // Its port may be written as a number or by its name.
    let port = ports
        .into_iter()
        .flatten()
        .any(|port| to["port"].as_i64().is_none_or(|number| number == i64::from(port.port)));
    to["name"].as_str() == Some(&service.name_any())
        && port
        && binding.metadata.deletion_timestamp.is_none()
}

/// Waits, at most a minute, until a target group is bound to the Service; `Err` says in words why
/// it is not.
///
/// It ends sooner when the controller says that it failed and does not get further by itself, and
/// at once when pods of the namespace get no readiness gates.
pub(crate) async fn wait(client: &Client, namespace: &str, name: &str) -> Result<(), String> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let found = services.get_opt(name).await.map_err(|error| error::words(&error))?;
    let service = found.filter(is_nlb).ok_or_else(|| format!("the Service {name} is gone"))?;
    gates_are_asked_for(client, namespace, &service).await?;
    let said: Api<Said> = Api::namespaced(client.clone(), namespace);
    let of_it = format!("involvedObject.kind=Service,involvedObject.name={name}");
    let mut said =
        watch_of(said, watcher::Config::default().fields(&of_it)).default_backoff().boxed();
    let mut bindings = watch(client, namespace, &service);
    let mut why = "its controller does not answer; is the AWS Load Balancer Controller there?";
    let mut events = BTreeMap::new();
    let mut failed: Option<String> = None;
    let deadline = Instant::now() + PATIENCE;
    let mut until = deadline;
    loop {
        tokio::select! {
            change = bindings.next() => match change {
                Some(Ok(Event::Apply(it) | Event::InitApply(it))) if binds(&it, &service) => {
                    return Ok(());
                }
                Some(Err(_)) => why = "the cluster does not list TargetGroupBindings: is the AWS Load Balancer Controller installed, and may we list them?",
                _ => {}
            },
            Some(change) = said.next() => {
                let Ok(Event::Apply(event) | Event::InitApply(event)) = change else { continue };
                events.insert(event.name_any(), event);
                let before = failed.is_some();
                failed = events::failure(events.values(), &service);
                until = match (&failed, before) {
                    (None, _) => deadline,
                    (Some(_), false) => deadline.min(Instant::now() + FAILURE_PATIENCE),
                    (Some(_), true) => until,
                };
            }
            () = tokio::time::sleep_until(until) => {
                let why = failed.unwrap_or_else(|| why.to_owned());
                return Err(format!("the NLB of {name} has no target group yet: {why}"));
            }
        }
    }
}

/// Whether pods of the namespace get readiness gates. Who may not read namespaces does not know,
/// and finds out by the pods.
async fn gates_are_asked_for(
    client: &Client,
    namespace: &str,
    service: &Service,
) -> Result<(), String> {
    let all: Api<Namespace> = Api::all(client.clone());
    let Ok(Some(found)) = all.get_opt(namespace).await else { return Ok(()) };
    let (_, _, label) = controller(service);
    if found.labels().get(label).is_some_and(|it| it == "enabled") {
        return Ok(());
    }
    Err(format!(
        "pods of the namespace {namespace} get no readiness gates: run `kubectl label namespace {namespace} {label}=enabled`"
    ))
}
