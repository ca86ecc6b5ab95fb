//! A listener as a Service whose selector says which group gets its traffic.

use super::deployment::meta;
use super::names::part_name;
use super::{Kind, Object, WEIGHTS, labels, selector};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use landfall_model::{GroupId, ListenerName, ListenerState, Provider, Route, ServiceKind, StackId};
use std::collections::BTreeMap;

/// The annotation with the listener's name.
pub(crate) const LISTENER: &str = "landfall.dev/listener";

pub(super) fn listener(
    stack: &StackId,
    name: &ListenerName,
    state: &ListenerState,
    ports: &BTreeMap<GroupId, u16>,
) -> Option<Object> {
    let Route::To(service) = &state.listener.route else { return None };
    let named = part_name(stack, name.as_str());
    let groups: Vec<&GroupId> =
        state.weights.iter().filter(|(_, weight)| **weight > 0).map(|(group, _)| group).collect();
    // One group is selected by its release, several by what they have in common; their shares are
    // then those of their ready pods. Nothing has release `none`.
    let release = match groups.as_slice() {
        [] => Some("none".to_owned()),
        [only] => Some(only.release.to_string()),
        _ => None,
    };
    let target = groups.iter().find_map(|group| ports.get(*group)).copied();
    let mut metadata = meta(&named, labels::of_service(stack, service));
    let weights = serde_json::to_string(&state.weights).unwrap_or_default();
    let balancer = state.listener.balancer.as_ref();
    let mut annotations = balancer.map(|it| it.annotations.clone()).unwrap_or_default();
    annotations.extend([(WEIGHTS.to_owned(), weights), (LISTENER.to_owned(), name.to_string())]);
    metadata.annotations = Some(annotations);
    let (kind, node_port) = match balancer.map(|it| &it.provider) {
        Some(Provider::Service { kind, node_port }) => (*kind, *node_port),
        Some(Provider::AwsNlb(_)) => (ServiceKind::LoadBalancer, None),
        None => (ServiceKind::ClusterIp, None),
    };
    let object = Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(kind.word().into()),
            selector: Some(selector(stack, service, release)),
            ports: Some(vec![ServicePort {
                name: Some("main".into()),
                port: i32::from(state.listener.listen.port()),
                protocol: Some("TCP".into()),
                node_port: node_port.map(i32::from),
                target_port: target.map(|port| IntOrString::Int(i32::from(port))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Some(Object::new(Kind::Service, &named, &object))
}
