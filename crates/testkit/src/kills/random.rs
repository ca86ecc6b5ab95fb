//! Anybody at any instant of any verb, from a seed.

use super::chance::Chance;
use super::world::{World, said};
use super::{Ended, Programs, Served, Verb, Victim, in_parallel};
use crate::{Ran, finish};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to try.
#[derive(Debug, Clone)]
pub struct Random {
    /// The `landfall` program.
    pub program: PathBuf,
    /// Where chance starts.
    pub seed: u64,
    /// How many kills.
    pub count: u64,
    /// How many hosts at once.
    pub at_once: usize,
}

/// One kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Its number, from 0.
    pub number: u64,
    /// What is going on, when the host's past allows it; otherwise an `up`.
    pub wish: Verb,
    /// Who dies.
    pub victim: Victim,
    /// When, in hundredths of what a calm `up` takes: up to 150.
    pub instant: u32,
    /// Which of several.
    which: usize,
}

impl Round {
    fn of(seed: u64, number: u64) -> Self {
        let mut chance = Chance::of(seed, number);
        let wish = match chance.below(10) {
            0..5 => Verb::Up,
            5..8 => Verb::Rollback,
            _ => Verb::Forward,
        };
        let victim = Victim::ALL[chance.below(Victim::ALL.len())];
        let instant = u32::try_from(chance.below(151)).unwrap_or(0);
        Self { number, wish, victim, instant, which: chance.below(1000) }
    }
}

/// Rounds, and of each how it went on, with the verb that it was, or what was out of order.
pub type Rounds = Vec<(Round, Result<(Verb, Ended), String>)>;

/// Kills so many times, and says of each how it went on (with the verb that it was), or what was
/// out of order.
///
/// # Errors
/// When the programs cannot be copied.
pub fn random(wanted: &Random) -> Result<Rounds, String> {
    let programs = Programs::keep(&wanted.program)?;
    let rounds = (0..wanted.count).map(|number| Round::of(wanted.seed, number)).collect();
    let make = || World::make(&programs.landfall(), false);
    Ok(in_parallel(rounds, wanted.at_once, make, round))
}

fn round(world: &mut World, round: &Round) -> Result<(Verb, Ended), String> {
    let verb = possible(world, round.wish)?;
    let before = world.serving;
    let newest = world.head()?;
    let arguments = world.arguments(verb);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let child = world.host.spawn(&words);
    // The instant itself, not a wait for something.
    std::thread::sleep(world.typical * round.instant / 100);
    let candidates = world.candidates(round.victim, child.id());
    let died = Instant::now();
    let killed = match candidates.get(round.which % candidates.len().max(1)) {
        Some(process) => world.kill(round.victim, process),
        None => "nobody".to_owned(),
    };
    let ran = finish(child, &words);
    let (_, answered) = world.recover(round.victim)?;
    let head = world.head()?;
    world.settle(&|serving| serving == before || (serving == head && head > newest))?;
    let served = world.served(before, head)?;
    if served == Served::New {
        world.hook_ran(verb)?;
    }
    let took = died.elapsed();
    // A verb that was over before its time says how it ended.
    let code = (round.victim != Victim::Cli || ran.code != 137).then_some(ran.code);
    let ended = Ended { killed, served, code, answered, took };
    consistent(verb, round.victim, &ended, &ran)
        .map_err(|why| format!("{why}: {}{}", said(&ran), world.last_words()))?;
    if ended.took > Duration::from_secs(60) {
        return Err(format!("it took {:?}{}", ended.took, world.last_words()));
    }
    if code.is_none() || code == Some(9) {
        world.calm_up()?;
    }
    Ok((verb, ended))
}

/// The verb that was wished for, when the host's past has something to go back to or forward to.
fn possible(world: &World, wish: Verb) -> Result<Verb, String> {
    let status = world.status()?;
    let rolled_back = status["last"][0] == "rollback" && status["last"][1] == "succeeded";
    Ok(match wish {
        Verb::Rollback if status["serving"]["restores"].is_null() => Verb::Rollback,
        Verb::Forward if rolled_back => Verb::Forward,
        _ => Verb::Up,
    })
}

fn consistent(verb: Verb, victim: Victim, ended: &Ended, ran: &Ran) -> Result<(), String> {
    let agent = victim == Victim::Agent;
    let good = match ended.code {
        None => true,
        Some(0) => ended.served == Served::New,
        Some(4) => ended.served == Served::Previous,
        // The agent was gone, or a hook's outcome unknown.
        Some(9) => agent || ended.answered.is_some(),
        // No agent was there to be asked: these verbs do not start one.
        Some(6) => agent && verb != Verb::Up && ended.served == Served::Previous,
        Some(_) => false,
    };
    if good {
        return Ok(());
    }
    Err(format!("{verb} exits with {} and the {} release serves", ran.code, ended.served))
}
