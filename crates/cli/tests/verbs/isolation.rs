//! As root each service has a user of its own, who reaches its own things and nothing else.

use crate::world::World;
use landfall_testkit::processes::Kind;
use std::os::unix::fs::MetadataExt as _;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: not root");
    }
    root
}

/// Two services of one stack, the second with something to hide.
fn two(world: &World) {
    world.host.write(
        "landfall.yaml",
        &format!(
            "landfall: v1\napp: shop\nservices:\n\
             \x20 web: {{ artifact: ./dist, command: [./shop, serve] }}\n\
             \x20 vault: {{ artifact: ./dist, command: [./shop, work], env: {{ WORD: open-sesame }} }}\n\
             certificates:\n  shop: {{ names: [localhost] }}\n\
             listeners:\n  public: {{ listen: \"127.0.0.1:{}\", protocol: https, certificate: shop, to: web }}\n",
            world.port
        ),
    );
}

#[test]
fn a_service_reads_neither_keys_nor_its_siblings() {
    if !is_root() {
        return;
    }
    let world = World::new();
    two(&world);
    world.host.run(&["up"]).expect(0);
    let doctor = world.host.run(&["doctor"]).expect(0).stderr;
    assert!(!doctor.contains("LF0701"), "isolated: {doctor}");
    let instances = world.host.processes(Kind::Instance);
    let owner = |pid: u32| std::fs::metadata(format!("/proc/{pid}")).expect("a process").uid();
    let users: std::collections::BTreeSet<u32> = instances.iter().map(|it| owner(it.pid)).collect();
    assert!(users.len() == 2 && !users.contains(&0), "{users:?}");
    let vault = instances
        .iter()
        .find(|it| it.instance.as_deref().is_some_and(|name| name.starts_with("vault")))
        .expect("the vault");
    let home = world.host.home();
    let script = format!(
        "id -u; ls {home} {home}/store {home}/keys {home}/certificates {home}/edge {home}/engine; \
         cat {home}/keys/owner.key {home}/epoch {home}/agent.log {home}/agent.lock \
         {home}/certificates/shop/local/shop/1/key.pem {home}/certificates/authority/ca.key \
         /proc/{vault}/environ; grep -ra open-sesame {home}; find {home} -type f -readable; \
         test -w {home}/agent.sock && echo may speak to the agent; exit 0",
        home = home.display(),
        vault = vault.pid,
    );
    let looked = world.host.run(&["exec", "web", "--", "sh", "-c", &script]).expect(0);
    let mut lines = looked.stdout.lines();
    assert_ne!(lines.next(), Some("0"), "{}", looked.stdout);
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<&str>::new(), "read something: {}", looked.stdout);
    assert!(looked.stderr.matches("ermission denied").count() >= 8, "{}", looked.stderr);
    // It does reach what is its own.
    world.host.run(&["exec", "web", "--", "./shop", "version"]).expect(0);
}

#[test]
fn a_home_that_others_cannot_reach_is_said() {
    if !is_root() {
        return;
    }
    let mut world = World::new();
    let parent = world.host.path("private");
    std::fs::create_dir(&parent).expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&parent, mode).expect("a mode");
    let home = world.host.path("private/home");
    world.host.set("LANDFALL_HOME", home.display().to_string());
    world.host.run(&["up"]).expect(0);
    let doctor = world.host.run(&["doctor"]).expect(0).stderr;
    assert!(doctor.contains("LF0701") && doctor.contains("private"), "{doctor}");
    world.host.run(&["down"]).expect(0);
    for process in landfall_testkit::processes::of(&home) {
        landfall_testkit::processes::kill(process.pid);
    }
}

#[test]
fn a_program_that_the_service_cannot_reach_is_said() {
    if !is_root() {
        return;
    }
    let mut world = World::new();
    let private = world.host.path("private");
    std::fs::create_dir_all(private.join("bin")).expect("a folder");
    std::fs::copy(world.host.project().join("dist/shop"), private.join("bin/keeper"))
        .expect("copied");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&private, mode).expect("a mode");
    let search = std::env::var("PATH").expect("a PATH");
    world.host.set("PATH", format!("{}:{search}", private.join("bin").display()));
    world.write(&crate::world::Shop { command: "[keeper, serve]", ..crate::world::SHOP });
    let said = world.host.run(&["up"]).expect(4).stderr;
    let words = format!("may not enter {}:", private.display());
    assert!(
        said.contains("cannot run `keeper`: Permission denied") && said.contains(&words),
        "{said}"
    );
}
