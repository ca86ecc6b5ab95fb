//! Every verb once, as the least account, in the order in which somebody would use them.

use crate::file::Shop;
use crate::world::{OURS, World};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use serde_json::json;

#[test]
fn a_stack_comes_changes_goes_back_and_goes() {
    let Some(world) = World::new("verbs") else { return };
    world.host.run(&["check"]).expect(0);
    let plan = world.host.run(&["plan"]).expect(0).stdout;
    for object in ["Deployment shop-web-r1", "ConfigMap shop-web-r1", "Service shop-public"] {
        assert!(plan.contains(object), "{object} in {plan}");
    }
    world.host.run(&["status"]).expect(0);
    world.host.run(&["history"]).expect(0);
    world.host.run(&["up"]).expect(0);
    world.exactly(1, 1);
    world.host.run(&["verify"]).expect(0);
    world.write(&Shop { replicas: 1, ..Shop::version(2) });
    let plan = world.host.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("data.VERSION: 1 → 2"), "{plan}");
    assert!(plan.contains("services.web.replicas: 2 → 1"), "{plan}");
    world.write(&Shop::version(2));
    world.host.run(&["plan", "--expect-no-changes"]).expect(7);
    world.host.run(&["up"]).expect(0);
    world.exactly(2, 2);
    let history = world.answer(&["history"], "history");
    let releases = history["releases"].as_array().expect("releases").iter();
    let releases: Vec<_> =
        releases.map(|it| (it["number"].as_u64(), it["serving"] == true)).collect();
    assert_eq!(releases, [(Some(2), true), (Some(1), false)]);
    let shown = world.answer(&["show", "1"], "release");
    assert_eq!(shown["release"]["content"]["services"]["web"]["env"]["VERSION"], "1");
    let diff = world.host.run(&["diff", "1", "2"]).expect(0).stdout;
    assert!(diff.contains("services.web.env.VERSION: 1 → 2"), "{diff}");
    let logs = world.host.run(&["logs", "web"]).expect(0).stdout;
    assert_eq!(logs.matches("listening on 8080").count(), 2, "{logs}");
    let said = world.host.run(&["exec", "web", "--", "sh", "-c", "echo I am $VERSION; exit 3"]);
    assert_eq!((said.code, said.stdout.trim()), (3, "I am 2"), "{}", said.stderr);
    let said = world.host.run(&["exec", "web", "--", "/nowhere"]).expect(255).stderr;
    assert!(said.contains("/nowhere"), "{said}");
    world.host.run(&["rollback"]).expect(0);
    world.exactly(3, 1);
    world.host.run(&["forward"]).expect(0);
    world.exactly(4, 2);
    let again = world.host.run(&["up"]).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}{}", again.stdout, again.stderr);
    world.exactly(4, 2);
    world.host.run(&["down"]).expect(0);
    assert_eq!(world.names::<Deployment>(OURS), Vec::<String>::new());
    assert_eq!(world.names::<Service>(OURS), Vec::<String>::new());
    world.host.run(&["verify"]).expect(4);
    world.host.run(&["down", "--purge", "--yes"]).expect(0);
    nothing_of_it_is_left(&world);
}

fn nothing_of_it_is_left(world: &World) {
    for labels in [OURS, "app.kubernetes.io/managed-by=landfall"] {
        assert_eq!(world.names::<Deployment>(labels), Vec::<String>::new());
        assert_eq!(world.names::<Service>(labels), Vec::<String>::new());
        assert_eq!(world.names::<Job>(labels), Vec::<String>::new());
        assert_eq!(world.names::<PodDisruptionBudget>(labels), Vec::<String>::new());
    }
    // The store's own record stays, and the lease, so that reigns only rise.
    let own = |key: &str| {
        key == "format" || key.starts_with("probe/") || key.starts_with("stacks/shop/prod/lease/")
    };
    for secret in world.list::<Secret>("") {
        let key = secret.annotations().get("landfall.dev/key").cloned().unwrap_or_default();
        assert!(own(&key), "{key} is left");
    }
    assert_eq!(world.names::<ConfigMap>(""), ["kube-root-ca.crt", "landfall-keys"]);
}

#[test]
fn what_somebody_changed_is_shown_with_path_and_both_values() {
    let Some(world) = World::up("drift") else { return };
    let scaled = json!({ "spec": { "replicas": 1 } });
    world.patch::<Deployment>("shop-web-r1", "kubectl-scale", &scaled);
    let added = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "web", "env": [{ "name": "DEBUG", "value": "yes" }] },
    ] } } } });
    world.patch::<Deployment>("shop-web-r1", "kubectl-edit", &added);
    let labelled = json!({ "spec": { "selector": { "landfall.dev/release": "7" } } });
    world.patch::<Service>("shop-public", "kubectl-edit", &labelled);
    let text = world.host.run(&["diff", "--live"]).expect(7);
    let text = text.stdout + &text.stderr;
    for (path, is, should) in [
        ("spec.replicas", "1", "2"),
        ("env.DEBUG.value", "yes", "not be there"),
        ("spec.selector.[landfall.dev/release]", "7", "1"),
    ] {
        let line = text.lines().find(|line| line.contains(path));
        let line = line.unwrap_or_else(|| panic!("{path} in {text}"));
        assert!(line.contains(is) && line.contains(should), "{line}");
    }
    let verified = world.host.run(&["verify"]).expect(5);
    let verified = verified.stdout + &verified.stderr;
    assert!(verified.contains("✗ Service shop-public"), "{verified}");
    assert!(verified.contains("spec.replicas is 1 and should be 2"), "{verified}");
    // The next release has none of it.
    world.host.run(&["up", "--again", "--take-ownership"]).expect(0);
    world.exactly(2, 1);
}

#[test]
fn a_saved_plan_fits_one_world_only_and_a_key_asks_only_once() {
    let Some(world) = World::new("plans") else { return };
    world.host.run(&["plan", "-o", "first.plan"]).expect(0);
    world.host.run(&["up", "--plan", "first.plan"]).expect(0);
    world.host.run(&["up", "--plan", "first.plan"]).expect(11);
    world.exactly(1, 1);
    world.host.run(&["plan", "--set", "version=3", "-o", "stale.plan"]).expect(0);
    world.write(&Shop::version(2));
    world.host.run(&["up", "--idempotency-key", "build-7"]).expect(0);
    world.host.run(&["up", "--idempotency-key", "build-7"]).expect(0);
    let stale = world.host.run(&["up", "--plan", "stale.plan"]).expect(11).stderr;
    assert!(stale.contains("the newest release was 1"), "{stale}");
    world.exactly(2, 2);
}
