//! The one loop: journal the state, apply its desired state, look, ask [`next()`] again.

use crate::{Context, Input, Record, State, desired, next};
use landfall_engine::{Engine, EngineError, Materials};
use landfall_model::{
    Epoch, EventKind, Fence, GroupId, Hook, Level, Observed, Revision, Timestamp,
};
use landfall_plan::Step;
use landfall_store::{Put, Store, StoreError};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often the state is looked at when nothing changes, so that deadlines are met.
const TICK: Duration = Duration::from_millis(200);
/// How soon what was refused is tried again, when nothing else can be done.
const REFUSED: Duration = Duration::from_secs(5);
/// How long something is not well before its reason is told: what merely starts is no news.
const REASON: u64 = 1500;
/// How often a write to the journal is tried.
const TRIES: u32 = 5;

/// Everything that drives one rollout.
pub struct Drive {
    /// The releases it is between.
    pub context: Context,
    /// Where the journal is.
    pub store: Arc<Store>,
    /// What is told.
    pub engine: Arc<dyn Engine>,
    /// Where an engine gets the parts.
    pub materials: Arc<dyn Materials>,
    /// The reign in which it is driven.
    pub epoch: Epoch,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where tests stop it.
    pub points: Arc<dyn Points>,
    /// Who is told what happens. It must not block.
    pub told: Arc<dyn Fn(Told) + Send + Sync>,
    /// Who is shown each entry once it is written. It must not block.
    pub written: Arc<dyn Fn(&Record) + Send + Sync>,
}

/// Something that happened, before it is numbered as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How loud.
    pub level: Level,
    /// What kind.
    pub kind: EventKind,
    /// The step, in one word.
    pub step: &'static str,
    /// In words.
    pub message: String,
}

/// What somebody may ask of a running rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Stop, and why.
    Cancel(String),
    /// What became of the hook whose outcome is unknown.
    Answer {
        /// Its job is done.
        done: bool,
    },
}

/// Why the loop ended before the rollout did.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// Somebody else wrote to the journal, or holds the engine.
    #[error("another writer took over this stack")]
    Superseded,
    /// The journal cannot be written.
    #[error("cannot write the journal")]
    Journal(#[source] StoreError),
    /// A record cannot be written as JSON.
    #[error("cannot write a journal record as JSON")]
    Json(#[from] serde_json::Error),
}

/// A moment in the life of a journal entry at which a test may let something die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The entry is not written yet.
    BeforeWrite,
    /// It is written and nothing came of it yet.
    AfterWrite,
    /// Its desired state was applied.
    AfterEffect,
}

