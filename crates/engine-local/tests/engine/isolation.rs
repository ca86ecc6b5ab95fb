use crate::world::*;
use landfall_engine::Engine as _;
use landfall_engine_local::Isolation;
use landfall_model::*;
use std::os::unix::fs::MetadataExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_its_own_and_nothing_else() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let instance = &seen.groups[&group(1)].instances[0];
    let env = get(instance.address.unwrap(), "/env").await;
    let mut names: Vec<&str> =
        env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "COLOUR",
            "HOME",
            "HOST",
            "LANDFALL_INSTANCE",
            "LANDFALL_RELEASE",
            "LANDFALL_SERVICE",
            "LANDFALL_STACK",
            "LANG",
            "PATH",
            "PORT",
            "TMPDIR"
        ]
    );
    assert!(env.contains("LANDFALL_STACK=shop/local\n") && env.contains("LANDFALL_RELEASE=1\n"));
    let folder = get(instance.address.unwrap(), "/folder").await;
    assert!(folder.contains(&format!("artifacts/{}", artifact().hex())), "{folder}");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_outlive_releases() {
    let mut world = World::new().await;
    let script =
        format!("cat data/kept 2>/dev/null; ./hello; echo one >> data/kept; exec {PROGRAM} serve");
    let mut keeping = shell(&script);
    keeping.volumes.insert("data".parse().unwrap(), Volume { path: "data".into() });
    world.want(&[(1, 1, 0, &keeping)]).await;
    world.until_ready(1, 1).await;
    world.want(&[(2, 1, 0, &keeping)]).await;
    world
        .until("the second alone", |seen| {
            seen.groups.len() == 1 && seen.groups.get(&group(2)).is_some_and(|g| g.ready == 1)
        })
        .await;
    let kept = world.folder.path().join("volumes/shop.local/web/data/kept");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "one\none\n");
    world.want(&[]).await;
    world.until_nothing().await;
    assert!(kept.exists());
    world.engine.forget(&stack()).await.unwrap();
    assert!(!kept.exists(), "what is forgotten is gone with its volumes");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_root_each_service_has_its_own_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let mut world = World::with(|options| options.isolate = Isolation::default()).await;
    let serving = shell(&format!("exec {} serve", program_for_everybody(&world)));
    let mut keeping = serving.clone();
    keeping.volumes.insert("data".parse().unwrap(), Volume { path: "data".into() });
    world.want(&[(1, 1, 0, &keeping)]).await;
    let seen = world.until_ready(1, 1).await;
    let instance = &seen.groups[&group(1)].instances[0];
    let owner = |path: &std::path::Path| std::fs::metadata(path).unwrap().uid();
    let user = owner(format!("/proc/{}", instance.pid.unwrap()).as_ref());
    assert!(user >= 60_600, "{user}");
    assert_eq!(owner(&world.folder.path().join("volumes/shop.local/web/data")), user);
    assert_eq!(world.engine.check(&stack(), &content()).await, []);
    let spec = world.instances().join(&instance.id).join("spec.json");
    assert_eq!(std::fs::metadata(spec).unwrap().mode() & 0o777, 0o600);
}

/// The test program, where any user can start it.
fn program_for_everybody(world: &World) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.blobs.path(), everybody.clone()).unwrap();
    let path = world.blobs.path().join("program");
    std::fs::copy(PROGRAM, &path).unwrap();
    std::fs::set_permissions(&path, everybody).unwrap();
    path.display().to_string()
}

fn content() -> Content {
    Content {
        options: Default::default(),
        certificates: Default::default(),
        services: [("web".parse().unwrap(), limited())].into(),
        listeners: Default::default(),
        hooks: Vec::new(),
        rollout: RolloutPolicy {
            strategy: Strategy::BlueGreen,
            drain: Millis(0),
            bake: Millis(0),
            deadline: Millis(1000),
        },
    }
}

fn limited() -> Service {
    let mut limited = serve();
    limited.resources = Resources { memory: Some(Bytes(64 << 20)), cpu: Some(Cpu(500)) };
    limited
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_enforced_where_the_host_allows() {
    let mut world = World::new().await;
    let findings = world.engine.check(&stack(), &content()).await;
    if let Some(finding) = findings.iter().find(|finding| finding.code == "LF0702") {
        eprintln!("skipped: {}", finding.message);
        assert!(finding.message.contains("limits of web are not enforced"));
        return;
    }
    let mut greedy = limited();
    greedy.resources.memory = Some(Bytes(32 << 20));
    greedy.command =
        ["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c; sleep 60"]
            .map(str::to_owned)
            .to_vec();
    greedy.health.check = HealthCheck::Process;
    world.want(&[(1, 1, 0, &greedy)]).await;
    world
        .until("out of memory", |seen| {
            let why = seen.groups.get(&group(1)).and_then(|status| status.failing.clone());
            why.is_some_and(|why| why.contains("out of memory"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_root_or_by_choice_it_says_not_isolated() {
    let world = World::new().await;
    let findings = world.engine.check(&stack(), &content()).await;
    assert!(findings.iter().any(|f| f.code == "LF0701" && f.severity == Severity::Note));
}
