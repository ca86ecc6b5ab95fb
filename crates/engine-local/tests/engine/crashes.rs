use crate::world::*;
use landfall_model::*;
use landfall_protocol::shim::{Exit, Main, Started};

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_instance_leaves_traffic_at_once_and_is_replaced() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let old = seen.groups[&group(1)].instances[0].clone();
    eventually("in traffic", || world.balancer.target(&old.id).is_some_and(|t| t.healthy)).await;
    kill(old.pid.unwrap());
    eventually("out of traffic", || world.balancer.target(&old.id).is_none()).await;
    let seen = world
        .until("replaced", |seen| {
            seen.groups
                .get(&group(1))
                .is_some_and(|status| status.ready == 1 && status.instances[0].id != old.id)
        })
        .await;
    assert_eq!(seen.groups[&group(1)].instances[0].restarts, 1);
    assert!(!seen.groups[&group(1)].crash_loop);
    let exit: Exit = world.read(&old.id, "exit.json");
    assert_eq!((exit.signal, exit.stopped), (Some(9), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_called_one_and_says_why() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &shell("echo no database >&2; exit 3"))]).await;
    let seen = world
        .until("a crash loop", |seen| seen.groups.get(&group(1)).is_some_and(|g| g.crash_loop))
        .await;
    let why = seen.groups[&group(1)].failing.clone().unwrap();
    assert!(why.contains("exited with code 3") && why.contains("no database"), "{why}");
    assert!(seen.groups[&group(1)].instances.len() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_escaped_die_with_their_instance() {
    let mut world = World::new().await;
    // In sessions of their own, orphaned, and one of them without its environment.
    let length = format!("302.{}", std::process::id());
    let script = format!(
        "setsid sh -c 'setsid sleep 300 & sleep 301' & (env -i setsid sleep {length} &); \
         exec {PROGRAM} serve"
    );
    world.want(&[(1, 1, 0, &shell(&script))]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    let main: Main = world.read(&id, "main.json");
    eventually("the children", || marked(&id).len() >= 4 && sleepers(&length) == 1).await;
    kill(main.process.pid);
    eventually("all dead", || marked(&id).is_empty()).await;
    world.want(&[]).await;
    world.until_nothing().await;
    assert_eq!(sleepers(&length), 0);
}

/// How many processes sleep this long.
fn sleepers(length: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line == format!("sleep\0{length}\0").as_bytes()
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shim_takes_everything_with_it_and_is_replaced() {
    let mut world = World::new().await;
    let script = format!("setsid sleep 300 & exec {PROGRAM} serve");
    world.want(&[(1, 1, 0, &shell(&script))]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    eventually("the child", || marked(&id).len() >= 3).await;
    let started: Started = world.read(&id, "started.json");
    kill(started.shim.unwrap().pid);
    world
        .until("replaced", |seen| {
            seen.groups.get(&group(1)).is_some_and(|g| g.ready == 1 && g.instances[0].id != id)
        })
        .await;
    assert_eq!(marked(&id), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_statuses_are_true() {
    let mut world = World::new().await;
    for (script, code) in
        [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
    {
        let job = world.job(&format!("exit/{code}"), &["sh", "-c", script], 10_000).await;
        let seen = world.until("ended", |seen| {
            seen.jobs.get(&job).is_some_and(|state| *state != JobState::Running)
        });
        assert_eq!(seen.await.jobs[&job], JobState::Exited { code, output: String::new() });
    }
}
