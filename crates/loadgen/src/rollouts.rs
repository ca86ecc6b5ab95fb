//! Releases go out and back while clients ask.

use crate::load::{Load, Scale};
use crate::report::Report;
use crate::served::Comparison;
use crate::world::{Shape, World};
use landfall_testkit::Ran;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The slowest answer.
const SLOWEST: Duration = Duration::from_secs(1);
/// How long clients ask before the first rollout and after the last.
const QUIET: Duration = Duration::from_secs(1);

/// How releases follow one another, and how the shop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// What the shop does on TERM: `behave`, `exit`, `ignore`.
    pub term: &'static str,
    /// `blue-green`, `rolling`.
    pub strategy: &'static str,
}

impl Style {
    /// All of them.
    #[must_use]
    pub const fn all() -> [Self; 6] {
        const fn style(term: &'static str, strategy: &'static str) -> Style {
            Style { term, strategy }
        }
        [
            style("behave", "blue-green"),
            style("exit", "rolling"),
            style("ignore", "blue-green"),
            style("behave", "rolling"),
            style("exit", "blue-green"),
            style("ignore", "rolling"),
        ]
    }
}

impl std::fmt::Display for Style {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}, TERM: {}", self.strategy, self.term)
    }
}

/// Alternating `up` and `rollback` under load.
pub struct Rollouts {
    /// The program.
    pub program: PathBuf,
    /// How many rollouts, over all styles. Each style begins with one more that is not counted.
    pub count: usize,
    /// No new rollout begins after this time.
    pub time: Option<Duration>,
    /// How long an old release may finish: longer than the slowest answer, which takes one second,
    /// by what the machine may need for anything else.
    pub drain: Duration,
    /// Where chance begins.
    pub seed: u64,
    /// The load.
    pub scale: Scale,
}

/// What came of it.
pub struct Finished {
    /// Rollouts that were counted.
    pub rollouts: usize,
    /// Rollouts that began a style.
    pub beginnings: usize,
    /// What became of the requests.
    pub report: Report,
    /// Clients against instances.
    pub comparison: Comparison,
    /// What the load balancer counted.
    pub measured: Value,
    /// How long it took.
    pub took: Duration,
}

impl Rollouts {
    /// Does it. `say` hears a line now and then.
    ///
    /// # Panics
    /// When a verb fails.
    pub fn run(&self, mut say: impl FnMut(&str)) -> Finished {
        let drain = self.drain;
        let mut world = World::new(&self.program, Shape { drain, ..Shape::default() });
        up(&world, 0);
        let load = Load {
            target: world.target(),
            drain,
            slowest: SLOWEST,
            seed: self.seed,
            scale: self.scale,
        };
        let (began, load) = (Instant::now(), load.start());
        std::thread::sleep(QUIET);
        let (mut rollouts, mut version) = (0, 0);
        let styles = Style::all();
        for (index, style) in styles.into_iter().enumerate() {
            world.shape.style = style;
            world.write();
            version += 1;
            up(&world, version);
            let share = self.count * (index + 1) / styles.len();
            let time = self.time.map(|time| time.mul_f64(part(index, styles.len())));
            while rollouts < share && time.is_none_or(|time| began.elapsed() < time) {
                if rollouts % 2 == 0 {
                    version += 1;
                    up(&world, version);
                } else {
                    world.host.run(&["rollback", "--output", "json"]).expect(0);
                }
                rollouts += 1;
            }
            let lost = load.so_far().total().lost;
            say(&format!("{style}: {rollouts} rollouts, {lost} lost, {:.0?}", began.elapsed()));
        }
        std::thread::sleep(QUIET);
        let (report, took) = (load.stop(), began.elapsed());
        let comparison = Comparison::of(&report, &world.served());
        let measured = world.status()["measured"].clone();
        Finished { rollouts, beginnings: styles.len(), report, comparison, measured, took }
    }
}

/// The share of the time that has gone when this style ends.
fn part(index: usize, styles: usize) -> f64 {
    let number = |value: usize| u32::try_from(value).map_or(1.0, f64::from);
    number(index + 1) / number(styles)
}

fn up(world: &World, version: u32) -> Ran {
    let set = format!("version={version}");
    world.host.run(&["up", "--set", &set, "--output", "json"]).expect(0)
}

impl std::fmt::Display for Finished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "{} rollouts (and {} that begin a style) in {:.0?}",
            self.rollouts, self.beginnings, self.took
        )?;
        write!(formatter, "{}{}", self.report, self.comparison)?;
        writeln!(formatter, "the load balancer counted {}", self.measured)
    }
}
