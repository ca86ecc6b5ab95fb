//! From what the watches saw to a report: pure.

use crate::balancers::{self, Written};
use crate::objects::{JOB, LISTENER, WEIGHTS, group_of, is_nlb};
use crate::reasons::{Details, trouble};
use crate::watcher::{Change, Objects};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::DynamicObject;
use landfall_model::{
    Desired, GroupId, GroupStatus, InstanceState, InstanceStatus, JobId, JobState, ListenerName,
    Observed, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Everything of a stack as it was seen last.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) maps: Objects<ConfigMap>,
    pub(crate) deployments: Objects<Deployment>,
    pub(crate) sets: Objects<ReplicaSet>,
    pub(crate) services: Objects<Service>,
    pub(crate) slices: Objects<EndpointSlice>,
    pub(crate) jobs: Objects<Job>,
    pub(crate) pods: Objects<Pod>,
    /// Target groups of NLBs, when there are any.
    pub(crate) bindings: Objects<DynamicObject>,
    /// What is said of Services, when one is an NLB.
    pub(crate) events: Objects<Event>,
    pub(crate) written: Written,
}

impl Seen {
    pub(crate) fn take(&mut self, change: Change) {
        match change {
            Change::Map(event) => self.maps.take(event),
            Change::Deployment(event) => self.deployments.take(event),
            Change::ReplicaSet(event) => self.sets.take(event),
            Change::Service(event) => {
                self.services.take(event);
                let hashes: Vec<_> = balancers::hashes(self).collect();
                self.written.note(hashes.into_iter(), Instant::now());
            }
            Change::Slice(event) => self.slices.take(event),
            Change::Job(event) => self.jobs.take(event),
            Change::Pod(event) => self.pods.take(event),
            Change::Binding(event) => self.bindings.take(event),
            Change::Event(event) => self.events.take(event),
            Change::Broken(_) => {}
        }
    }

    /// Whether every watch has said once what there is.
    pub(crate) const fn is_whole(&self) -> bool {
        self.maps.is_whole()
            && self.deployments.is_whole()
            && self.sets.is_whole()
            && self.services.is_whole()
            && self.slices.is_whole()
            && self.jobs.is_whole()
            && self.pods.is_whole()
    }
}

/// Behind nothing.
static NONE: BTreeSet<String> = BTreeSet::new();

fn now() -> Timestamp {
    Timestamp(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default())
}

