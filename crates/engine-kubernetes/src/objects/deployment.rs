//! A group as a Deployment, with its environment; a service's disruption budget.

use super::names::{group_name, part_name};
use super::nlb::{self, Made};
use super::{GROUP, Kind, Object, labels, pod, selector};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use landfall_model::{Group, GroupId, ServiceName, StackId};

/// The Deployment of a group. Its pods never change in place: another release is another group.
pub(super) fn group(stack: &StackId, id: &GroupId, group: &Group, made: &Made) -> Vec<Object> {
    let name = group_name(stack, id);
    let mut of_pods = labels::of_group(stack, id);
    of_pods.insert(GROUP.to_owned(), "serves".to_owned());
    let selected = selector(stack, &id.service, Some(id.release.to_string()));
    let run = pod::Run {
        stack,
        group: id,
        service: &group.service,
        command: &group.service.command,
        env: &pod::env_name(stack, id),
        made: Some(made),
    };
    let spec = DeploymentSpec {
        replicas: Some(i32::from(group.replicas)),
        revision_history_limit: Some(1),
        min_ready_seconds: (!made.balancers.is_empty()).then_some(nlb::SETTLED),
        selector: LabelSelector { match_labels: Some(selected), ..LabelSelector::default() },
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateDeployment {
                max_unavailable: Some(IntOrString::Int(0)),
                max_surge: Some(IntOrString::Int(1)),
            }),
        }),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(of_pods), ..ObjectMeta::default() }),
            spec: Some(pod::spec(&run)),
        },
        ..DeploymentSpec::default()
    };
    let mut metadata = meta(&name, labels::of_group(stack, id));
    metadata.annotations = Some(made.annotations());
    let deployment = Deployment { metadata, spec: Some(spec), status: None };
    let env = pod::environment(&name, labels::of_group(stack, id), &group.service);
    vec![
        Object::new(Kind::ConfigMap, &name, &env),
        Object::new(Kind::Deployment, &name, &deployment),
    ]
}

/// One pod at a time may be taken away by whoever empties nodes, when there are several.
pub(super) fn budget(stack: &StackId, service: &ServiceName, replicas: u16) -> Option<Object> {
    if replicas < 2 {
        return None;
    }
    let name = part_name(stack, service.as_str());
    let budget = PodDisruptionBudget {
        metadata: meta(&name, labels::of_service(stack, service)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(stack, service, None)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    Some(Object::new(Kind::PodDisruptionBudget, &name, &budget))
}

pub(super) fn meta(name: &str, labels: std::collections::BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}
