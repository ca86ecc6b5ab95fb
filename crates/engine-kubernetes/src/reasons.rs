//! Why something is not well, in words: what the cluster says, and the last lines of the log.

use crate::observe::{Seen, is_of_job, is_ready, restarts};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod, Probe};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use std::time::Duration;

/// The last lines that are shown.
const LINES: i64 = 10;
/// How long the API server may take for a detail.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with a pod.
pub(crate) struct Trouble {
    pub(crate) words: String,
    /// It ends again and again, so that waiting is of no use.
    pub(crate) loops: bool,
}

/// What has to be asked for, and was.
pub(crate) struct Details {
    pods: Api<Pod>,
    events: Api<Event>,
    /// Last lines by pod and number of restarts.
    logs: BTreeMap<(String, u32), String>,
    /// What a probe said last, by pod.
    probes: BTreeMap<String, String>,
    /// Last lines of ended jobs; nothing when their pod is gone.
    jobs: BTreeMap<String, Option<String>>,
}

impl Details {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
            logs: BTreeMap::new(),
            probes: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// Asks for what is not known yet of pods that are not well and jobs that have ended.
    pub(crate) async fn look(&mut self, seen: &Seen) {
        for pod in seen.pods.iter().filter(|pod| !is_of_job(pod) && !is_ready(pod)) {
            if pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let name = pod.name_any();
            let ended = status(pod).is_some_and(has_ended);
            let key = (name.clone(), restarts(pod));
            if ended && !self.logs.contains_key(&key) {
                let lines = self.last_lines(&name, !has_now_ended(pod)).await;
                self.logs.insert(key, lines.unwrap_or_default());
            } else if !ended && status(pod).is_some_and(is_running) {
                let said = self.probe_said(pod).await;
                self.probes.extend(said.map(|said| (name, said)));
            }
        }
        for job in seen.jobs.iter().filter(|job| ended(job)) {
            let name = job.name_any();
            if !self.jobs.contains_key(&name) {
                let output = self.job_output(&name).await;
                self.jobs.extend(output.map(|output| (name, output)));
            }
        }
        self.logs.retain(|(name, _), _| seen.pods.get(name).is_some());
        self.probes.retain(|name, _| seen.pods.get(name).is_some());
        self.jobs.retain(|name, _| seen.jobs.get(name).is_some());
    }

    /// What a pod wrote last before an end; nothing when that is not known.
    fn log(&self, pod: &Pod) -> Option<&str> {
        let name = pod.name_any();
        let all = self.logs.range((name.clone(), 0)..=(name, u32::MAX));
        let mut lines = all.rev().map(|(_, lines)| lines.as_str());
        // A container that has not come as far as writing has an empty log of its own.
        lines.clone().find(|lines| !lines.is_empty()).or_else(|| lines.next())
    }

    /// Whether something is to be asked for that cannot wait.
    pub(crate) fn lacks(&self, seen: &Seen) -> bool {
        let mut ended_pods = seen.pods.iter().filter(|pod| {
            pod.metadata.deletion_timestamp.is_none()
                && !is_of_job(pod)
                && status(pod).is_some_and(has_ended)
        });
        let silent = ended_pods.any(|pod| !is_ready(pod) && self.log(pod).is_none());
        silent || seen.jobs.iter().any(|job| ended(job) && !self.jobs.contains_key(&job.name_any()))
    }

    /// The output of an ended job: not known yet, or that nobody knows it.
    pub(crate) fn job(&self, name: &str) -> Option<&Option<String>> {
        self.jobs.get(name)
    }

    async fn last_lines(&self, pod: &str, previous: bool) -> Option<String> {
        let params = LogParams { tail_lines: Some(LINES), previous, ..LogParams::default() };
        let lines = tokio::time::timeout(PATIENCE, self.pods.logs(pod, &params)).await.ok()?;
        lines.ok().map(|text| text.trim_end().to_owned())
    }

