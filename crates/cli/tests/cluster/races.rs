//! Two clients want different things at once: one gets it, the other is told, and the cluster is
//! exactly what one of them asked for. `LANDFALL_RACES` says how often (5).

use crate::file::Shop;
use crate::world::World;
use landfall_testkit::{Host, finish};

const fn shop(version: u32) -> Shop<'static> {
    Shop { replicas: 1, rollout: "drain: 1s, deadline: 60s", ..Shop::version(version) }
}

#[test]
fn of_two_clients_one_wins() {
    let Some(world) = World::new("races") else { return };
    world.up_to(&shop(1)).expect(0);
    let races = std::env::var("LANDFALL_RACES").map_or(5, |it| it.parse().expect("a number"));
    // Another machine with the same key.
    let mut other = Host::new(env!("CARGO_BIN_EXE_landfall"));
    other.set("LANDFALL_TEST_LEASE_MS", "3000");
    other.set("KUBECONFIG", world.host.path("kubeconfig").display().to_string());
    other.set("LANDFALL_HOME", world.host.home().display().to_string());
    other.set("USER", "somebody");
    let mut serving = (1, 1);
    let mut codes = std::collections::BTreeMap::new();
    for race in 0..races {
        let versions = [10 + 2 * race, 11 + 2 * race];
        world.write(&shop(versions[1]));
        let file = std::fs::read_to_string(world.host.project().join("landfall.yaml"));
        other.write("landfall.yaml", &file.expect("the file"));
        world.write(&shop(versions[0]));
        let begun = [world.host.spawn(&["up"]), other.spawn(&["up"])];
        let ended = begun.map(|child| finish(child, &["up"]));
        let said = || format!("{ended:#?}");
        let won: Vec<usize> = (0..2).filter(|place| ended[*place].code == 0).collect();
        assert_eq!(won.len(), 1, "one wins: {}", said());
        let lost = &ended[1 - won[0]];
        assert!(matches!(lost.code, 10 | 11), "the other is told: {}", said());
        *codes.entry(lost.code).or_insert(0) += 1;
        let head = world.answer(&["history", "-n", "1"], "history");
        let head = head["releases"][0]["number"].as_u64().expect("a number");
        assert_eq!(head, serving.0 + 1, "one release is sealed: {}", said());
        serving = (head, versions[won[0]]);
        world.exactly_one_of(&[serving]);
    }
    eprintln!("{races} races, a winner each; the losers' codes: {codes:?}");
}
