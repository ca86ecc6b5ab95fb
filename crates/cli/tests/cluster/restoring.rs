//! Going back brings back all of a release: its environment and its image as well.

use crate::file::{SHOP, Shop};
use crate::world::{World, bed};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use std::process::Command;

#[test]
fn environment_and_image_come_back() {
    let Some(world) = World::new("restoring") else { return };
    world.up_to(&Shop { service: "", replicas: 1, ..SHOP }).expect(0);
    let first = environment(&world);
    let images = images(&world);
    let elsewhere = Some("127.0.0.1:1/nowhere:9");
    let rollout = "drain: 1s, deadline: 3s";
    world.up_to(&Shop { image: elsewhere, rollout, ..Shop::version(2) }).expect(4);
    world.exactly(1, 1);
    let other = another_image();
    world
        .up_to(&Shop { image: other.as_deref(), command: "[/app, serve, two]", ..Shop::version(3) })
        .expect(0);
    let now = self::images(&world);
    assert!(other.is_none() || now.iter().all(|image| *image == other), "{now:?}");
    assert!(environment(&world).contains("VERSION=3"));
    world.host.run(&["rollback"]).expect(0);
    let numbers = |text: &str| text.replace("LANDFALL_RELEASE=4", "LANDFALL_RELEASE=1");
    assert_eq!(numbers(&environment(&world)), first);
    assert_eq!(self::images(&world), images);
    world.exactly(4, 1);
    let maps = world.names::<ConfigMap>(crate::world::OURS);
    assert_eq!(maps, ["landfall-shop-prod", "shop-web-r4"]);
}

/// A second image on the node, when it is the test bed's.
fn another_image() -> Option<String> {
    let bed = bed()?;
    let name = format!("testbed.local/app:{}", std::process::id());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kubernetes.sh");
    let folder = tempfile::tempdir().ok()?;
    let archive = folder.path().join("image.tar");
    let mut make = Command::new(script);
    make.env("IMAGE_USER", "10001").arg("image").arg(&name).arg(bed.join("bin/pod")).arg(&archive);
    make.arg("/bin/busybox=bin/sh");
    let mut load = Command::new(script);
    load.arg("load").arg(&bed).arg(&archive);
    for command in [&mut make, &mut load] {
        assert!(command.status().ok()?.success(), "{command:?}");
    }
    Some(name)
}

/// What the running pods see.
fn environment(world: &World) -> String {
    let ran = world.host.run(&["exec", "web", "--", "sh", "-c", "env"]).expect(0);
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.retain(|line| !line.starts_with("HOSTNAME=") && !line.starts_with("KUBERNETES_"));
    lines.sort_unstable();
    lines.join("\n")
}

fn images(world: &World) -> Vec<Option<String>> {
    let pods = world.list::<Pod>("landfall.dev/group=serves");
    pods.into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .flat_map(|pod| pod.spec.map(|spec| spec.containers).unwrap_or_default())
        .map(|container| container.image)
        .collect()
}
