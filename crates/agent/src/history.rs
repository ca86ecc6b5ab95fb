//! Releases of the past: in pages, each costing what it shows.

use crate::agent::Shared;
use crate::server::{known, store_failure};
use landfall_model::{ExitCode, ReleaseNumber, StackId};
use landfall_plan::{Change, changes};
use landfall_protocol::agent::{Failure, HistoryEntry, ReleaseOutcome, Reply};
use landfall_rollout::Phase;
use landfall_store::seal::SealedRelease;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The largest page.
const PAGE: usize = 200;

/// One page, newest first.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    id: &StackId,
    before: Option<ReleaseNumber>,
    limit: usize,
) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let limit = limit.clamp(1, PAGE);
    // One more than is shown, because each entry says what changed against the one before.
    let releases = shared.store.releases(id, before, limit + 1).await.map_err(store_failure)?;
    let serving = stack.serving().map(|it| it.release.number);
    let mut entries = Vec::new();
    for (index, sealed) in releases.iter().take(limit).enumerate() {
        let release = &sealed.release;
        entries.push(HistoryEntry {
            number: release.number,
            digest: sealed.digest,
            sealed_at: release.sealed_at,
            sealed_by: release.sealed_by.clone(),
            source: release.source.clone(),
            restores: release.restores,
            outcome: outcome(shared, id, release.number).await?,
            serving: serving == Some(release.number),
            changed: changed(releases.get(index + 1), sealed),
            gone: gone(shared, sealed).await?,
        });
    }
    Ok(Reply::History { entries })
}

async fn outcome(
    shared: &Shared,
    id: &StackId,
    number: ReleaseNumber,
) -> Result<Option<ReleaseOutcome>, Failure> {
    let bytes = shared.store.outcome(id, number).await.map_err(store_failure)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// A release is whole only while its blobs are there.
async fn gone(shared: &Shared, sealed: &SealedRelease) -> Result<Option<String>, Failure> {
    for digest in sealed.release.content.blobs() {
        if !shared.store.has_blob(&digest).await.map_err(store_failure)? {
            return Ok(Some(format!("the artifact {} is gone", digest.short())));
        }
    }
    Ok(None)
}

fn changed(older: Option<&SealedRelease>, newer: &SealedRelease) -> String {
    let older = older.map(|older| &older.release.content);
    if older.is_none() {
        return "first release".into();
    }
    let found = changes(older, Some(&newer.release.content));
    summary(&found)
}

/// Changes in one line: the first few paths.
fn summary(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing".into();
    }
    let shown: Vec<&str> = changes.iter().take(3).map(|change| change.path.as_str()).collect();
    let more = changes.len() - shown.len();
    let text = shown.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// One release, whole.
pub(crate) async fn show(
    shared: &Arc<Shared>,
    id: &StackId,
    number: ReleaseNumber,
) -> Result<Reply, Failure> {
    known(shared, id)?;
    let sealed = shared.store.release(id, number).await.map_err(store_failure)?;
    let sealed = sealed.ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("{id} has no release {number}"))
            .help("`landfall history` lists them")
    })?;
    Ok(Reply::Release {
        release: String::from_utf8_lossy(&sealed.bytes).into_owned(),
        digest: sealed.digest,
        outcome: outcome(shared, id, number).await?,
    })
}

/// Removes old releases; never one that serves or that a run needs.
pub(crate) async fn prune(
    shared: &Arc<Shared>,
    id: &StackId,
    keep: usize,
    dry_run: bool,
) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let _accepting = stack.accept().await;
    stack.rule().await?;
    let mut needed = BTreeSet::new();
    needed.extend(stack.serving().map(|it| it.release.number));
    if let Some(last) = stack.last() {
        needed.extend(last.from.into_iter().chain(last.to));
        if let Phase::Undoing(_) = last.state.phase {
            needed.extend(last.from);
        }
    }
    let pruned = shared.store.prune(id, keep.max(1), &needed, dry_run).await;
    if stack.run().is_none() {
        stack.abdicate().await;
    }
    let pruned = pruned.map_err(store_failure)?;
    Ok(Reply::Pruned {
        releases: pruned.releases,
        blobs: pruned.blobs + pruned.retired,
        bytes: pruned.bytes + pruned.retired_bytes,
    })
}

/// Removes everything of a stack that is down.
pub(crate) async fn purge(shared: &Arc<Shared>, id: &StackId) -> Result<(), Failure> {
    shared.store.purge(id).await.map_err(store_failure)?;
    let failed = |error: landfall_engine::EngineError| {
        Failure::new(
            ExitCode::Unexpected,
            format!("the history is gone, and not all else: {error}"),
        )
    };
    shared.engine.forget(id).await.map_err(failed)
}
