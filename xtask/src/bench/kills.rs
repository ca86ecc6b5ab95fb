//! Kills of anybody at any instant of any verb.

use super::figures::goal;
use super::options::Options;
use landfall_testkit::kills::{Random, random, rounds};

pub fn run(options: &Options) -> anyhow::Result<()> {
    let count = u64::from(options.count.unwrap_or(500));
    let wanted = Random { program: options.program()?, seed: options.seed, count, at_once: 2 };
    let ended = random(&wanted).map_err(anyhow::Error::msg)?;
    println!("{}", rounds(&ended));
    let wrong = ended.iter().filter(|(_, result)| result.is_err()).count();
    println!("{count} kills from seed {}, {wrong} not in order", options.seed);
    goal("what was intended serves after every kill", wrong == 0)
}
