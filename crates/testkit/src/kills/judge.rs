//! Whether everything is as it should be: asked of `/proc`, of a client, and of the agent.

use super::world::{PATIENCE, REPLICAS, World, said};
use super::{Served, Verb, Victim};
use crate::Ran;
use crate::processes::{self, Kind, Process};
use serde_json::Value;
use std::time::{Duration, Instant};

impl World {
    /// Waits until exactly the intended instances of one of these releases are there, serve, and
    /// nothing else is.
    pub fn settle(&mut self, may_serve: &dyn Fn(u64) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.look(may_serve) {
                Ok(serving) => {
                    self.serving = serving;
                    return self.hooks_ran_once();
                }
                Err(why) if Instant::now() >= deadline => {
                    return Err(format!("not in order: {why}{}", self.last_words()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn look(&self, may_serve: &dyn Fn(u64) -> bool) -> Result<u64, String> {
        let status = self.status()?;
        if !status["run"].is_null() {
            return Err(format!("a run is in progress: {}", status["run"]));
        }
        let serving = status["serving"]["number"].as_u64().ok_or("nothing serves")?;
        if !may_serve(serving) {
            return Err(format!("release {serving} serves"));
        }
        if status["problems"].as_array().is_some_and(|problems| !problems.is_empty()) {
            return Err(format!("problems: {}", status["problems"]));
        }
        groups(&status, serving)?;
        running(&processes::of(&self.host.home()), serving)?;
        let answered = self.answers()?;
        if answered != serving {
            return Err(format!("release {answered} answers and {serving} should"));
        }
        Ok(serving)
    }

    /// No release's hook ran twice.
    fn hooks_ran_once(&self) -> Result<(), String> {
        match self.hooks().into_iter().find(|(_, times)| *times > 1) {
            Some((release, times)) => {
                Err(format!("the hook of release {release} ran {times} times"))
            }
            None => Ok(()),
        }
    }

    /// The hook of the release that serves did run, when this verb has one.
    pub fn hook_ran(&self, verb: Verb) -> Result<(), String> {
        let ran = self.hooks().contains_key(&self.serving);
        match (verb, ran) {
            (Verb::Up, false) => Err(format!("release {} serves without its hook", self.serving)),
            (Verb::Rollback | Verb::Forward, true) => {
                Err(format!("the hook ran for the {verb} to release {}", self.serving))
            }
            _ => Ok(()),
        }
    }

    /// After somebody died: brings the agent back when it was the one, follows what goes on, and
    /// answers for a hook of which nobody knows the outcome. Returns the verb's or the follower's
    /// code, and the answer.
    pub fn recover(&self, victim: Victim) -> Result<(i32, Option<&'static str>), String> {
        if victim == Victim::Agent {
            let ran = self.verb(&["agent", "start"])?;
            if ran.code != 0 {
                return Err(format!(
                    "the agent does not come back: {}{}",
                    said(&ran),
                    self.last_words()
                ));
            }
        }
        let followed = self.verb(&["resume", "--output", "json"])?;
        self.answer_the_hook(followed)
    }

    fn answer_the_hook(&self, followed: Ran) -> Result<(i32, Option<&'static str>), String> {
        let waits = self.status()?["run"]["waits"] == true;
        if !waits {
            return Ok((followed.code, None));
        }
        if followed.code != 9 {
            return Err(format!(
                "a hook waits for an answer, and resume exits with {}",
                followed.code
            ));
        }
        let ran = self.hooks().contains_key(&self.head()?);
        let (answer, words) =
            if ran { ("migrate=done", "done") } else { ("migrate=again", "again") };
        let resumed = self.verb(&["resume", "--hook", answer, "--output", "json"])?;
        Ok((resumed.code, Some(words)))
    }

    /// Which release serves, when the one before was this and the newest is that.
    pub fn served(&self, before: u64, head: u64) -> Result<Served, String> {
        match self.serving {
            it if it == head && head != before => Ok(Served::New),
            it if it == before => Ok(Served::Previous),
            it => Err(format!("release {it} serves, neither {before} nor {head}")),
        }
    }
}

/// Exactly the groups of the release that serves, and all of them healthy.
fn groups(status: &Value, serving: u64) -> Result<(), String> {
    let name = format!("web@{serving}");
    let empty = serde_json::Map::new();
    let groups = status["groups"].as_object().unwrap_or(&empty);
    let well = groups.get(&name).is_some_and(|group| {
        ["ready", "running", "wanted"].iter().all(|count| group[count] == REPLICAS)
    });
    if groups.len() == 1 && well {
        Ok(())
    } else {
        Err(format!("groups, not only {name}: {groups:?}"))
    }
}

/// Exactly one agent, one edge, and a shim for each of the intended instances.
fn running(found: &[Process], serving: u64) -> Result<(), String> {
    let of = |kind| found.iter().filter(move |process| process.kind == kind);
    let counts = [
        (Kind::Agent, 1),
        (Kind::Edge, 1),
        (Kind::Shim, REPLICAS),
        (Kind::Instance, REPLICAS),
        (Kind::Client, 0),
    ];
    let wrong = counts.iter().find(|(kind, wanted)| of(*kind).count() != *wanted);
    let foreign = of(Kind::Instance).chain(of(Kind::Shim)).find(|it| it.release != Some(serving));
    match (wrong, foreign) {
        (Some((kind, wanted)), _) => Err(format!(
            "{} processes of kind {kind:?} and not {wanted}: {:?}",
            of(*kind).count(),
            of(*kind).collect::<Vec<_>>()
        )),
        (None, Some(process)) => Err(format!("{process:?} does not belong to release {serving}")),
        (None, None) => Ok(()),
    }
}
