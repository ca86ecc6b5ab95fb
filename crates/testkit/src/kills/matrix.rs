//! Every moment of every journal entry, with everybody who could die then.

use super::world::{World, said};
use super::{Ended, Moment, Programs, Served, Verb, Victim, in_parallel};
use crate::finish;
use crate::processes::Process;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the others have to notice that somebody is gone before the rollout goes on.
const NOTICE: Duration = Duration::from_millis(50);
/// How long a hook may take to be there after it was asked for.
const HOOK: Duration = Duration::from_secs(2);

/// Which rows are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every entry, every moment, every victim.
    Whole,
    /// Every moment of every entry, and every victim at every moment of some entry.
    Some,
}

/// What to try.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The `landfall` program.
    pub program: PathBuf,
    /// Which rows.
    pub selection: Selection,
    /// How many hosts at once.
    pub at_once: usize,
}

/// A row of the matrix: who dies, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What is going on.
    pub verb: Verb,
    /// The place of the entry in its run, from 1.
    pub entry: u64,
    /// What the entry enters, in one word.
    pub step: String,
    /// The moment in the entry's life.
    pub moment: Moment,
    /// Who dies.
    pub victim: Victim,
}

/// Rows, and of each how it ended or what was out of order.
pub type Rows = Vec<(Row, Result<Ended, String>)>;

/// Tries every row, and says of each how it ended or what was out of order.
///
/// # Errors
/// When a calm run does not even work.
pub fn matrix(wanted: &Matrix) -> Result<Rows, String> {
    let programs = Programs::keep(&wanted.program)?;
    let mut world = World::make(&programs.landfall(), true)?;
    let mut rows = Vec::new();
    for verb in [Verb::Up, Verb::Rollback] {
        rows.extend(rows_of(&mut world, verb, wanted.selection)?);
    }
    drop(world);
    let make = || World::make(&programs.landfall(), true);
    Ok(in_parallel(rows, wanted.at_once, make, row))
}

/// The rows of a verb, from the entries that a calm run of it writes.
fn rows_of(world: &mut World, verb: Verb, selection: Selection) -> Result<Vec<Row>, String> {
    let last = world.last_entry();
    let arguments = world.arguments(verb);
    let ran = world.run(&arguments)?;
    if ran.code != 0 {
        return Err(format!("a calm {verb} exits with {}: {}", ran.code, said(&ran)));
    }
    let mut rows = Vec::new();
    let entries =
        world.seen().into_iter().filter(|it| it.sequence > last && it.moment == "before-write");
    for entry in entries {
        for moment in Moment::ALL {
            let place = rows.len();
            for victim in Victim::ALL {
                let (entry, step) = (entry.sequence - last, entry.step.clone());
                rows.push(Row { verb, entry, step, moment, victim });
            }
            if selection == Selection::Some {
                // Three moments and five victims have no divisor in common: all pairs come up.
                let chosen = rows.swap_remove(place + place % Victim::ALL.len());
                rows.truncate(place);
                rows.push(chosen);
            }
        }
    }
    Ok(rows)
}

fn row(world: &mut World, row: &Row) -> Result<Ended, String> {
    let before = world.serving;
    world.stop_at(world.last_entry() + row.entry, row.moment)?;
    let arguments = world.arguments(row.verb);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let child = world.host.spawn(&words);
    let died = strike(world, row, child.id());
    world.go_on();
    let ran = finish(child, &words);
    let explained = |world: &World, why| format!("{why}: {}{}", said(&ran), world.last_words());
    let (killed, died) = died.map_err(|why| explained(world, why))?;
    let (after, answered) = world.recover(row.victim)?;
    let head = world.head()?;
    world.settle(&|serving| serving == before || serving == head)?;
    let served = world.served(before, head)?;
    if served == Served::New {
        world.hook_ran(row.verb)?;
    }
    let took = died.elapsed();
    let code = (row.victim != Victim::Cli).then_some(ran.code);
    let ended = Ended { killed, served, code, answered, took };
    consistent(row, &ended, after).map_err(|why| explained(world, why))?;
    world.calm_up()?;
    Ok(ended)
}

/// Waits for the moment and kills the victim. Says who it was and when it died.
fn strike(world: &World, row: &Row, cli: u32) -> Result<(String, Instant), String> {
    if !world.reached() {
        return Err("the moment did not come".into());
    }
    let process = victim(world, row, cli)?;
    let died = Instant::now();
    let killed = world.kill(row.victim, &process);
    if row.victim != Victim::Agent {
        std::thread::sleep(NOTICE);
    }
    Ok((killed, died))
}

/// Who dies: of instances and shims once a new one, once an old one. While a hook runs it is the
/// hook's, and everybody but its own process dies only after it has left its trace, so that a
/// second run of it would show.
fn victim(world: &World, row: &Row, cli: u32) -> Result<Process, String> {
    let deadline = Instant::now() + HOOK;
    let in_hook = row.step == "hook" && row.moment == Moment::AfterEffect;
    let of_hook = in_hook && matches!(row.victim, Victim::Instance | Victim::Shim);
    loop {
        let late = Instant::now() >= deadline;
        let candidates = world.candidates(row.victim, cli);
        let hook = candidates
            .iter()
            .find(|it| it.instance.as_deref().is_some_and(|id| !id.starts_with("web-")));
        let traced = row.victim == Victim::Instance
            || world.hooks().keys().any(|release| *release > world.serving);
        let chosen = match hook {
            _ if in_hook && !traced && !late => None,
            Some(process) => Some(process),
            None if of_hook && !late => None,
            None if row.moment == Moment::AfterWrite => candidates.first(),
            None => candidates.last(),
        };
        if let Some(process) = chosen {
            return Ok(process.clone());
        }
        if late {
            return Err(format!("no {} is there", row.victim));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether what the verb said and what serves agree, and are what must be.
fn consistent(row: &Row, ended: &Ended, after: i32) -> Result<(), String> {
    let nothing_written = row.entry == 1 && row.moment == Moment::BeforeWrite;
    let must_be_new = match row.victim {
        Victim::Cli | Victim::Edge => true,
        Victim::Agent => !nothing_written,
        Victim::Instance | Victim::Shim => false,
    };
    if must_be_new && ended.served != Served::New {
        return Err("the new release should serve and does not".into());
    }
    let fits = |code: i32| match code {
        0 => ended.served == Served::New,
        4 => ended.served == Served::Previous,
        _ => false,
    };
    let went_on = row.victim != Victim::Agent || !nothing_written;
    if went_on && !fits(after) {
        return Err(format!("resume exits with {after} and the {} release serves", ended.served));
    }
    match ended.code {
        None => Ok(()),
        Some(9) if row.victim == Victim::Agent || ended.answered.is_some() => Ok(()),
        Some(code) if fits(code) => Ok(()),
        Some(code) => Err(format!("it exits with {code} and the {} release serves", ended.served)),
    }
}