/// Where tests stop a rollout.
pub trait Points: Send + Sync {
    /// Called at each moment of each entry; it may wait.
    fn at<'a>(
        &'a self,
        moment: Moment,
        record: &'a Record,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// No test is running.
pub struct NoPoints;

impl Points for NoPoints {
    fn at<'a>(&'a self, _: Moment, _: &'a Record) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

/// Writes the first entry of a rollout. Whoever writes it owns the rollout.
///
/// # Errors
/// When another writer was first, or the journal cannot be written.
pub async fn begin(drive: &Drive, record: &Record) -> Result<(), DriveError> {
    let stands = persist(drive, record.clone()).await?;
    if stands == *record { Ok(()) } else { Err(DriveError::Superseded) }
}

/// Drives a rollout from its last journal entry to its end, and returns the last entry.
///
/// Cancelling the future between two awaits is a crash like any other: the next call goes on from
/// the last entry.
///
/// # Errors
/// When the rollout cannot go on here; it is not over then.
pub async fn drive(
    drive: &Drive,
    record: Record,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<Record, DriveError> {
    let mut record = take_over(drive, record).await?;
    let mut observed = drive.engine.watch(&drive.context.stack);
    let mut seen = BTreeMap::new();
    if record.state.ended().is_none() {
        announce(drive, &record);
    }
    let mut applied = apply(drive, &record).await?;
    let mut trouble = Trouble::default();
    let mut ticks = 0;
    loop {
        trouble.tell(drive, &record, &applied);
        if record.state.ended().is_some() && !matches!(applied, Applied::NotYet(_)) {
            return Ok(record);
        }
        let now = (drive.clock)();
        let command = match &applied {
            // There is nothing to wait for.
            Applied::Refused(_) => commands.try_recv().ok(),
            _ => wait(&mut observed, commands).await,
        };
        ticks += 1;
        if matches!(applied, Applied::NotYet(_)) && ticks >= trouble.patience() {
            applied = apply(drive, &record).await?;
            ticks = 0;
        }
        let report = observed.borrow_and_update().clone();
        tell_instances(drive, &record, &report, &mut seen);
        let fence = fence(drive.epoch, &record);
        let input = match &command {
            Some(Command::Cancel(why)) => Input::Cancel { why },
            Some(Command::Answer { done }) => Input::Answer { done: *done },
            None if let Applied::Refused(why) = &applied => Input::Refused { why },
            None => Input::Look { observed: &report, fence },
        };
        let Some((state, because)) = next(&record.state, &drive.context, now, &input) else {
            if let Some(Command::Cancel(_)) = command {
                tell(drive, &record, Level::Warning, "too late to cancel: finishing".into());
                // It may wait for a person still, and whoever listens is told so again.
                (drive.written)(&record);
            }
            if matches!(applied, Applied::Refused(_)) {
                // What is only on its way out is tried until it can be done.
                tokio::time::sleep(REFUSED).await;
                applied = apply(drive, &record).await?;
            }
            continue;
        };
        record = persist(drive, entry(drive, &record, state, because, now)).await?;
        announce(drive, &record);
        applied = apply(drive, &record).await?;
    }
}

/// Makes the journal one's own: the first entry of a reign says again where things stand.
///
/// Nothing may be applied before it is written. Until then the writer before may still add an
/// entry, justified by what it saw of an engine that a newer reign has already changed; its next
/// entry finds the place taken.
async fn take_over(drive: &Drive, mut record: Record) -> Result<Record, DriveError> {
    while record.epoch < drive.epoch {
        let state = record.state.clone();
        let now = (drive.clock)();
        record = persist(drive, entry(drive, &record, state, "taken over".into(), now)).await?;
    }
    if record.epoch > drive.epoch { Err(DriveError::Superseded) } else { Ok(record) }
}

fn fence(epoch: Epoch, record: &Record) -> Fence {
    Fence { epoch, revision: Revision(record.sequence.0) }
}

fn entry(drive: &Drive, last: &Record, state: State, because: String, now: Timestamp) -> Record {
    Record {
        sequence: last.sequence.next(),
        epoch: drive.epoch,
        at: now,
        state,
        because,
        ..last.clone()
    }
}

async fn wait(
    observed: &mut watch::Receiver<Observed>,
    commands: &mut mpsc::Receiver<Command>,
) -> Option<Command> {
    tokio::select! {
        command = commands.recv() => {
            if command.is_none() {
                // Nobody can ask any more; the rollout goes on.
                tokio::time::sleep(TICK).await;
            }
            command
        }
        changed = observed.changed() => {
            if changed.is_err() {
                tokio::time::sleep(TICK).await;
            }
            None
        }
        () = tokio::time::sleep(TICK) => None,
    }
}

/// Writes an entry, and returns the one that stands: this one, or one that was there before and
/// from which to go on.
async fn persist(drive: &Drive, record: Record) -> Result<Record, DriveError> {
    drive.points.at(Moment::BeforeWrite, &record).await;
    let bytes = serde_json::to_vec(&record)?;
    let mut tries = 0;
    let stands = loop {
        match write(drive, &record, &bytes).await {
            Ok(stands) => break stands,
            Err(DriveError::Journal(error)) if tries + 1 < TRIES => {
                tries += 1;
                tell(drive, &record, Level::Warning, format!("cannot write the journal: {error}"));
                tokio::time::sleep(Duration::from_millis(100 << tries)).await;
            }
            Err(error) => return Err(error),
        }
    };
    (drive.written)(&stands);
    drive.points.at(Moment::AfterWrite, &stands).await;
    Ok(stands)
}

async fn write(drive: &Drive, record: &Record, bytes: &[u8]) -> Result<Record, DriveError> {
    let stack = &drive.context.stack;
    let put = drive.store.append(stack, record.sequence, bytes).await;
    if put.map_err(DriveError::Journal)? == Put::Created {
        return Ok(record.clone());
    }
    let last = drive.store.last_entry(stack).await.map_err(DriveError::Journal)?;
    let Some((_, bytes)) = last else { return Err(DriveError::Superseded) };
    let stands: Record = serde_json::from_slice(&bytes)?;
    // An epoch has one writer: what carries this one's own is an earlier try of its own whose
    // answer was lost. What carries an older one is the last word of the writer before.
    let ours = stands.epoch <= drive.epoch && stands.run == record.run;
    if ours { Ok(stands) } else { Err(DriveError::Superseded) }
}

/// Applies the desired state of an entry. `false` when the engine is in trouble and it must be
/// tried again.
/// What became of asking for a state.
enum Applied {
    Yes,
    /// It may be another time.
    NotYet(String),
    /// It would not be another time either.
    Refused(String),
}

async fn apply(drive: &Drive, record: &Record) -> Result<Applied, DriveError> {
    let wanted = desired(&drive.context, &record.state, fence(drive.epoch, record));
    match drive.engine.apply(wanted, Arc::clone(&drive.materials)).await {
        Ok(()) => {
            drive.points.at(Moment::AfterEffect, record).await;
            Ok(Applied::Yes)
        }
        Err(EngineError::Superseded { .. }) => Err(DriveError::Superseded),
        Err(error @ EngineError::Refused { .. }) => Ok(Applied::Refused(error.to_string())),
        Err(error) => Ok(Applied::NotYet(error.to_string())),
    }
}

/// What stands in the way, told when it is news.
#[derive(Default)]
struct Trouble {
    last: Option<String>,
    /// How many times in a row.
    times: u32,
}

impl Trouble {
    fn tell(&mut self, drive: &Drive, record: &Record, applied: &Applied) {
        match applied {
            Applied::Yes => *self = Self::default(),
            Applied::NotYet(why) | Applied::Refused(why) => {
                self.times += 1;
                if self.last.as_ref() != Some(why) {
                    tell(drive, record, Level::Warning, why.clone());
                    self.last = Some(why.clone());
                }
            }
        }
    }

    /// How many ticks to wait before it is tried again.
    fn patience(&self) -> u32 {
        self.times.min(10)
    }
}

fn tell(drive: &Drive, record: &Record, level: Level, message: String) {
    (drive.told)(Told { level, kind: EventKind::Notice, step: record.state.word(), message });
}

fn announce(drive: &Drive, record: &Record) {
    let (level, message) = match (&record.state.phase, record.state.step()) {
        (crate::Phase::Undoing(undo), Some(step)) if undo.step == 0 => {
            (Level::Error, format!("{}\ngoing back: {step}", undo.why))
        }
        (crate::Phase::Undoing(_), Some(step)) => (Level::Info, format!("going back: {step}")),
        (crate::Phase::Operator { .. }, Some(step)) => {
            let hook = hook_name(drive, step);
            let ask = format!("say `landfall resume --hook {hook}=done` or `--hook {hook}=again`");
            (Level::Error, format!("{}: {ask}", record.because))
        }
        (_, Some(step)) => (Level::Info, describe(drive, step)),
        (_, None) => (Level::Info, record.because.clone()),
    };
    (drive.told)(Told { level, kind: EventKind::Step, step: record.state.word(), message });
}

fn hook<'a>(drive: &'a Drive, step: &Step) -> Option<&'a Hook> {
    let Step::Hook { hook } = step else { return None };
    drive.context.to.as_deref()?.content.hooks.get(*hook)
}

fn hook_name(drive: &Drive, step: &Step) -> String {
    hook(drive, step).map_or_else(|| "NAME".into(), |hook| hook.name.to_string())
}

fn describe(drive: &Drive, step: &Step) -> String {
    hook(drive, step).map_or_else(
        || step.to_string(),
        |hook| format!("run {}: {}", hook.name, hook.command.join(" ")),
    )
}

/// What was told of a group last.
#[derive(Default)]
struct Group {
    words: Option<String>,
    /// Why it is not well, and since when that is said.
    failing: Option<(String, Timestamp)>,
    reason: Option<String>,
}

fn tell_instances(
    drive: &Drive,
    record: &Record,
    report: &Observed,
    seen: &mut BTreeMap<GroupId, Group>,
) {
    let from = drive.context.from.as_deref().map(|from| from.number);
    let instances = |level, message| {
        let (kind, step) = (EventKind::Instances, record.state.word());
        (drive.told)(Told { level, kind, step, message });
    };
    for (id, status) in &report.groups {
        if status.wanted == 0 {
            continue;
        }
        let group = seen.entry(id.clone()).or_default();
        let mut words = format!("{id}: {} of {} healthy", status.ready, status.wanted);
        if status.crash_loop {
            words.push_str(", crashing again and again");
        }
        let before = group.words.replace(words.clone());
        // What served before and is well is no news.
        let known = before.is_none() && from == Some(id.release) && status.ready >= status.wanted;
        if !known && before.as_ref() != Some(&words) {
            instances(Level::Info, words);
        }
        let failing = status.failing.as_ref().filter(|_| status.ready < status.wanted);
        if let Some(reason) = group.reason_of(failing, (drive.clock)()) {
            instances(Level::Warning, format!("{id}: {reason}"));
        }
    }
}

impl Group {
    /// The reason why it is not well, once it stood for a while and was not told yet.
    fn reason_of(&mut self, failing: Option<&String>, now: Timestamp) -> Option<String> {
        let since = match (failing, &self.failing) {
            (Some(why), Some((before, since))) if why == before => *since,
            _ => now,
        };
        self.failing = failing.map(|why| (why.clone(), since));
        let why = failing.filter(|_| now.since(since).0 >= REASON)?;
        let news = self.reason.as_ref() != Some(why);
        self.reason = Some(why.clone());
        news.then(|| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_and_only_when_it_stands() {
        let mut group = Group::default();
        let (probe, crash) = ("not good yet".to_owned(), "exited with code 7".to_owned());
        let mut at = |ms, why| group.reason_of(why, Timestamp(ms));
        assert_eq!(at(0, Some(&probe)), None, "it may just be starting");
        assert_eq!(at(1000, None), None);
        assert_eq!(at(1200, Some(&crash)), None);
        assert_eq!(at(2700, Some(&crash)), Some(crash.clone()));
        assert_eq!(at(9000, Some(&crash)), None, "once is enough");
    }
}
