use crate::world::*;
use landfall_engine::{Engine as _, EngineError};
use landfall_model::*;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn starts_scales_and_stops() {
    let mut world = World::new().await;
    let begin = Instant::now();
    world.want(&[(1, 2, 1, &serve())]).await;
    let seen = world.until_ready(1, 2).await;
    eprintln!("ready after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    let status = &seen.groups[&group(1)];
    assert_eq!((status.wanted, status.running, status.failing.clone()), (2, 2, None));
    for instance in &status.instances {
        let pid = get(instance.address.unwrap(), "/pid").await;
        assert_eq!(Some(pid.parse().unwrap()), instance.pid);
        assert_eq!(instance.state, InstanceState::Ready);
    }
    let seen = world
        .until("in traffic", |seen| {
            seen.traffic.values().any(|shares| shares.contains_key(&group(1)))
        })
        .await;
    assert_eq!(seen.accepted.revision, Revision(1));
    world.want(&[(1, 3, 1, &serve())]).await;
    world.until_ready(1, 3).await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    assert_eq!(
        seen.groups[&group(1)].instances[0].pid,
        status
            .instances
            .iter()
            .find(|i| i.id == seen.groups[&group(1)].instances[0].id)
            .unwrap()
            .pid
    );
    let id = seen.groups[&group(1)].instances[0].id.clone();
    let desired = world.desired();
    world.apply(desired).await;
    world.until_nothing().await;
    assert_eq!(marked(&id), Vec::<i32>::new());
    world.engine.forget(&stack()).await.unwrap();
    assert!(!world.instances().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_before_it_signals() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let old = seen.groups[&group(1)].instances[0].id.clone();
    world.want(&[(1, 1, 1, &serve()), (2, 1, 0, &serve())]).await;
    world.until_ready(2, 1).await;
    eventually("the new group in the load balancer", || {
        world.balancer.parts.lock().unwrap().last().unwrap().groups.len() == 2
    })
    .await;
    world.balancer.stats.lock().unwrap().instances.insert(old.clone(), 1);
    world.want(&[(2, 1, 1, &serve())]).await;
    world
        .until("draining", |seen| {
            seen.groups.get(&group(1)).is_some_and(|status| {
                status.instances[0].state == InstanceState::Draining && status.ready == 0
            })
        })
        .await;
    eventually("told to drain", || {
        world.balancer.target(&old).is_some_and(|t| t.drain_until.is_some() && !t.healthy)
    })
    .await;
    // While it has a connection it is not signalled.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!marked(&old).is_empty());
    world.balancer.stats.lock().unwrap().instances.clear();
    world.until("one group", |seen| seen.groups.len() == 1).await;
    assert_eq!(marked(&old), Vec::<i32>::new());
    let exit: landfall_protocol::shim::Exit = world.read(&old, "exit.json");
    assert!(exit.stopped);
    assert_eq!(exit.signal, Some(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_when_its_time_is_over() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let old = seen.groups[&group(1)].instances[0].id.clone();
    eventually("in traffic", || world.balancer.target(&old).is_some_and(|t| t.healthy)).await;
    world.balancer.stats.lock().unwrap().instances.insert(old.clone(), 1);
    let mut desired = world.wanted(&[(1, 1, 0, &serve()), (2, 1, 1, &serve())]);
    let until = Timestamp(now() + 700);
    desired.draining.insert(group(1), Draining { until });
    world.apply(desired).await;
    eventually("the group drains", || {
        let parts = world.balancer.parts.lock().unwrap();
        parts.last().unwrap().groups.values().any(|g| g.drain_until == Some(until))
    })
    .await;
    world.want(&[(2, 1, 1, &serve())]).await;
    world.until("one group", |seen| seen.groups.len() == 1).await;
    let exit: landfall_protocol::shim::Exit = world.read(&old, "exit.json");
    assert!(exit.at >= until, "stopped before its drain was over");
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_what_does_not_obey_after_the_grace() {
    let mut world = World::new().await;
    let mut stubborn = shell("trap '' TERM; while :; do sleep 0.05; done");
    stubborn.health.check = HealthCheck::Process;
    stubborn.stop.grace = Millis(300);
    world.want(&[(1, 1, 0, &stubborn)]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    world.want(&[]).await;
    world.until_nothing().await;
    let exit: landfall_protocol::shim::Exit = world.read(&id, "exit.json");
    assert_eq!((exit.signal, exit.stopped), (Some(9), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_older_fences_also_after_it_lived_again() {
    let mut world = World::new().await;
    let old = world.desired();
    let new = world.desired();
    world.apply(new.clone()).await;
    let refused = world.engine.apply(old.clone(), world.materials()).await;
    assert!(matches!(refused, Err(EngineError::Superseded { .. })));
    world.apply(new.clone()).await;
    world.reopen().await;
    assert_eq!(world.engine.watch(&stack()).borrow().accepted, new.fence);
    let refused = world.engine.apply(old, world.materials()).await;
    assert!(
        matches!(refused, Err(EngineError::Superseded { accepted, .. }) if accepted == new.fence)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn never_runs_two_releases_of_what_must_not_overlap() {
    let mut world = World::new().await;
    let mut alone = serve();
    alone.overlap = false;
    world.want(&[(1, 1, 0, &alone)]).await;
    world.until_ready(1, 1).await;
    world.want(&[(2, 1, 0, &alone)]).await;
    let mut watch = world.engine.watch(&stack());
    loop {
        let seen = watch.borrow_and_update().clone();
        let running = |release| seen.groups.get(&group(release)).map_or(0, |status| status.running);
        assert!(running(1) == 0 || running(2) == 0);
        if seen.groups.get(&group(2)).is_some_and(|status| status.ready == 1) {
            break;
        }
        watch.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn says_why_it_is_not_healthy() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &service(&[PROGRAM, "serve", "status", "503"]))]).await;
    let seen = world
        .until("failing with the check", |seen| {
            let why = seen.groups.get(&group(1)).and_then(|status| status.failing.clone());
            why.is_some_and(|why| why.contains("503"))
        })
        .await;
    let why = seen.groups[&group(1)].failing.clone().unwrap();
    assert!(why.contains("GET /healthz on 127.0.0.1:"), "{why}");
    assert!(why.contains("listening on"), "{why}");
    world.want(&[(2, 1, 0, &service(&["./nothing-here"]))]).await;
    world
        .until("failing to start", |seen| {
            let why = seen.groups.get(&group(2)).and_then(|status| status.failing.clone());
            why.is_some_and(|why| {
                why.contains("exited with code 127") && why.contains("cannot run `./nothing-here`")
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_else_has_is_not_healthy() {
    let mut world = World::new().await;
    // It writes its port down and does not listen; a stranger does.
    world.want(&[(1, 1, 0, &shell("exec sleep 60"))]).await;
    let seen = world
        .until("running", |seen| seen.groups.get(&group(1)).is_some_and(|g| g.running == 1))
        .await;
    let address = seen.groups[&group(1)].instances[0].address.unwrap();
    let stranger = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in stranger.incoming().flatten().take(20) {
            use std::io::Write as _;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    let seen = world
        .until("held by another", |seen| {
            let why = seen.groups.get(&group(1)).and_then(|status| status.failing.clone());
            why.is_some_and(|why| why.contains("held by another process"))
        })
        .await;
    assert_eq!(seen.groups[&group(1)].ready, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn material_that_is_gone_is_a_problem_and_comes_back() {
    let mut world = World::new().await;
    let blob = world.blobs.path().join(artifact().hex());
    let aside = world.blobs.path().join("aside");
    std::fs::rename(&blob, &aside).unwrap();
    world.want(&[(1, 1, 0, &serve())]).await;
    world.until("a problem", |seen| seen.problems.iter().any(|p| p.contains("it is gone"))).await;
    std::fs::rename(&aside, &blob).unwrap();
    let seen = world.until_ready(1, 1).await;
    assert_eq!(seen.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_instance_gets_nothing_until_it_is_well_again() {
    let mut world = World::new().await;
    let sick = world.blobs.path().join("sick");
    let mut service = serve();
    service.env.insert("SICK".into(), sick.display().to_string());
    world.want(&[(1, 1, 1, &service)]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    std::fs::write(&sick, "").unwrap();
    let seen = world
        .until("unhealthy", |seen| {
            seen.groups.get(&group(1)).is_some_and(|status| {
                status.instances[0].state == InstanceState::Unhealthy && status.ready == 0
            })
        })
        .await;
    assert!(seen.groups[&group(1)].failing.clone().unwrap().contains("500"));
    eventually("out of traffic", || world.balancer.target(&id).is_some_and(|t| !t.healthy)).await;
    std::fs::remove_file(&sick).unwrap();
    let seen = world.until_ready(1, 1).await;
    assert_eq!(seen.groups[&group(1)].instances[0].id, id, "it was not restarted");
    eventually("in traffic", || world.balancer.target(&id).is_some_and(|t| t.healthy)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signalled_while_the_load_balancer_cannot_be_told() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 1, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    eventually("in traffic", || world.balancer.target(&id).is_some_and(|t| t.healthy)).await;
    *world.balancer.refuse.lock().unwrap() = Some("the edge is gone".into());
    world.want(&[]).await;
    world
        .until("a problem", |seen| seen.problems.iter().any(|p| p.contains("the edge is gone")))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!marked(&id).is_empty());
    *world.balancer.refuse.lock().unwrap() = None;
    world.until_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_its_certificate_is_a_problem_and_the_rest_is_served() {
    let mut world = World::new().await;
    let mut desired = world.wanted(&[(1, 1, 1, &serve())]);
    let mut secure = desired.listeners.values().next().unwrap().clone();
    secure.listener.protocol = ListenerProtocol::Https;
    secure.listener.certificate = Some("shop".parse().unwrap());
    secure.certificate = Some(Certificate {
        version: CertificateVersion(1),
        names: vec!["shop.example".into()],
        fingerprint: artifact(),
        not_before: Timestamp(0),
        not_after: Timestamp(1),
        source: CertificateSource::Imported,
        acm: None,
    });
    desired.listeners.insert("secure".parse().unwrap(), secure);
    world.apply(desired).await;
    let seen = world
        .until("a problem", |seen| {
            seen.problems.iter().any(|problem| problem.starts_with("listener secure: "))
        })
        .await;
    assert_eq!(seen.traffic.len(), 1);
    assert_eq!(world.balancer.parts.lock().unwrap().last().unwrap().listeners.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_has_a_folder_and_stacks_are_listed() {
    let mut world = World::new().await;
    assert_eq!(world.engine.stacks(), []);
    world.want(&[(1, 1, 0, &serve())]).await;
    world.until_ready(1, 1).await;
    assert_eq!(world.engine.stacks(), [stack()]);
    assert!(world.engine.forget(&stack()).await.is_err(), "it still runs");
    let taken =
        landfall_engine_local::LocalEngine::open(world.options.clone(), world.balancer.clone());
    let refused = taken.await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("another engine has this folder"), "{refused}");
    world.want(&[]).await;
    world.until_nothing().await;
    world.engine.forget(&stack()).await.unwrap();
    assert_eq!(world.engine.stacks(), []);
    // After that, fences start again.
    world.revision = 0;
    world.want(&[(1, 1, 0, &serve())]).await;
    world.until_ready(1, 1).await;
}
