//! What the pods of a stack write.

use crate::error::failed;
use crate::objects::{SERVICE, STACK, group_of, stack_label};
use futures::io::AsyncBufReadExt;
use futures::stream::{self, BoxStream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt};
use landfall_engine::{EngineError, LogLine, LogQuery};
use landfall_model::{GroupId, Timestamp};
use std::collections::BTreeSet;

type Lines = BoxStream<'static, Result<LogLine, EngineError>>;

/// Lines of the past, then new ones when they are wanted.
pub(crate) fn lines(client: Client, namespace: String, query: LogQuery) -> Lines {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let mut labels = format!("{STACK}={}", stack_label(&query.stack));
    if let Some(service) = &query.service {
        labels = format!("{labels},{SERVICE}={service}");
    }
    if query.follow { following(pods, &labels, query) } else { past(pods, labels, query) }
}

fn wanted(query: &LogQuery, pod: &Pod) -> Option<GroupId> {
    let name = pod.name_any();
    query.instance.as_ref().is_none_or(|instance| *instance == name).then_some(())?;
    group_of(pod.labels())
}

fn past(pods: Api<Pod>, labels: String, query: LogQuery) -> Lines {
    let all = async move {
        let listed = match pods.list(&ListParams::default().labels(&labels)).await {
            Ok(listed) => listed,
            Err(error) => return stream::iter([Err(failed("list the pods", &error))]).boxed(),
        };
        let streams = listed.items.into_iter().filter_map(|pod| {
            let group = wanted(&query, &pod)?;
            Some(of_pod(pods.clone(), pod.name_any(), group, query.tail, false))
        });
        stream::iter(streams.collect::<Vec<_>>()).flatten().boxed()
    };
    stream::once(all).flatten().boxed()
}

/// Pods are watched, so that lines of those that start later come too.
fn following(pods: Api<Pod>, labels: &str, query: LogQuery) -> Lines {
    let mut known = BTreeSet::new();
    let changes = watcher(pods.clone(), watcher::Config::default().labels(labels))
        .default_backoff()
        .applied_objects();
    let streams = changes.filter_map(move |pod| {
        let found = pod.ok().and_then(|pod| {
            let group = wanted(&query, &pod)?;
            let started = pod.status.as_ref()?.container_statuses.as_ref()?.iter().any(|it| {
                it.state
                    .as_ref()
                    .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
            });
            let restarts = crate::observe::restarts(&pod);
            let new = started && known.insert((pod.name_any(), restarts));
            new.then(|| of_pod(pods.clone(), pod.name_any(), group, query.tail, true))
        });
        std::future::ready(found)
    });
    streams.flatten_unordered(None).boxed()
}

fn of_pod(pods: Api<Pod>, pod: String, group: GroupId, tail: usize, follow: bool) -> Lines {
    let params = LogParams {
        follow,
        tail_lines: i64::try_from(tail).ok(),
        timestamps: true,
        ..LogParams::default()
    };
    let opened = async move {
        match pods.log_stream(&pod, &params).await {
            Ok(reader) => reader
                .lines()
                .map(move |line| match line {
                    Ok(line) => Ok(parse(&pod, &group, &line)),
                    Err(error) => Err(EngineError::Failed {
                        operation: format!("read the log of {pod}"),
                        why: error.to_string(),
                    }),
                })
                .boxed(),
            // A pod that has not started, or is gone, has no lines.
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {
                stream::empty().boxed()
            }
            Err(error) => {
                stream::iter([Err(failed(format!("read the log of {pod}"), &error))]).boxed()
            }
        }
    };
    stream::once(opened).flatten().boxed()
}

/// A line begins with its time in RFC 3339. Which of the two streams it came from is lost in
/// Kubernetes.
fn parse(pod: &str, group: &GroupId, line: &str) -> LogLine {
    let (time, text) = line.split_once(' ').unwrap_or(("", line));
    let (at, text) = match time.parse::<jiff::Timestamp>() {
        Ok(at) => (u64::try_from(at.as_millisecond()).unwrap_or_default(), text),
        Err(_) => (0, line),
    };
    LogLine {
        at: Timestamp(at),
        group: group.clone(),
        instance: pod.to_owned(),
        error: false,
        text: text.to_owned(),
    }
}
