//! Whoever drives a rollout is killed: the next command brings it to an end that is exactly one of
//! the two releases. `LANDFALL_KILLS` says at how many random instants (5).

use crate::file::Shop;
use crate::world::{PATIENCE, World};
use landfall_testkit::{finish, processes, until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A rollout with every step that there is.
const SHOP: Shop<'_> = Shop {
    rollout: "drain: 1s, bake: 1s, deadline: 60s",
    more: "hooks: { before: { migrate: { service: web, command: [sh, -c, 'echo migrated'] } } }",
    replicas: 1,
    ..crate::file::SHOP
};
/// How many namespaces at once.
const AT_ONCE: usize = 3;
/// Where chance starts.
const SEED: u64 = 20_261_125;

/// A world in which drivers die.
struct Deadly {
    world: World,
    version: u32,
    /// The release that serves, and its version.
    serving: (u64, u32),
}

impl Deadly {
    fn new(name: &str) -> Option<Self> {
        let mut world = World::new(name)?;
        world.host.set("LANDFALL_TEST_LEASE_MS", "1000");
        let points = world.host.path("points");
        std::fs::create_dir_all(&points).expect("a folder");
        world.host.set("LANDFALL_TEST_POINTS", points.display().to_string());
        world.write(&SHOP);
        world.host.run(&["up"]).expect(0);
        world.exactly(1, 1);
        Some(Self { world, version: 1, serving: (1, 1) })
    }

    fn point(&self, name: &str) -> std::path::PathBuf {
        self.world.host.path("points").join(name)
    }

    /// The moments that were passed, in order.
    fn seen(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(self.point("seen")).unwrap_or_default();
        let moment = |line: &str| {
            let (sequence, moment) = line.split(' ').next()?.split_once('-')?;
            Some((sequence.parse().ok()?, moment.to_owned()))
        };
        text.lines().filter_map(moment).collect()
    }

    /// The last entry that was written.
    fn last(&self) -> u64 {
        let written = self.seen().into_iter().filter(|(_, moment)| moment != "before-write");
        written.map(|(sequence, _)| sequence).max().unwrap_or(0)
    }

    /// The moments of a calm rollout, as places in a run.
    fn moments(&mut self) -> Vec<(u64, String)> {
        let last = self.last();
        self.version += 1;
        self.world.up_to(&Shop { version: self.version, ..SHOP }).expect(0);
        self.serving = (self.head(), self.version);
        self.world.exactly_one_of(&[self.serving]);
        let new = self.seen().into_iter().filter(|(sequence, _)| *sequence > last);
        new.map(|(sequence, moment)| (sequence - last, moment)).collect()
    }

    fn head(&self) -> u64 {
        let history = self.world.answer(&["history", "-n", "1"], "history");
        history["releases"][0]["number"].as_u64().expect("a number")
    }

    /// Kills the driver at this moment of a rollout.
    fn at_moment(&mut self, (place, moment): &(u64, String)) {
        let _ = std::fs::remove_file(self.point("reached"));
        let stop = format!("{}-{moment}", self.last() + place);
        std::fs::write(self.point("stop"), &stop).expect("written");
        self.version += 1;
        let child = self.world.start(&Shop { version: self.version, ..SHOP });
        until(&stop, PATIENCE, || self.point("reached").exists().then_some(()));
        self.kill(child);
        let _ = std::fs::remove_file(self.point("stop"));
        let _ = std::fs::remove_file(self.point("reached"));
        self.goes_on(*place == 1 && moment == "before-write");
    }

    /// Kills the driver after this time.
    fn after(&mut self, time: Duration) {
        self.version += 1;
        let child = self.world.start(&Shop { version: self.version, ..SHOP });
        std::thread::sleep(time);
        self.kill(child);
        self.goes_on(true);
    }

    fn kill(&self, child: std::process::Child) {
        processes::kill(child.id());
        let _ = finish(child, &["up"]);
    }

    /// The next command ends with one of the two.
    fn goes_on(&mut self, may_be_nothing: bool) {
        let before = self.serving;
        let resumed = self.world.host.run(&["resume", "--output", "json"]).expect(0);
        let new = (self.head(), self.version);
        eprintln!("    {}", resumed.stdout.lines().last().unwrap_or_default());
        let found = self.world.exactly_one_of(&[before, new]);
        assert!(may_be_nothing || found == new, "what was begun comes to its end");
        self.serving = found;
    }
}

fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |it| it.parse().expect("a number"))
}

/// Runs the work of each of a few worlds until none is left.
fn in_parallel(name: &str, rows: usize, work: impl Fn(&mut Deadly, usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for place in 0..AT_ONCE.min(rows) {
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                let Some(mut deadly) = Deadly::new(&format!("{name}-{place}")) else { return };
                loop {
                    let row = next.fetch_add(1, Ordering::Relaxed);
                    if row >= rows {
                        return;
                    }
                    work(&mut deadly, row);
                }
            });
        }
    });
}

/// With `LANDFALL_EVERY_MOMENT` each moment of each entry, otherwise each entry at one of its moments.
#[test]
fn whoever_comes_after_a_killed_client_ends_what_it_began() {
    let Some(mut calm) = Deadly::new("moments") else { return };
    let mut moments = calm.moments();
    drop(calm);
    assert!(moments.len() >= 15, "only {moments:?}");
    if std::env::var_os("LANDFALL_EVERY_MOMENT").is_none() {
        let places = moments.clone().into_iter().enumerate();
        moments = places.filter(|(place, _)| (place / 3) % 3 == place % 3).map(|it| it.1).collect();
    }
    in_parallel("moment", moments.len(), |deadly, row| {
        let began = Instant::now();
        deadly.at_moment(&moments[row]);
        eprintln!("{:?}: in order after {:?}", moments[row], began.elapsed());
    });
    eprintln!("{} moments", moments.len());
}

#[test]
fn a_client_may_be_killed_at_any_instant() {
    let kills = count("LANDFALL_KILLS", 5);
    in_parallel("instant", kills, |deadly, row| {
        // SplitMix64, so that a round is the same for the same seed.
        let mut mixed = SEED.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let time = Duration::from_millis((mixed ^ (mixed >> 31)) % 7000);
        deadly.after(time);
        eprintln!("kill {row} after {time:?}: in order, release {} serves", deadly.serving.0);
    });
}