fn time(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> Timestamp {
    let millis = time.map_or(0, |time| time.0.as_millisecond());
    Timestamp(u64::try_from(millis).unwrap_or_default())
}

/// The report.
pub(crate) fn report(seen: &Seen, details: &Details, desired: Option<&Desired>) -> Observed {
    Observed {
        at: now(),
        groups: groups(seen, details, desired),
        traffic: traffic(seen),
        reached: reached(seen),
        jobs: jobs(seen, details),
        problems: seen.services.iter().filter_map(|it| balancers::trouble(seen, it)).collect(),
        ..Observed::default()
    }
}

/// Whether a pod belongs to a hook.
pub(crate) fn is_of_job(pod: &Pod) -> bool {
    pod.labels().contains_key("batch.kubernetes.io/job-name")
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn runs(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.is_some_and(|all| {
        all.iter().any(|it| it.state.as_ref().is_some_and(|state| state.running.is_some()))
    })
}

pub(crate) fn restarts(pod: &Pod) -> u32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let count = statuses.into_iter().flatten().map(|it| it.restart_count).max().unwrap_or(0);
    u32::try_from(count).unwrap_or_default()
}

fn groups(
    seen: &Seen,
    details: &Details,
    desired: Option<&Desired>,
) -> BTreeMap<GroupId, GroupStatus> {
    let mut groups: BTreeMap<GroupId, GroupStatus> = BTreeMap::new();
    let mut behind = BTreeMap::new();
    for deployment in seen.deployments.iter() {
        let Some(id) = group_of(deployment.labels()) else { continue };
        if deployment.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let status = groups.entry(id.clone()).or_default();
        status.wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
        let of_nlb = balancers::behind(deployment);
        status.failing = refused(seen, deployment).or_else(|| balancers::trouble_of(seen, &of_nlb));
        behind.insert(id, of_nlb);
    }
    for pod in seen.pods.iter().filter(|pod| !is_of_job(pod)) {
        let Some(id) = group_of(pod.labels()) else { continue };
        let draining = desired.is_some_and(|desired| desired.draining.contains_key(&id));
        let going = pod.metadata.deletion_timestamp.is_some();
        if is_over(pod) && !going {
            continue;
        }
        let balancers = behind.get(&id).unwrap_or(&NONE);
        let target = if going { None } else { balancers::target_trouble(seen, pod, balancers) };
        let status = groups.entry(id).or_default();
        let ready = is_ready(pod) && target.is_none();
        status.ready += u16::from(ready);
        status.running += u16::from(runs(pod));
        if !ready
            && !going
            && let Some(trouble) = target.or_else(|| trouble(pod, details))
        {
            status.crash_loop |= trouble.loops;
            status.failing = Some(trouble.words);
        }
        status.instances.push(InstanceStatus {
            id: pod.name_any(),
            state: state(pod, ready, draining),
            pid: None,
            address: address(pod),
            since: time(pod.status.as_ref().and_then(|status| status.start_time.as_ref())),
            restarts: restarts(pod),
        });
    }
    settled(seen, &mut groups);
    groups
}

/// Where an instance has to stay ready for a while, only those that did count.
fn settled(seen: &Seen, groups: &mut BTreeMap<GroupId, GroupStatus>) {
    for deployment in seen.deployments.iter() {
        let least = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let status = group_of(deployment.labels()).and_then(|id| groups.get_mut(&id));
        if let (1.., Some(status)) = (least, status) {
            let available = deployment.status.as_ref().and_then(|it| it.available_replicas);
            let available = u16::try_from(available.unwrap_or(0)).unwrap_or_default();
            status.ready = status.ready.min(available);
        }
    }
}

fn state(pod: &Pod, ready: bool, draining: bool) -> InstanceState {
    if pod.metadata.deletion_timestamp.is_some() {
        InstanceState::Stopping
    } else if ready && draining {
        InstanceState::Draining
    } else if ready {
        InstanceState::Ready
    } else if runs(pod) && restarts(pod) == 0 {
        InstanceState::Starting
    } else if runs(pod) {
        InstanceState::Unhealthy
    } else {
        InstanceState::Waiting
    }
}

fn address(pod: &Pod) -> Option<std::net::SocketAddr> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let ports = pod.spec.as_ref()?.containers.first()?.ports.as_ref()?;
    let port = u16::try_from(ports.first()?.container_port).ok()?;
    Some(std::net::SocketAddr::new(address, port))
}

