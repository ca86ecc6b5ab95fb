//! A store that was damaged or cannot be written: said clearly, and nothing is lost.

use crate::world::{Shop, World};
use landfall_testkit::processes::Kind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn release_file(world: &World, number: u64) -> PathBuf {
    let folder = world.host.home().join("store/stacks/shop/local/releases");
    let name = format!("{number:020}");
    let entries = std::fs::read_dir(&folder).expect("releases").flatten();
    let found = entries.map(|it| it.path()).find(|it| it.to_string_lossy().contains(&name));
    found.unwrap_or_else(|| panic!("release {number} in {}", folder.display()))
}

#[test]
fn a_damaged_release_is_a_matter_of_integrity() {
    let world = World::up();
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    let file = release_file(&world, 1);
    let whole = std::fs::read(&file).expect("a release");
    let damaged: [Vec<u8>; 2] = [whole[..whole.len() / 2].to_vec(), {
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        flipped
    }];
    for bytes in damaged {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        std::fs::write(&file, bytes).expect("damaged");
        for verb in [&["show", "1"][..], &["rollback"], &["rollback", "--to", "1"]] {
            let refused = world.host.run(verb).expect(12).stderr;
            assert!(refused.contains("00001"), "names the object: {refused}");
        }
        world.assert_serves("2");
    }
    // What serves is whole, and goes on being changed.
    world.write(&Shop::version(3));
    world.host.run(&["up"]).expect(0);
    world.assert_serves("3");
    std::fs::write(&file, whole).expect("mended");
    world.host.run(&["rollback", "--to", "1"]).expect(0);
    world.assert_serves("1");
}

#[test]
fn a_restarted_agent_serves_on_without_its_release_and_says_so() {
    let world = World::up();
    world.host.run(&["agent", "stop"]).expect(0);
    let file = release_file(&world, 1);
    let whole = std::fs::read(&file).expect("a release");
    std::fs::write(&file, &whole[..10]).expect("damaged");
    world.host.run(&["agent", "start"]).expect(0);
    world.assert_serves("1");
    world.host.run(&["up", "--set", "version=2"]).expect(12);
    let doctor = world.host.run(&["doctor"]).expect(5).stderr;
    assert!(doctor.contains("LF0803") && doctor.contains("shop/local"), "{doctor}");
    world.assert_serves("1");
    assert_eq!(world.host.processes(Kind::Instance).len(), 1);
    std::fs::write(&file, whole).expect("mended");
    world.host.run(&["agent", "restart"]).expect(0);
    world.host.run(&["verify"]).expect(0);
}

#[test]
fn a_store_that_cannot_be_written_is_a_matter_of_permission() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root writes everywhere");
        return;
    }
    let world = World::up();
    let store = world.host.home().join("store");
    let lock = |mode: u32| {
        let mut folders = vec![store.clone()];
        while let Some(folder) = folders.pop() {
            let inside = std::fs::read_dir(&folder).expect("a folder").flatten();
            folders.extend(inside.map(|it| it.path()).filter(|it| it.is_dir()));
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode))
                .expect("a mode");
        }
    };
    lock(0o500);
    let refused = world.host.run(&["up", "--set", "version=2"]).expect(3).stderr;
    assert!(refused.contains("store"), "{refused}");
    world.assert_serves("1");
    lock(0o700);
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    world.assert_serves("2");
}
