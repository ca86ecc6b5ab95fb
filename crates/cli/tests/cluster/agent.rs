//! The agent inside a cluster, as a process beside it: it ends what a client began and left.

use crate::file::{SHOP, Shop};
use crate::world::{PATIENCE, World};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use landfall_testkit::{Host, finish, processes, until};
use std::process::Child;
use std::time::Duration;

/// An agent with a home and a key of its own, as in a pod.
struct Agent {
    host: Host,
    child: Option<Child>,
}

impl Agent {
    fn start(world: &World) -> Self {
        let mut host = Host::new(env!("CARGO_BIN_EXE_landfall"));
        host.set("LANDFALL_TEST_LEASE_MS", "3000");
        host.set("KUBECONFIG", world.host.path("kubeconfig").display().to_string());
        let child = host.spawn(&[
            "agent",
            "run",
            "--in-cluster",
            "shop/prod",
            "--namespace",
            &world.namespace,
        ]);
        Self { host, child: Some(child) }
    }

    /// Asks it to end, which it does.
    fn end(mut self) {
        let child = self.child.take().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::TERM)
            .expect("a signal");
        finish(child, &["agent", "run"]).expect(0);
        assert!(self.host.home().exists());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn it_ends_a_rollout_whose_client_was_killed() {
    let Some(world) = World::up("agent-takes-over") else { return };
    let agent = Agent::start(&world);
    let child = world.start(&Shop::version(2));
    until("the new release", PATIENCE, || world.get::<Deployment>("shop-web-r2"));
    processes::kill(child.id());
    let _ = finish(child, &["up"]);
    // Nobody asks for anything: only looks.
    until("the end of the rollout", PATIENCE, || {
        (world.names::<Deployment>(crate::world::OURS) == ["shop-web-r2"]).then_some(())
    });
    world.exactly(2, 2);
    // A client that comes is let in, also while the agent is there.
    world.up_to(&Shop::version(3)).expect(0);
    world.exactly(3, 3);
    agent.end();
}

#[test]
fn it_goes_back_when_the_new_release_gets_ill_and_nobody_is_connected() {
    let Some(world) = World::up("agent-bakes") else { return };
    let agent = Agent::start(&world);
    let shop = Shop {
        command: "[sh, -c, 'mkdir -p /tmp/w && echo > /tmp/w/healthz && echo version=2 > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w']",
        rollout: "drain: 1s, bake: 60s, deadline: 60s",
        ..SHOP
    };
    let child = world.start(&Shop { version: 2, ..shop });
    until("its traffic", PATIENCE, || (world.serves()? == "2").then_some(()));
    processes::kill(child.id());
    let _ = finish(child, &["up"]);
    std::thread::sleep(Duration::from_secs(1));
    for pod in world.list::<Pod>("landfall.dev/release=2") {
        world.run_in(&pod.name_any(), &["sh", "-c", "rm /tmp/w/healthz"]);
    }
    until("the way back", PATIENCE, || (world.serves()? == "1").then_some(()));
    until("the end of the way back", PATIENCE, || {
        (world.names::<Deployment>(crate::world::OURS) == ["shop-web-r1"]).then_some(())
    });
    world.exactly(1, 1);
    until("how it ended", PATIENCE, || {
        let history = world.answer(&["history", "-n", "1"], "history");
        (history["releases"][0]["outcome"]["outcome"] == "failed").then_some(())
    });
    agent.end();
}
