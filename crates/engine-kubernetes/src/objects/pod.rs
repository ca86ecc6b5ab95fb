//! The pod of a service: what `restricted` Pod Security admits, with health and a calm end.

use super::names::group_name;
use super::nlb::Made;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, EnvVar,
    HTTPGetAction, Lifecycle, LifecycleHandler, PodSecurityContext, PodSpec, Probe,
    ResourceRequirements, SeccompProfile, SecurityContext, SleepAction, TCPSocketAction,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use landfall_model::{GroupId, Health, HealthCheck, Millis, Resources, Service, StackId};
use std::collections::BTreeMap;

/// The container's port when the file names none.
const PORT: u16 = 8080;
/// How long an instance that goes still serves, at least: endpoints take a moment to change on
/// every node.
const LEAST_DRAIN: i64 = 1;

/// The port that a service listens on.
pub(super) fn port(service: &Service) -> u16 {
    service.port.unwrap_or(PORT)
}

/// Whole seconds, and never less than one: Kubernetes knows no shorter time.
pub(super) fn seconds(time: Millis) -> i64 {
    i64::try_from(time.0.div_ceil(1000)).unwrap_or(i64::MAX).max(1)
}

fn seconds32(time: Millis) -> i32 {
    i32::try_from(seconds(time)).unwrap_or(i32::MAX)
}

/// What is run: the service's own command, or a hook's.
pub(super) struct Run<'a> {
    pub(super) stack: &'a StackId,
    pub(super) group: &'a GroupId,
    pub(super) service: &'a Service,
    pub(super) command: &'a [String],
    /// The ConfigMap of its environment.
    pub(super) env: &'a str,
    /// How long connections may finish, and what it is behind; nothing for a hook.
    pub(super) made: Option<&'a Made>,
}

/// The environment, as an object that never changes.
pub(super) fn environment(
    name: &str,
    labels: BTreeMap<String, String>,
    service: &Service,
) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(service.env.clone()),
        ..ConfigMap::default()
    }
}

/// The pod.
pub(super) fn spec(run: &Run<'_>) -> PodSpec {
    let Run { stack, group, service, made, .. } = run;
    let drained = made.map_or(0, |made| seconds(made.drain).max(LEAST_DRAIN));
    let grace = service.stop.grace;
    let gone = made.map_or_else(|| seconds(grace), |made| seconds(made.gone_within(grace)));
    let spread = TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(super::selector(
                stack,
                &group.service,
                Some(group.release.to_string()),
            )),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    };
    PodSpec {
        containers: vec![container(run, drained)],
        termination_grace_period_seconds: Some(gone.max(drained + seconds(grace))),
        topology_spread_constraints: made.map(|_| vec![spread]),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

fn container(run: &Run<'_>, drained: i64) -> Container {
    let Run { group, service, command, env, made, .. } = run;
    let port = port(service);
    let variable = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let sleep = LifecycleHandler {
        sleep: Some(SleepAction { seconds: drained }),
        ..LifecycleHandler::default()
    };
    Container {
        name: group.service.to_string(),
        image: Some(service.image.clone().unwrap_or_default()),
        image_pull_policy: service.preloaded.then(|| "Never".to_owned()),
        // Without one the image's own is run.
        command: (!command.is_empty()).then(|| command.to_vec()),
        env: Some(vec![
            variable("HOST", "0.0.0.0".into()),
            variable("PORT", port.to_string()),
            variable("LANDFALL_RELEASE", group.release.to_string()),
        ]),
        env_from: Some(vec![EnvFromSource {
            config_map_ref: Some(ConfigMapEnvSource { name: (*env).to_owned(), optional: None }),
            ..EnvFromSource::default()
        }]),
        ports: made.map(|_| {
            vec![ContainerPort {
                container_port: i32::from(port),
                name: Some("main".into()),
                protocol: Some("TCP".into()),
                ..ContainerPort::default()
            }]
        }),
        readiness_probe: made.and_then(|_| probe(&service.health, port)),
        lifecycle: made.map(|_| Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() }),
        resources: resources(&service.resources),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// When an instance gets traffic. That a process runs is what Kubernetes knows by itself.
fn probe(health: &Health, port: u16) -> Option<Probe> {
    let port = IntOrString::Int(i32::from(port));
    let (http_get, tcp_socket) = match &health.check {
        HealthCheck::Process => return None,
        HealthCheck::Tcp => (None, Some(TCPSocketAction { port, host: None })),
        HealthCheck::Http { path } => {
            let get = HTTPGetAction { path: Some(path.clone()), port, ..HTTPGetAction::default() };
            (Some(get), None)
        }
    };
    Some(Probe {
        http_get,
        tcp_socket,
        period_seconds: Some(seconds32(health.every)),
        timeout_seconds: Some(seconds32(health.timeout)),
        success_threshold: Some(i32::from(health.healthy.max(1))),
        failure_threshold: Some(i32::from(health.unhealthy.max(1))),
        ..Probe::default()
    })
}

/// Limits, and requests of the same size: what is promised is what may be used.
fn resources(resources: &Resources) -> Option<ResourceRequirements> {
    let mut limits = BTreeMap::new();
    if let Some(cpu) = &resources.cpu {
        limits.insert("cpu".to_owned(), Quantity(cpu.to_string()));
    }
    if let Some(memory) = &resources.memory {
        limits.insert("memory".to_owned(), Quantity(memory.0.to_string()));
    }
    (!limits.is_empty()).then(|| ResourceRequirements {
        requests: Some(limits.clone()),
        limits: Some(limits),
        claims: None,
    })
}

/// The name of a group's environment.
pub(super) fn env_name(stack: &StackId, group: &GroupId) -> String {
    group_name(stack, group)
}
