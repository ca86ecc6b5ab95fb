use crate::world::*;
use landfall_engine::Engine as _;
use landfall_model::*;
use landfall_protocol::shim::Main;

fn pids(seen: &Observed) -> Vec<Option<u32>> {
    seen.groups[&group(1)].instances.iter().map(|instance| instance.pid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_life_takes_over_what_runs() {
    let mut world = World::new().await;
    world.want(&[(1, 2, 1, &serve())]).await;
    let before = world.until_ready(1, 2).await;
    for _ in 0..5 {
        world.reopen().await;
        let after = world.until_ready(1, 2).await;
        assert_eq!(pids(&after), pids(&before));
        assert_eq!(after.groups[&group(1)].instances[0].restarts, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_instances_are_not_taken_out_of_traffic_by_a_new_life() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    eventually("in traffic", || world.balancer.target(&id).is_some_and(|t| t.healthy)).await;
    world.engine.shutdown().await;
    world.balancer.parts.lock().unwrap().clear();
    world.reopen().await;
    world.until_ready(1, 1).await;
    // Nothing is told before somebody brings materials, and then the whole truth.
    assert!(world.balancer.parts.lock().unwrap().is_empty());
    world.want(&[(1, 1, 1, &serve())]).await;
    eventually("told", || !world.balancer.parts.lock().unwrap().is_empty()).await;
    let parts = world.balancer.parts.lock().unwrap().clone();
    for part in parts {
        assert!(part.groups.values().flat_map(|g| &g.targets).all(|t| t.healthy));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_instances_stay_in_traffic_though_materials_come_at_once() {
    let mut world = World::new().await;
    world.want(&[(1, 2, 1, &serve())]).await;
    world.until_ready(1, 2).await;
    let every = |world: &World| {
        let parts = world.balancer.parts.lock().unwrap().clone();
        parts.iter().all(|part| part.groups.values().flat_map(|g| &g.targets).all(|t| t.healthy))
    };
    for _ in 0..10 {
        world.engine.shutdown().await;
        world.balancer.parts.lock().unwrap().clear();
        world.options.materials = Some(world.materials());
        world.reopen().await;
        world.until_ready(1, 2).await;
        eventually("told", || !world.balancer.parts.lock().unwrap().is_empty()).await;
        assert!(every(&world), "told that a healthy instance is not");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_meanwhile_is_replaced() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    world.engine.shutdown().await;
    kill(seen.groups[&group(1)].instances[0].pid.unwrap());
    eventually("its exit", || world.instances().join(&id).join("exit.json").exists()).await;
    world.reopen().await;
    world
        .until("replaced", |seen| {
            seen.groups.get(&group(1)).is_some_and(|g| g.ready == 1 && g.instances[0].id != id)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_the_desired_state_is_restored() {
    let mut world = World::new().await;
    world.want(&[(1, 2, 1, &serve())]).await;
    let seen = world.until_ready(1, 2).await;
    world.engine.shutdown().await;
    for instance in &seen.groups[&group(1)].instances {
        for pid in marked(&instance.id) {
            kill(u32::try_from(pid).unwrap());
        }
    }
    world.options.boot_id = "boot-2".into();
    world.options.materials = Some(world.materials());
    world.reopen().await;
    let after = world.until_ready(1, 2).await;
    for instance in &after.groups[&group(1)].instances {
        let main: Main = world.read(&instance.id, "main.json");
        assert_eq!(main.process.boot, "boot-2");
        assert_eq!(instance.restarts, 0);
        assert!(!seen.groups[&group(1)].instances.iter().any(|old| old.id == instance.id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_that_end_at_any_instant_leave_exactly_what_is_wanted() {
    let mut world = World::new().await;
    for round in 0..12_u64 {
        let replicas = if round % 3 == 2 { 1 } else { 2 };
        world.want(&[(round / 4 + 1, replicas, 1, &serve())]).await;
        tokio::time::sleep(std::time::Duration::from_millis(round * 17 % 90)).await;
        world.reopen().await;
        let desired = world.engine.watch(&stack()).borrow().accepted;
        assert_eq!(desired.revision, Revision(world.revision));
    }
    world.want(&[(9, 2, 1, &serve())]).await;
    world
        .until("exactly release 9", |seen| {
            seen.groups.len() == 1 && seen.groups.get(&group(9)).is_some_and(|g| g.ready == 2)
        })
        .await;
    let wanted: Vec<String> = world.engine.watch(&stack()).borrow().groups[&group(9)]
        .instances
        .iter()
        .map(|instance| instance.id.clone())
        .collect();
    for entry in std::fs::read_dir(world.instances()).unwrap().flatten() {
        let id = entry.file_name().into_string().unwrap();
        let expected = if wanted.contains(&id) { 2 } else { 0 };
        assert_eq!(marked(&id).len(), expected, "{id}: a shim and a process, or nothing");
    }
}