    async fn probe_said(&self, pod: &Pod) -> Option<String> {
        let uid = pod.uid()?;
        let params = ListParams::default()
            .fields(&format!("involvedObject.uid={uid},reason=Unhealthy"))
            .limit(20);
        let listed = tokio::time::timeout(PATIENCE, self.events.list(&params)).await.ok()?.ok()?;
        let newest = listed
            .items
            .into_iter()
            .max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0))?;
        newest.message
    }

    /// The end of what a job wrote; `Some(None)` when its pod is surely gone.
    async fn job_output(&self, job: &str) -> Option<Option<String>> {
        let ours = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let listed = tokio::time::timeout(PATIENCE, self.pods.list(&ours)).await.ok()?.ok()?;
        let Some(pod) = listed.items.first() else { return Some(None) };
        Some(Some(self.last_lines(&pod.name_any(), false).await.unwrap_or_default()))
    }
}

pub(crate) fn ended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|it| matches!(it.type_.as_str(), "Complete" | "Failed") && it.status == "True")
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn last_end(status: &ContainerStatus) -> Option<i32> {
    let end = |state: &Option<ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.as_ref()).map(|end| end.exit_code)
    };
    end(&status.state).or_else(|| end(&status.last_state))
}

fn has_ended(status: &ContainerStatus) -> bool {
    last_end(status).is_some()
}

/// Whether the last end is that of the container that is there now.
fn has_now_ended(pod: &Pod) -> bool {
    let state = status(pod).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.terminated.is_some())
}

/// Why a pod is not ready; nothing while it simply starts.
pub(crate) fn trouble(pod: &Pod, details: &Details) -> Option<Trouble> {
    let words = |words: String| Some(Trouble { words, loops: false });
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let unscheduled = conditions
        .into_iter()
        .flatten()
        .find(|it| it.type_ == "PodScheduled" && it.status == "False");
    if let Some(condition) = unscheduled {
        return words(format!(
            "no node takes it: {}",
            condition.message.as_deref().unwrap_or("the scheduler does not say why")
        ));
    }
    let status = status(pod)?;
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            return words(format!("the image {} cannot be had: {message}", status.image));
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            return words(format!("its container cannot be made: {message}"));
        }
        _ => {}
    }
    if let Some(why) = never_began(status) {
        return Some(Trouble {
            words: format!("its container does not start: {why}"),
            loops: restarts(pod) >= 2,
        });
    }
    if let Some(code) = last_end(status) {
        let log = details.log(pod);
        let lines = match log {
            None => String::new(),
            Some("") => "; it wrote nothing".to_owned(),
            Some(lines) => format!(":\n{lines}"),
        };
        let killed = if out_of_memory(status) { ", out of memory" } else { "" };
        return Some(Trouble {
            words: format!("exited with code {code}{killed}{lines}"),
            // What it wrote comes first: whoever gives up says why.
            loops: restarts(pod) >= 2 && log.is_some(),
        });
    }
    if !is_running(status) {
        return None;
    }
    words(match details.probes.get(&pod.name_any()) {
        Some(said) => format!("{}: {said}", check(pod)),
        None => format!("runs, and its health check {} is not good yet", check(pod)),
    })
}

/// What the runtime says of a container whose program could not even be started.
fn never_began(status: &ContainerStatus) -> Option<&str> {
    let ends = [&status.state, &status.last_state];
    let ends = ends.into_iter().filter_map(|state| state.as_ref()?.terminated.as_ref());
    let mut failed = ends
        .filter(|end| matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun")));
    failed.next()?.message.as_deref()
}

fn out_of_memory(status: &ContainerStatus) -> bool {
    [&status.state, &status.last_state].into_iter().any(|state| {
        let end = state.as_ref().and_then(|state| state.terminated.as_ref());
        end.is_some_and(|end| end.reason.as_deref() == Some("OOMKilled"))
    })
}

fn check(pod: &Pod) -> String {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let probe: Option<&Probe> = container.and_then(|it| it.readiness_probe.as_ref());
    let get = probe.and_then(|probe| probe.http_get.as_ref()).and_then(|get| get.path.as_deref());
    get.map_or_else(|| "connecting to its port".to_owned(), |path| format!("GET {path}"))
}
