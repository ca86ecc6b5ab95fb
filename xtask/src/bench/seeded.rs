//! Stores with many releases.

use anyhow::Context as _;
use landfall_model::{
    Content, Millis, Release, ReleaseNumber, RolloutPolicy, Source, StackId, Strategy, Timestamp,
};
use landfall_store::seal::seal;
use landfall_store::{Sealed, Store};
use serde_json::Value;
use std::collections::BTreeMap;

/// Follows the newest release of the store's only stack by copies of it, up to this number, each
/// with the outcome of the first.
pub async fn fill(store: &Store, up_to: u64) -> anyhow::Result<()> {
    let stack = store.stacks().await?.into_iter().next().context("a stack")?;
    let head = store.head(&stack).await?.context("a release")?.release;
    let outcome = store.outcome(&stack, head.number).await?.context("an outcome")?;
    for number in head.number.0 + 1..=up_to {
        let release = Release { number: ReleaseNumber(number), ..head.clone() };
        let sealed = store.seal(&seal(release, None)?).await?;
        anyhow::ensure!(sealed == Sealed::Created, "release {number} is taken");
        store.record_outcome(&stack, ReleaseNumber(number), &outcome).await?;
    }
    Ok(())
}

/// A stack with one small release that succeeded, and one entry in its journal.
pub async fn begin(store: &Store, stack: &StackId) -> anyhow::Result<()> {
    let release = Release {
        format: 1,
        app: stack.app.clone(),
        stack: stack.stack.clone(),
        number: ReleaseNumber(1),
        restores: None,
        substitutions: Vec::new(),
        sealed_at: Timestamp(1_700_000_000_000),
        sealed_by: "bench".to_owned(),
        source: Source::default(),
        content: Content {
            options: BTreeMap::new(),
            certificates: BTreeMap::new(),
            services: BTreeMap::new(),
            listeners: BTreeMap::new(),
            hooks: Vec::new(),
            rollout: RolloutPolicy {
                strategy: Strategy::BlueGreen,
                drain: Millis(30_000),
                bake: Millis(0),
                deadline: Millis(600_000),
            },
        },
    };
    store.seal(&seal(release, None)?).await?;
    let outcome = serde_json::to_vec(&Value::from("succeeded"))?;
    store.record_outcome(stack, ReleaseNumber(1), &outcome).await?;
    store.append(stack, landfall_model::Sequence(1), b"{}").await?;
    Ok(())
}
