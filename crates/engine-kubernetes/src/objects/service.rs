//! A listener as a Service whose selector says which group gets its traffic.

use super::deployment::meta;
use super::names::part_name;
use super::nlb::{self, Made};
use super::{Kind, Object, WEIGHTS, labels, pod, selector};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use landfall_model::{
    Desired, GroupId, ListenerName, ListenerState, Millis, Nlb, Provider, Route, ServiceKind,
    ServiceName,
};
use std::collections::BTreeMap;

/// The annotation with the listener's name.
pub(crate) const LISTENER: &str = "landfall.dev/listener";

pub(super) fn listener(
    desired: &Desired,
    name: &ListenerName,
    state: &ListenerState,
    made: &BTreeMap<GroupId, Made>,
) -> Option<Object> {
    let Route::To(service) = &state.listener.route else { return None };
    let named = part_name(&desired.stack, name.as_str());
    let balancer = state.listener.balancer.as_ref();
    let mut annotations = balancer.map(|it| it.annotations.clone()).unwrap_or_default();
    let spec = match balancer.map(|it| &it.provider) {
        Some(Provider::AwsNlb(nlb)) => {
            let leading = nlb::leading(desired, state, service).map(|(_, group)| &group.service);
            let drain = shortest_drain(service, made);
            annotations = nlb::annotations(state, nlb, leading, drain);
            balanced(desired, state, service, nlb)
        }
        Some(Provider::Service { kind, node_port }) => {
            plain(desired, state, service, (*kind, *node_port))
        }
        None => plain(desired, state, service, (ServiceKind::ClusterIp, None)),
    };
    let weights = serde_json::to_string(&state.weights).unwrap_or_default();
    annotations.extend([(WEIGHTS.to_owned(), weights), (LISTENER.to_owned(), name.to_string())]);
    let mut metadata = meta(&named, labels::of_service(&desired.stack, service));
    metadata.annotations = Some(annotations);
    let object = Service { metadata, spec: Some(spec), status: None };
    Some(Object::new(Kind::Service, &named, &object))
}

fn plain(
    desired: &Desired,
    state: &ListenerState,
    service: &ServiceName,
    (kind, node_port): (ServiceKind, Option<u16>),
) -> ServiceSpec {
    let groups: Vec<&GroupId> =
        state.weights.iter().filter(|(_, weight)| **weight > 0).map(|(group, _)| group).collect();
    // One group is selected by its release, several by what they have in common; their shares are
    // then those of their ready pods. Nothing has release `none`.
    let release = match groups.as_slice() {
        [] => Some("none".to_owned()),
        [only] => Some(only.release.to_string()),
        _ => None,
    };
    let target = groups.iter().find_map(|id| desired.groups.get(*id));
    let mut port = port(state);
    port.node_port = node_port.map(i32::from);
    port.target_port = target.map(|group| IntOrString::Int(i32::from(pod::port(&group.service))));
    ServiceSpec {
        type_: Some(kind.word().into()),
        selector: Some(selector(&desired.stack, service, release)),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    }
}

/// The Service of an NLB. Its pods are reached by the name of their port, so releases with
/// different ports are targets side by side.
fn balanced(
    desired: &Desired,
    state: &ListenerState,
    service: &ServiceName,
    nlb: &Nlb,
) -> ServiceSpec {
    let mut port = port(state);
    port.target_port = Some(IntOrString::String("main".into()));
    ServiceSpec {
        type_: Some(ServiceKind::LoadBalancer.word().into()),
        load_balancer_class: Some(nlb.class.load_balancer_class().into()),
        // The NLB sends to pods, so nodes need no ports, and each pod is a target on its own.
        allocate_load_balancer_node_ports: Some(false),
        external_traffic_policy: Some("Cluster".into()),
        selector: Some(selector(&desired.stack, service, None)),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    }
}

fn port(state: &ListenerState) -> ServicePort {
    ServicePort {
        name: Some("main".into()),
        port: i32::from(state.listener.listen.port()),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

/// A deregistration may take no longer than the pod that goes first serves on.
fn shortest_drain(service: &ServiceName, made: &BTreeMap<GroupId, Made>) -> Millis {
    let drains = made.iter().filter(|(id, _)| id.service == *service).map(|(_, made)| made.drain);
    drains.min().unwrap_or(Nlb::LEAST_DRAIN)
}
