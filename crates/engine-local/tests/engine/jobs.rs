use crate::world::*;
use landfall_model::*;
use landfall_protocol::shim::Started;
use std::path::PathBuf;

fn note(world: &World) -> (PathBuf, String) {
    let path = world.blobs.path().join("note");
    let script = format!("echo ran >> {}; echo done", path.display());
    (path, script)
}

fn lines(path: &PathBuf) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn over(job: &JobId) -> impl Fn(&Observed) -> bool {
    let job = job.clone();
    move |seen| seen.jobs.get(&job).is_some_and(|state| *state != JobState::Running)
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_once_for_its_name_for_ever() {
    let mut world = World::new().await;
    let (path, script) = note(&world);
    let command = ["sh", "-c", script.as_str()];
    for _ in 0..3 {
        let job = world.job("12/migrate", &command, 10_000).await;
        let seen = world.until("over", over(&job)).await;
        assert_eq!(seen.jobs[&job], JobState::Exited { code: 0, output: "done".into() });
        world.reopen().await;
    }
    assert_eq!(lines(&path), 1);
    // Not wanted for a while: it is forgotten by people and not by the engine.
    let nothing = world.desired();
    world.apply(nothing).await;
    world.until("no job", |seen| seen.jobs.is_empty()).await;
    let job = world.job("12/migrate", &command, 10_000).await;
    let seen = world.until("over", over(&job)).await;
    assert!(matches!(seen.jobs[&job], JobState::Exited { code: 0, .. }));
    assert_eq!(lines(&path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn is_never_started_twice_by_lives_that_end() {
    let mut world = World::new().await;
    let (path, script) = note(&world);
    for round in 0..10_u64 {
        let _ = std::fs::remove_file(&path);
        let job = world.job(&format!("{round}"), &["sh", "-c", &script], 10_000).await;
        tokio::time::sleep(std::time::Duration::from_millis(round * 4)).await;
        world.reopen().await;
        let mut again = world.desired();
        again.jobs.insert(job.clone(), crate::world::job(&["sh", "-c", &script], 10_000));
        world.apply(again).await;
        let seen = world.until("over", over(&job)).await;
        assert!(matches!(seen.jobs[&job], JobState::Exited { code: 0, .. }), "{seen:?}");
        assert_eq!(lines(&path), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_no_longer_than_it_may() {
    let mut world = World::new().await;
    let job = world.job("slow", &["sh", "-c", "echo begun; sleep 60"], 300).await;
    let seen = world.until("over", over(&job)).await;
    let JobState::TimedOut { output } = &seen.jobs[&job] else { panic!("{:?}", seen.jobs) };
    assert!(output.contains("begun"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_shim_was_killed_has_an_unknown_outcome() {
    let mut world = World::new().await;
    let job = world.job("lost", &["sleep", "60"], 60_000).await;
    let folder = world.folder.path().join("stacks/shop.local/jobs/lost");
    eventually("it runs", || folder.join("main.json").exists()).await;
    let text = std::fs::read_to_string(folder.join("started.json")).unwrap();
    let started: Started = serde_json::from_str(&text).unwrap();
    kill(started.shim.unwrap().pid);
    let seen = world.until("over", over(&job)).await;
    assert_eq!(seen.jobs[&job], JobState::Unknown);
    world.reopen().await;
    let mut again = world.desired();
    again.jobs.insert(job.clone(), crate::world::job(&["sleep", "60"], 60_000));
    world.apply(again).await;
    let seen = world.until("over", over(&job)).await;
    assert_eq!(seen.jobs[&job], JobState::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_is_not_wanted_any_more_is_stopped() {
    let mut world = World::new().await;
    world.job("long", &["sleep", "60"], 60_000).await;
    let folder = world.folder.path().join("stacks/shop.local/jobs/long");
    eventually("it runs", || folder.join("main.json").exists()).await;
    world.reopen().await;
    let nothing = world.desired();
    world.apply(nothing).await;
    world.until("no job", |seen| seen.jobs.is_empty()).await;
    assert!(folder.join("exit.json").exists());
}
