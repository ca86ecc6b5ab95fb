//! Requests while releases come and go. `LANDFALL_ROLLOUTS` says how often it goes forth and back
//! (2), which is two rollouts each.

use crate::file::Shop;
use crate::load::Load;
use crate::world::World;

#[test]
fn no_request_is_lost() {
    let Some(world) = World::up("lost") else { return };
    let rounds: u32 =
        std::env::var("LANDFALL_ROLLOUTS").map_or(2, |it| it.parse().expect("a number"));
    let load = Load::start(world.address().expect("an address"));
    let mut said = String::new();
    for round in 0..rounds {
        let strategy = if round % 2 == 0 { "blue-green" } else { "rolling" };
        let rollout = format!("strategy: {strategy}, drain: 2s, deadline: 90s");
        let shop = Shop { rollout: &rollout, ..Shop::version(round + 2) };
        let ran = world.up_to(&shop).expect(0);
        said.push_str(&ran.stdout);
        world.assert_serves(round + 2);
        said.push_str(&world.host.run(&["rollback", "--output", "json"]).expect(0).stdout);
    }
    let (asked, lost) = load.end();
    eprintln!("{} rollouts, {asked} requests, {} lost", 2 * rounds, lost.len());
    assert_eq!(lost, Vec::<String>::new(), "of {asked}\n{said}");
}