/// Why pods are not even made: quota, admission. A ReplicaSet says so before its Deployment.
fn refused(seen: &Seen, deployment: &Deployment) -> Option<String> {
    let uid = deployment.metadata.uid.as_deref()?;
    let owned =
        seen.sets.iter().filter(|set| set.owner_references().iter().any(|owner| owner.uid == uid));
    let conditions = owned.filter_map(|set| set.status.as_ref()?.conditions.as_ref()).flatten();
    let mut failures = conditions.filter(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    let message = failures.next()?.message.clone()?;
    Some(format!("the cluster makes no pod: {message}"))
}

/// The shares that a listener has really taken over: its endpoints are pods of these groups only,
/// and each group that has ready pods is among them.
fn traffic(seen: &Seen) -> BTreeMap<ListenerName, BTreeMap<GroupId, u16>> {
    let mut all = BTreeMap::new();
    for service in seen.services.iter() {
        if service.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let annotations = service.annotations();
        let Some(name) = annotations.get(LISTENER).and_then(|name| name.parse().ok()) else {
            continue;
        };
        let weights = annotations.get(WEIGHTS).and_then(|text| serde_json::from_str(text).ok());
        let weights: BTreeMap<GroupId, u16> = weights.unwrap_or_default();
        let wanted: BTreeSet<GroupId> =
            weights.iter().filter(|(_, share)| **share > 0).map(|(id, _)| id.clone()).collect();
        let able = |id: &GroupId| {
            seen.pods.iter().any(|pod| is_ready(pod) && group_of(pod.labels()).as_ref() == Some(id))
        };
        let reached = endpoints(seen, &service.name_any());
        let balanced = is_nlb(service);
        if balanced && !balancers::is_in_force(seen, service, Instant::now()) {
            continue;
        }
        // Every ready pod is a target of an NLB, so moving traffic there is having targets.
        let taken_over = (balanced || reached.is_subset(&wanted))
            && wanted.iter().all(|id| reached.contains(id) || !able(id));
        if taken_over {
            all.insert(name, weights);
        } else {
            all.insert(name, reached.into_iter().map(|id| (id, 1)).collect());
        }
    }
    all
}

/// Where clients reach each listener: its load balancer once there is one, a port of every node, or
/// an address inside the cluster.
fn reached(seen: &Seen) -> BTreeMap<ListenerName, String> {
    let mut all = BTreeMap::new();
    for service in seen.services.iter() {
        let name = service.annotations().get(LISTENER).and_then(|name| name.parse().ok());
        let (Some(name), Some(spec)) = (name, &service.spec) else { continue };
        let Some(port) = spec.ports.as_ref().and_then(|ports| ports.first()) else { continue };
        let balancer = service.status.as_ref().and_then(|it| it.load_balancer.as_ref());
        let ingress = balancer.and_then(|it| it.ingress.as_ref()).and_then(|all| all.first());
        let host = ingress.and_then(|it| it.hostname.as_ref().or(it.ip.as_ref()));
        let words = match (host, port.node_port, spec.cluster_ip.as_deref()) {
            (Some(host), _, _) => format!("{host}:{}", port.port),
            (None, Some(port), _) => format!("port {port} of every node"),
            (None, None, Some(ip)) if ip != "None" => {
                format!("{ip}:{} inside the cluster", port.port)
            }
            _ => continue,
        };
        all.insert(name, words);
    }
    all
}

/// The groups whose pods get new connections of a Service.
fn endpoints(seen: &Seen, service: &str) -> BTreeSet<GroupId> {
    let of_service = seen.slices.iter().filter(|slice| {
        slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == service)
    });
    let ready = of_service
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|it| it.ready.unwrap_or(true)));
    ready
        .filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.as_deref())
        .filter_map(|pod| group_of(seen.pods.get(pod)?.labels()))
        .collect()
}

fn jobs(seen: &Seen, details: &Details) -> BTreeMap<JobId, JobState> {
    let mut all = BTreeMap::new();
    for job in seen.jobs.iter() {
        let Some(id) = job.annotations().get(JOB) else { continue };
        all.insert(JobId(id.clone()), job_state(seen, details, job));
    }
    all
}

fn job_state(seen: &Seen, details: &Details, job: &Job) -> JobState {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let end = conditions
        .into_iter()
        .flatten()
        .find(|it| matches!(it.type_.as_str(), "Complete" | "Failed") && it.status == "True");
    // An end is an end once its last lines are known, or are known to be gone.
    let (Some(end), Some(output)) = (end, details.job(&job.name_any())) else {
        return JobState::Running;
    };
    let gone = output.is_none();
    let output = output.clone().unwrap_or_default();
    if end.type_ == "Complete" {
        return JobState::Exited { code: 0, output };
    }
    if end.reason.as_deref() == Some("DeadlineExceeded") {
        return JobState::TimedOut { output };
    }
    let pod = seen.pods.iter().find(|pod| {
        pod.labels().get("batch.kubernetes.io/job-name").is_some_and(|it| *it == job.name_any())
    });
    let terminated = pod
        .and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first())
        .and_then(|status| status.state.as_ref()?.terminated.as_ref());
    match terminated {
        Some(end) => JobState::Exited { code: end.exit_code, output },
        // It failed without an end of its own: its node is gone, or somebody removed its pod.
        None if gone || pod.is_some_and(is_over) => JobState::Unknown,
        None => JobState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_names_its_group_by_labels_alone() {
        let labels = [
            (crate::objects::SERVICE.to_owned(), "web".to_owned()),
            (crate::objects::RELEASE.to_owned(), "4".to_owned()),
        ];
        assert_eq!(group_of(&labels.into()), "web@4".parse().ok());
    }
}
