//! What a controller of AWS says of a Service. The Service's status keeps its host name whatever
//! becomes of a change, so only these events tell that AWS refused it.

use k8s_openapi::api::core::v1::{Event, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

const SUCCESS: &str = "SuccessfullyReconciled";
const FAILURES: [&str; 3] = ["FailedBuildModel", "FailedDeployModel", "FailedNetworkReconcile"];
/// What Kubernetes puts before the message of events that are like each other.
const COMBINED: &str = "(combined from similar events): ";

/// When an event was said last, in milliseconds.
fn last(event: &Event) -> i64 {
    let series = event.series.as_ref().and_then(|it| it.last_observed_time.as_ref());
    let times = [
        event.last_timestamp.as_ref().map(|it| it.0.as_millisecond()),
        series.map(|it| it.0.as_millisecond()),
        event.event_time.as_ref().map(|it| it.0.as_millisecond()),
        event.metadata.creation_timestamp.as_ref().map(|it| it.0.as_millisecond()),
    ];
    times.into_iter().flatten().max().unwrap_or_default()
}

/// When Landfall wrote an object last, in milliseconds: whole seconds, rounded down.
fn written(meta: &ObjectMeta) -> i64 {
    let entries = meta.managed_fields.iter().flatten();
    let ours = entries.filter(|it| it.manager.as_deref() == Some(crate::objects::MANAGED_BY));
    ours.filter_map(|it| it.time.as_ref()).map(|it| it.0.as_millisecond()).max().unwrap_or_default()
}

fn verdicts<'e>(events: impl IntoIterator<Item = &'e Event>, service: &Service) -> Vec<&'e Event> {
    let uid = service.uid();
    let of_it = |event: &&Event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        event.involved_object.uid == uid && (reason == SUCCESS || FAILURES.contains(&reason))
    };
    let mut all: Vec<&Event> = events.into_iter().filter(of_it).collect();
    all.sort_by_key(|event| (last(event), event.reason.as_deref() != Some(SUCCESS)));
    all
}

/// Why what the Service says now did not come to AWS, when its controller said so last.
pub(crate) fn failure<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    service: &Service,
) -> Option<String> {
    let newest = verdicts(events, service).pop()?;
    let reason = newest.reason.as_deref().filter(|it| *it != SUCCESS)?;
    // Whole seconds: in doubt it is about what was written last.
    (last(newest) >= written(&service.metadata)).then(|| {
        let message = newest.message.as_deref().unwrap_or("it does not say why");
        format!("{reason}: {}", message.strip_prefix(COMBINED).unwrap_or(message))
    })
}

/// Whether the controller said that all of what the Service says now is in AWS.
pub(crate) fn succeeded<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    service: &Service,
) -> bool {
    let newest = verdicts(events, service).pop();
    newest.is_some_and(|newest| {
        newest.reason.as_deref() == Some(SUCCESS)
            && last(newest) >= written(&service.metadata) + 1000
    })
}
