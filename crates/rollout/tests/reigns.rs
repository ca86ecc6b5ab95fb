//! What the loop does about entries that it finds where its own should be.

use landfall_engine::conformance::NoMaterials;
use landfall_engine::simulated::{SimulatedEngine, World};
use landfall_model::{
    AppName, Epoch, Measured, Outcome, RunId, Sequence, StackId, Timestamp, Verb,
};
use landfall_rollout::{
    Context, Drive, DriveError, NoPoints, RECORD_FORMAT, Record, State, begin, drive,
};
use landfall_store::{Memory, Store};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A stack with nothing on it that is taken down: one entry, and it is over.
fn nothing() -> Context {
    let stack = StackId {
        app: AppName::new("shop").expect("a name"),
        stack: "local".parse().expect("a name"),
    };
    Context { stack, verb: Verb::Down, from: None, to: None }
}

async fn store() -> Arc<Store> {
    Arc::new(Store::open(Arc::new(Memory::new())).await.expect("a store"))
}

fn driver(store: &Arc<Store>, world: &Arc<Mutex<World>>, epoch: u64) -> Drive {
    Drive {
        context: nothing(),
        store: Arc::clone(store),
        engine: Arc::new(SimulatedEngine::open(Arc::clone(world))),
        materials: Arc::new(NoMaterials),
        epoch: Epoch(epoch),
        clock: Arc::new(|| Timestamp(0)),
        points: Arc::new(NoPoints),
        told: Arc::new(|_| {}),
        written: Arc::new(|_| {}),
    }
}

fn record(epoch: u64, because: &str) -> Record {
    Record {
        format: RECORD_FORMAT,
        sequence: Sequence(1),
        epoch: Epoch(epoch),
        at: Timestamp(0),
        run: RunId("shop/local.down.1".into()),
        verb: Verb::Down,
        from: None,
        to: None,
        by: "me@here".into(),
        idempotency_key: None,
        began: Timestamp(0),
        counted: Measured::default(),
        state: State::begin(&nothing(), Timestamp(0)),
        because: because.into(),
    }
}

async fn entries(store: &Store) -> Vec<(u64, String)> {
    let entries = store.entries(&nothing().stack, None, 10).await.expect("a journal");
    let read = |(_, bytes): (_, bytes::Bytes)| {
        let record: Record = serde_json::from_slice(&bytes).expect("a record");
        (record.epoch.0, record.because)
    };
    entries.into_iter().map(read).collect()
}

#[tokio::test]
async fn a_take_over_journals_before_it_applies() {
    let (store, world) = (store().await, Arc::default());
    let (_commands, mut nobody) = mpsc::channel(1);
    let first = record(1, "asked for");
    begin(&driver(&store, &world, 1), &first).await.expect("a first entry");
    let last = drive(&driver(&store, &world, 2), first, &mut nobody).await.expect("an end");
    assert_eq!((last.epoch, last.sequence), (Epoch(2), Sequence(2)));
    assert_eq!(entries(&store).await, [(1, "asked for".into()), (2, "taken over".into())]);
    let accepted = world.lock().expect("no test panicked").observe().accepted;
    assert_eq!((accepted.epoch.0, accepted.revision.0), (2, 2));
}

#[tokio::test]
async fn the_last_word_of_the_writer_before_is_taken_up() {
    let (store, world) = (store().await, Arc::default());
    let (_commands, mut nobody) = mpsc::channel(1);
    let old = driver(&store, &world, 1);
    let first = record(1, "asked for");
    begin(&old, &first).await.expect("a first entry");
    let late = Record { sequence: Sequence(2), ..record(1, "late") };
    begin(&old, &late).await.expect("a late entry");
    // The new writer read the journal before the late entry arrived.
    let last = drive(&driver(&store, &world, 2), first.clone(), &mut nobody).await.expect("an end");
    assert_eq!(last.state.ended(), Some(Outcome::Succeeded));
    let all = [(1, "asked for".into()), (1, "late".into()), (2, "taken over".into())];
    assert_eq!(entries(&store).await, all);
    // And the old writer is turned away from now on, at the journal and at the engine.
    let again = drive(&old, late.clone(), &mut nobody).await;
    assert!(matches!(again, Err(DriveError::Superseded)), "{again:?}");
    let begun = begin(&old, &Record { sequence: Sequence(3), ..late }).await;
    assert!(matches!(begun, Err(DriveError::Superseded)), "{begun:?}");
}

#[tokio::test]
async fn a_begun_run_is_nobody_elses() {
    let (store, world) = (store().await, Arc::default());
    begin(&driver(&store, &world, 1), &record(1, "mine")).await.expect("a first entry");
    let second = begin(&driver(&store, &world, 1), &record(1, "theirs")).await;
    assert!(matches!(second, Err(DriveError::Superseded)), "{second:?}");
}
