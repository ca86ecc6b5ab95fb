//! A hook as a Job that Kubernetes starts once and never again.

use super::deployment::meta;
use super::names::job_name;
use super::{Kind, Object, labels, pod};
use k8s_openapi::api::batch::v1::{Job as KubernetesJob, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use landfall_model::{Job, JobId, StackId};

/// The annotation with the job's whole name.
pub(crate) const JOB: &str = "landfall.dev/job";

pub(super) fn job(stack: &StackId, id: &JobId, job: &Job) -> Vec<Object> {
    let name = job_name(stack, id);
    let all = labels::of_group(stack, &job.group);
    let run = pod::Run {
        stack,
        group: &job.group,
        service: &job.service,
        command: &job.command,
        env: &name,
        made: None,
    };
    let mut spec = pod::spec(&run);
    spec.restart_policy = Some("Never".into());
    let mut metadata = meta(&name, all.clone());
    metadata.annotations = Some([(JOB.to_owned(), id.0.clone())].into());
    let spec = JobSpec {
        backoff_limit: Some(0),
        completions: Some(1),
        parallelism: Some(1),
        pod_replacement_policy: Some("Failed".into()),
        active_deadline_seconds: Some(pod::seconds(job.timeout)),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(all.clone()), ..ObjectMeta::default() }),
            spec: Some(spec),
        },
        ..JobSpec::default()
    };
    let object = KubernetesJob { metadata, spec: Some(spec), status: None };
    let env = pod::environment(&name, all, &job.service);
    vec![Object::new(Kind::ConfigMap, &name, &env), Object::new(Kind::Job, &name, &object)]
}
