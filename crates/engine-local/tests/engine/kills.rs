//! The engine in a process of its own, killed by SIGKILL at any instant.

use crate::world::*;
use landfall_model::*;
use landfall_protocol::shim::{Exit, read_record};
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts an engine in a process of its own, over the folder of a world that sleeps.
fn engine_process(world: &World, desired: &Desired) -> Child {
    let path = world.blobs.path().join("desired.json");
    std::fs::write(&path, serde_json::to_string(desired).unwrap()).unwrap();
    Command::new(PROGRAM)
        .arg("engine")
        .arg(world.folder.path())
        .arg(path)
        .arg(world.options.ports.start().to_string())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// One life: long enough to matter, and never to its own end.
fn live_and_die(world: &World, desired: &Desired, millis: u64) {
    let mut child = engine_process(world, desired);
    std::thread::sleep(Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Artifacts cannot come from a test's blobs there: the world unpacks them before.
async fn prepared() -> World {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &serve())]).await;
    world.until_ready(1, 1).await;
    world.want(&[]).await;
    world.until_nothing().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_no_line_and_no_exit_status() {
    let mut world = World::with(|options| options.log_files = 10).await;
    // 10 MiB/s for eight seconds.
    let mut spam = service(&[PROGRAM, "spam", "160000", "512", "8000"]);
    spam.health.check = HealthCheck::Process;
    let desired = world.wanted(&[(1, 1, 0, &spam)]);
    world.apply(desired.clone()).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    world.engine.shutdown().await;
    let exit_file = world.instances().join(&id).join("exit.json");
    for round in 0..100 {
        live_and_die(&world, &desired, round % 60);
    }
    eventually("its end", || exit_file.exists()).await;
    let exit: Exit = world.read(&id, "exit.json");
    assert_eq!((exit.code, exit.signal, exit.lost_bytes), (Some(0), None, 0));
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(world.instances().join(&id).join("log")).unwrap().flatten() {
        for record in std::fs::read(file.path()).unwrap().split(|byte| *byte == b'\n') {
            let Some((_, _, text)) = read_record(record) else { continue };
            found.insert(std::str::from_utf8(&text[..9]).unwrap().parse::<u32>().unwrap());
        }
    }
    assert_eq!(found.len(), 160_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_instant_end_with_exactly_what_is_intended() {
    let mut world = prepared().await;
    world.engine.shutdown().await;
    for round in 0..40_u64 {
        let desired =
            world.wanted(&[(2 + round / 10, 1 + u16::try_from(round % 3).unwrap(), 0, &serve())]);
        live_and_die(&world, &desired, 5 + round * 13 % 160);
    }
    world.reopen().await;
    world.want(&[(9, 2, 1, &serve())]).await;
    let seen = world
        .until("exactly release 9", |seen| {
            seen.groups.len() == 1 && seen.groups.get(&group(9)).is_some_and(|g| g.ready == 2)
        })
        .await;
    let wanted: BTreeSet<String> =
        seen.groups[&group(9)].instances.iter().map(|instance| instance.id.clone()).collect();
    let running: Vec<String> = markers(world.folder.path());
    assert_eq!(running.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(running.len(), 4, "a shim and a process for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_through_kills_at_any_instant() {
    let mut world = prepared().await;
    world.engine.shutdown().await;
    let note = world.blobs.path().join("ran");
    for round in 0..25_u64 {
        let _ = std::fs::remove_file(&note);
        let id = JobId(format!("job/{round}"));
        let script = format!("echo ran >> {}", note.display());
        let mut desired = world.desired();
        desired.jobs.insert(id.clone(), job(&["sh", "-c", &script], 10_000));
        live_and_die(&world, &desired, round * 3);
        live_and_die(&world, &desired, round);
        world.reopen().await;
        let mut again = world.desired();
        again.jobs.insert(id.clone(), desired.jobs[&id].clone());
        world.apply(again).await;
        let seen = world
            .until("over", |seen| {
                seen.jobs.get(&id).is_some_and(|state| *state != JobState::Running)
            })
            .await;
        world.engine.shutdown().await;
        let runs = std::fs::read_to_string(&note).unwrap_or_default().lines().count();
        assert_eq!(runs, 1, "{:?}", seen.jobs[&id]);
        assert!(matches!(seen.jobs[&id], JobState::Exited { code: 0, .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shims_and_instances_may_be_killed_at_any_instant_too() {
    let mut world = World::new().await;
    let script = format!("setsid sleep 300 & exec {PROGRAM} serve");
    for round in 0..24_usize {
        world.want(&[(1 + (round / 8) as u64, 2, 1, &shell(&script))]).await;
        tokio::time::sleep(Duration::from_millis((round as u64 * 37) % 210)).await;
        let mut running = processes(world.folder.path());
        running.sort_unstable();
        if let Some((pid, _)) = running.get(round % running.len().max(1)) {
            kill(*pid);
        }
        if round % 3 == 0 {
            world.reopen().await;
        }
    }
    world.reopen().await;
    world.want(&[(9, 2, 1, &shell(&script))]).await;
    let seen = world
        .until("exactly release 9", |seen| {
            seen.groups.len() == 1 && seen.groups.get(&group(9)).is_some_and(|g| g.ready == 2)
        })
        .await;
    let wanted: BTreeSet<String> =
        seen.groups[&group(9)].instances.iter().map(|instance| instance.id.clone()).collect();
    let running = markers(world.folder.path());
    assert_eq!(running.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(running.len(), 6, "a shim, a process and its child for each");
}

/// The instances of every process that runs out of this folder: its shims and what they hold.
fn markers(root: &std::path::Path) -> Vec<String> {
    processes(root).into_iter().map(|(_, id)| id).collect()
}

fn processes(root: &std::path::Path) -> Vec<(u32, String)> {
    let prefix = b"LANDFALL_INSTANCE=";
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environ = std::fs::read(entry.path().join("environ")).ok()?;
            let id = environ.split(|byte| *byte == 0).find_map(|e| e.strip_prefix(prefix))?;
            let id = String::from_utf8_lossy(id).into_owned();
            root.join("stacks/shop.local/instances").join(&id).exists().then_some((pid, id))
        })
        .collect()
}
