//! The cases. Each is a sentence about every engine.

use super::{Case, Harness, Kind, listener};
use crate::{EngineError, ExecRequest, LogQuery, SessionOutput};
use futures::StreamExt;
use landfall_model::{
    Draining, Epoch, Fence, Job, JobId, JobState, Millis, Observed, Revision, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn all(harness: &dyn Harness) {
    starts_what_is_desired(harness).await;
    scales_a_group(harness).await;
    stops_what_is_not_desired(harness).await;
    refuses_an_older_fence(harness).await;
    says_why_a_group_is_not_healthy(harness).await;
    notices_a_crash_loop(harness).await;
    moves_traffic_and_says_so(harness).await;
    keeps_instances_over_its_own_death(harness).await;
    starts_a_job_at_most_once(harness).await;
    ends_a_job_that_takes_too_long(harness).await;
    runs_commands_beside_an_instance(harness).await;
}

fn instances(report: &Observed) -> BTreeSet<String> {
    report.groups.values().flat_map(|it| &it.instances).map(|it| it.id.clone()).collect()
}

async fn starts_what_is_desired(harness: &dyn Harness) {
    let mut case = Case::new(harness, "starts").await;
    let desired = case.desired(&[(1, Kind::Good, 2)]);
    case.apply(desired.clone()).await;
    let first = instances(&case.ready(1, 2).await);
    assert_eq!(first.len(), 2, "two instances with names of their own");
    case.apply(desired).await;
    let again = instances(&case.ready(1, 2).await);
    assert_eq!(first, again, "applying the same state again changes nothing");
    case.clean().await;
}

async fn scales_a_group(harness: &dyn Harness) {
    let mut case = Case::new(harness, "scales").await;
    for replicas in [1, 3, 2] {
        let desired = case.desired(&[(1, Kind::Good, replicas)]);
        case.apply(desired).await;
        let group = case.group(1);
        case.until("the right number", |report| {
            report.groups.get(&group).is_some_and(|status| {
                status.ready == replicas && status.instances.len() == usize::from(replicas)
            })
        })
        .await;
    }
    case.clean().await;
}

async fn stops_what_is_not_desired(harness: &dyn Harness) {
    let mut case = Case::new(harness, "stops").await;
    let both = case.desired(&[(1, Kind::Good, 1), (2, Kind::Good, 1)]);
    case.apply(both).await;
    case.ready(1, 1).await;
    case.ready(2, 1).await;
    let second = case.desired(&[(2, Kind::Good, 1)]);
    case.apply(second).await;
    let gone = case.group(1);
    let report = case.until("the first group to go", |it| !it.groups.contains_key(&gone)).await;
    assert_eq!(report.groups.get(&case.group(2)).map(|it| it.ready), Some(1));
    case.clean().await;
}

async fn refuses_an_older_fence(harness: &dyn Harness) {
    let mut case = Case::new(harness, "fence").await;
    let old = case.desired(&[(1, Kind::Good, 1)]);
    let new = case.desired(&[(1, Kind::Good, 1)]);
    case.apply(new.clone()).await;
    for round in 0..2 {
        let refused = case.engine.apply(old.clone(), harness.materials()).await;
        assert!(
            matches!(refused, Err(EngineError::Superseded { .. })),
            "round {round}: an older revision is refused, also after a crash"
        );
        case.apply(new.clone()).await;
        case.reopen().await;
    }
    let mut reign = case.desired(&[(1, Kind::Good, 1)]);
    reign.fence = Fence { epoch: Epoch(2), revision: Revision(1) };
    case.apply(reign).await;
    let refused = case.engine.apply(new, harness.materials()).await;
    assert!(matches!(refused, Err(EngineError::Superseded { .. })), "a newer epoch wins");
    let mut nothing = case.desired(&[]);
    nothing.fence = Fence { epoch: Epoch(2), revision: Revision(2) };
    case.apply(nothing).await;
    case.until("nothing", |report| report.groups.is_empty()).await;
}

async fn says_why_a_group_is_not_healthy(harness: &dyn Harness) {
    let mut case = Case::new(harness, "unhealthy").await;
    let desired = case.desired(&[(1, Kind::NeverHealthy, 1)]);
    case.apply(desired).await;
    let group = case.group(1);
    let report = case
        .until("a reason", |report| {
            report.groups.get(&group).is_some_and(|it| it.running == 1 && it.failing.is_some())
        })
        .await;
    assert_eq!(report.groups.get(&group).map(|it| it.ready), Some(0));
    case.clean().await;
}

async fn notices_a_crash_loop(harness: &dyn Harness) {
    let mut case = Case::new(harness, "crashes").await;
    let desired = case.desired(&[(1, Kind::Crashes, 1)]);
    case.apply(desired).await;
    let group = case.group(1);
    case.until("a crash loop", |report| {
        report.groups.get(&group).is_some_and(|status| status.crash_loop)
    })
    .await;
    case.clean().await;
}

async fn moves_traffic_and_says_so(harness: &dyn Harness) {
    let mut case = Case::new(harness, "traffic").await;
    let mut desired = case.desired(&[(1, Kind::Good, 1)]);
    let (name, mut state) = listener(BTreeMap::from([(case.group(1), 1)]));
    desired.listeners.insert(name.clone(), state.clone());
    case.apply(desired).await;
    case.ready(1, 1).await;
    let first = state.weights.clone();
    case.until("traffic", |report| report.traffic.get(&name) == Some(&first)).await;

    let mut desired = case.desired(&[(1, Kind::Good, 1), (2, Kind::Good, 1)]);
    desired.listeners.insert(name.clone(), state.clone());
    case.apply(desired).await;
    case.ready(2, 1).await;
    let mut desired = case.desired(&[(1, Kind::Good, 1), (2, Kind::Good, 1)]);
    state.weights = BTreeMap::from([(case.group(2), 1)]);
    desired.listeners.insert(name.clone(), state.clone());
    let until = Timestamp(wall().0 + 500);
    desired.draining.insert(case.group(1), Draining { until });
    case.apply(desired).await;
    let second = state.weights.clone();
    case.until("moved traffic", |report| report.traffic.get(&name) == Some(&second)).await;
    let closed = case.desired(&[(2, Kind::Good, 1)]);
    case.apply(closed).await;
    case.until("no listener", |report| report.traffic.is_empty()).await;
    case.clean().await;
}

fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

async fn keeps_instances_over_its_own_death(harness: &dyn Harness) {
    let mut case = Case::new(harness, "death").await;
    let desired = case.desired(&[(1, Kind::Good, 2)]);
    case.apply(desired).await;
    let before = instances(&case.ready(1, 2).await);
    case.reopen().await;
    let after = instances(&case.ready(1, 2).await);
    assert_eq!(before, after, "instances live on, and are found again");
    case.clean().await;
}

fn job(
    case: &mut Case<'_>,
    code: Option<i32>,
    timeout: Millis,
) -> (JobId, landfall_model::Desired) {
    let (service, command) = case.harness.job(code);
    let group = case.group(1);
    let mut desired = case.desired(&[]);
    let id = JobId(format!("job-r1-{}", case.revision));
    desired.jobs.insert(id.clone(), Job { group, service, command, timeout });
    (id, desired)
}

async fn starts_a_job_at_most_once(harness: &dyn Harness) {
    let mut case = Case::new(harness, "jobs").await;
    let (id, desired) = job(&mut case, Some(3), Millis(20_000));
    for _ in 0..3 {
        case.apply(desired.clone()).await;
        case.reopen().await;
    }
    let report = case
        .until("the end of the job", |it| {
            matches!(it.jobs.get(&id), Some(JobState::Exited { .. } | JobState::Unknown))
        })
        .await;
    assert!(
        matches!(report.jobs.get(&id), Some(JobState::Exited { code: 3, .. })),
        "its exit code is kept: {:?}",
        report.jobs.get(&id)
    );
    case.clean().await;
}

async fn ends_a_job_that_takes_too_long(harness: &dyn Harness) {
    let mut case = Case::new(harness, "timeout").await;
    let (id, desired) = job(&mut case, None, Millis(300));
    case.apply(desired).await;
    case.until("the time-out", |it| matches!(it.jobs.get(&id), Some(JobState::TimedOut { .. })))
        .await;
    case.clean().await;
}

async fn runs_commands_beside_an_instance(harness: &dyn Harness) {
    let mut case = Case::new(harness, "exec").await;
    if !case.engine.capabilities().exec {
        return;
    }
    let desired = case.desired(&[(1, Kind::Good, 1)]);
    case.apply(desired).await;
    case.ready(1, 1).await;
    let request = ExecRequest {
        stack: case.stack.clone(),
        service: "web".parse().expect("a good name"),
        command: ["sh", "-c", "echo $LANDFALL_RELEASE; exit 7"].map(String::from).to_vec(),
    };
    let mut session = case.engine.exec(request).await.expect("a session");
    drop(session.input);
    let (mut text, mut code) = (Vec::new(), None);
    while let Some(output) = session.output.recv().await {
        match output {
            SessionOutput::Stdout(bytes) | SessionOutput::Stderr(bytes) => text.extend(bytes),
            SessionOutput::Exit(status) => code = Some(status),
        }
    }
    assert_eq!((String::from_utf8_lossy(&text).trim(), code), ("1", Some(7)));
    let query = LogQuery {
        stack: case.stack.clone(),
        service: None,
        instance: None,
        tail: 10,
        follow: false,
    };
    let lines: Vec<_> = case.engine.logs(query).collect().await;
    assert!(lines.iter().all(Result::is_ok), "logs can be read");
    case.clean().await;
}
