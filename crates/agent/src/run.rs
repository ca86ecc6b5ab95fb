//! What a run tells: its events from the first on, for whoever listens whenever they come.

use crate::clock;
use landfall_model::{Event, ReleaseNumber, RunId, StackId, Summary};
use landfall_protocol::agent::Reply;
use landfall_rollout::{Command, Told};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// The events of a run that are kept; later ones still reach those who listen.
const KEPT: usize = 10_000;

/// A run in progress, or one that is over.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) stack: StackId,
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) commands: mpsc::Sender<Command>,
    told: Mutex<ToldSoFar>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct ToldSoFar {
    events: Vec<Event>,
    /// Set while it waits for a person, and when it is over.
    summary: Option<Summary>,
}

impl Run {
    pub(crate) fn new(
        id: RunId,
        stack: StackId,
        release: Option<ReleaseNumber>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let (told, changed) = (Mutex::default(), watch::Sender::new(0));
        Self { id, stack, release, commands, told, changed }
    }

    fn so_far(&self) -> MutexGuard<'_, ToldSoFar> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, told: Told) {
        let mut so_far = self.so_far();
        let sequence = so_far.events.last().map_or(1, |last| last.sequence + 1);
        if so_far.events.len() >= KEPT {
            so_far.events.drain(..KEPT / 2);
        }
        so_far.events.push(Event {
            time: clock::now(),
            sequence,
            run: self.id.clone(),
            stack: self.stack.clone(),
            release: self.release,
            step: told.step.to_owned(),
            level: told.level,
            kind: told.kind,
            message: told.message,
        });
        drop(so_far);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Says how it ended, or, with nothing, that it goes on after a pause.
    pub(crate) fn conclude(&self, summary: Option<Summary>) {
        self.so_far().summary = summary;
        self.changed.send_modify(|count| *count += 1);
    }

    /// Everything told so far and from now on, until it is over or waits for a person.
    pub(crate) async fn follow(&self, replies: &mpsc::Sender<Reply>) {
        let mut changed = self.changed.subscribe();
        let mut seen = 0;
        loop {
            changed.borrow_and_update();
            let (events, summary) = {
                let so_far = self.so_far();
                let new = so_far.events.iter().filter(|event| event.sequence > seen).cloned();
                (new.collect::<Vec<_>>(), so_far.summary.clone())
            };
            for event in events {
                seen = event.sequence;
                if replies.send(Reply::Event(Box::new(event))).await.is_err() {
                    return;
                }
            }
            if let Some(summary) = summary {
                let _ = replies.send(Reply::Summary(Box::new(summary))).await;
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}
