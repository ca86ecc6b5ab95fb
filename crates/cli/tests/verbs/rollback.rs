//! Going back and forward are the same act as going out.

use crate::certificates::{Made, make};
use crate::client::Connection;
use crate::world::{PATIENCE, SHOP, Shop, World};
use landfall_testkit::until;

fn restores(world: &World) -> u64 {
    let history = world.answer(&["history", "-n", "1"], "history");
    history["releases"][0]["restores"].as_u64().expect("it restores one")
}

#[test]
fn back_skips_what_failed_and_goes_further_each_time_and_forward_undoes() {
    let world = World::up();
    for version in [2, 3] {
        world.write(&Shop::version(version));
        world.host.run(&["up"]).expect(0);
    }
    world.write(&Shop { version: 4, command: "[sh, -c, 'exit 1']", ..SHOP });
    world.host.run(&["up"]).expect(4);
    // 5 restores 2, because 4 failed and 3 serves; 6 restores 1; then there is nothing older.
    world.host.run(&["rollback"]).expect(0);
    assert_eq!(restores(&world), 2);
    world.assert_serves("2");
    let shown = world.host.run(&["show", "5"]).expect(0).stdout;
    assert!(shown.contains("restores: 2"), "{shown}");
    world.host.run(&["rollback"]).expect(0);
    assert_eq!(restores(&world), 1);
    world.assert_serves("1");
    let none = world.host.run(&["rollback"]).expect(6).stderr;
    assert!(none.contains("no release") && none.contains("was healthy"), "{none}");
    // 7 restores 2, 8 restores 3.
    world.host.run(&["forward"]).expect(0);
    world.assert_serves("2");
    world.host.run(&["forward"]).expect(0);
    assert_eq!(restores(&world), 3);
    world.assert_serves("3");
    let none = world.host.run(&["forward"]).expect(2).stderr;
    assert!(none.contains("no rollback to undo"), "{none}");
    // After another `up` there is nothing to go forward to.
    world.host.run(&["rollback"]).expect(0);
    world.write(&Shop::version(9));
    world.host.run(&["up"]).expect(0);
    world.host.run(&["forward"]).expect(2);
    let numbers: Vec<u64> = world.history().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=10).rev().collect::<Vec<_>>(), "numbers only rise");
}

#[test]
fn any_release_can_be_named() {
    let world = World::up();
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    world.host.run(&["rollback", "--to", "1"]).expect(0);
    world.host.run(&["rollback", "--to", "2"]).expect(0);
    world.assert_serves("2");
    world.host.run(&["rollback", "--to", "99"]).expect(6);
    world.host.run(&["rollback", "--to", "two"]).expect(2);
    assert_eq!(world.history().len(), 4);
}

#[test]
fn it_needs_no_working_folder() {
    let world = World::up();
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    std::fs::remove_dir_all(world.host.project().join("dist")).expect("removed");
    std::fs::remove_file(world.host.project().join("landfall.yaml")).expect("removed");
    world.host.run(&["rollback"]).expect(0);
    world.assert_serves("1");
    world.host.run(&["status", "local"]).expect(0);
    world.host.run(&["rollback", "shop/nowhere"]).expect(6);
}

#[test]
fn a_certificate_that_expired_since_is_replaced_and_that_is_said() {
    let world = World::new();
    world.write(&Shop { tls: true, ..SHOP });
    let short = make(&["localhost"], 20);
    short.import(&world).expect(0);
    world.host.run(&["up"]).expect(0);
    let long = make(&["localhost"], 3600);
    long.import(&world).expect(0);
    world.write(&Shop { tls: true, version: 2, ..SHOP });
    world.host.run(&["up"]).expect(0);
    until("the first certificate to expire", PATIENCE, || short.expired().then_some(()));
    let back = world.host.run(&["rollback"]).expect(0).stderr;
    assert!(
        back.contains("version 2 in place of version 1, because version 1 has expired"),
        "{back}"
    );
    let shown = world.answer(&["show", "3"], "release");
    let substitution = &shown["release"]["substitutions"][0];
    assert_eq!(substitution["path"], "certificates.shop", "{shown}");
    assert!(world.host.run(&["show", "3"]).expect(0).stdout.contains("in place of version 1"));
    let Made { der, chain, .. } = &long;
    let mut connection = Connection::tls(world.port, chain).expect("a handshake");
    assert_eq!(connection.leaf.as_ref(), Some(der));
    assert!(connection.get("/version", true).expect("an answer").body.contains("version=1"));
}

#[test]
fn a_release_whose_artifact_is_gone_is_marked_before_anybody_needs_it() {
    let world = World::up();
    world.host.write("dist/more", "something else\n");
    world.write(&Shop::version(2));
    world.host.run(&["up"]).expect(0);
    let first = world.answer(&["show", "1"], "release");
    let digest = first["release"]["content"]["services"]["web"]["artifact"]["digest"].clone();
    let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
    let removed = remove_file_named(&world.host.home().join("store"), &hex);
    assert!(removed, "the blob {hex} is in the store");
    let history = world.host.run(&["history"]).expect(0).stdout;
    assert!(history.contains(&format!("the artifact {} is gone", &hex[..12])), "{history}");
    let back = world.host.run(&["rollback"]).expect(6).stderr;
    assert!(back.contains("release 1") && back.contains("is gone"), "{back}");
    world.assert_serves("2");
    assert_eq!(world.history().len(), 2, "nothing was sealed");
}

/// Removes a file by how its path ends, slashes aside.
fn remove_file_named(folder: &std::path::Path, name: &str) -> bool {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if remove_file_named(&path, name) {
                return true;
            }
        } else if path.to_string_lossy().replace('/', "").contains(name) {
            return std::fs::remove_file(path).is_ok();
        }
    }
    false
}
