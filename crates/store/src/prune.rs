//! Removing what nothing needs any more, without ever removing what something does.
//!
//! A release is removed when it is not among the newest ones, not named as needed, and not
//! restored by a release that stays. A blob goes in two steps, because an upload may have seen it
//! and be about to seal a release that needs it: first it is *retired*, which moves it to another
//! key where readers still find it and uploads do not; after the grace, longer than any upload
//! takes, it is deleted if still no release of any stack needs it, and moved back otherwise. A
//! writer that looked before the retirement has sealed by then, and is seen; one that looked after
//! it has uploaded the blob again.

use crate::backend::{Put, page_of};
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::layout;
use crate::record::Kind;
use crate::seal::SealedRelease;
use crate::store::Store;
use landfall_model::{Digest, ReleaseNumber, StackId};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// How many releases `prune` keeps unless told otherwise.
pub const DEFAULT_KEEP: usize = 10;

/// What a prune removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Releases removed, ascending.
    pub releases: Vec<ReleaseNumber>,
    /// Blobs deleted.
    pub blobs: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Blobs retired: a prune after the grace deletes them.
    pub retired: u64,
    /// Their size in bytes.
    pub retired_bytes: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Retirement {
    /// When, in milliseconds since 1970 by the clock of whoever pruned.
    at: u64,
    blobs: BTreeSet<Digest>,
}

impl Store {
    /// Removes releases of one stack that are neither among the newest `keep` (one at least) nor
    /// `needed` (those that serve, or that a rollout is about), and blobs that no release of any
    /// stack needs. With `dry_run` nothing is changed, and the answer is what would be.
    ///
    /// # Errors
    /// When the store cannot be read or written, or a release that stays is damaged: then it is
    /// not known what it needs, and nothing is removed.
    pub async fn prune(
        &self,
        stack: &StackId,
        keep: usize,
        needed: &BTreeSet<ReleaseNumber>,
        dry_run: bool,
    ) -> Result<Pruned> {
        let now = now_millis();
        let (kept, gone) = self.divide(stack, keep, needed).await?;
        let mut used = blobs_of(&kept);
        for other in self.stacks().await?.iter().filter(|other| *other != stack) {
            used.append(&mut self.used_by(other).await?);
        }
        let mut pruned = Pruned { releases: gone.clone(), ..Pruned::default() };
        if !dry_run {
            self.remove_releases(stack, &gone).await?;
        }
        self.settle_retired(&used, now, dry_run, &mut pruned).await?;
        self.retire(&used, now, dry_run, &mut pruned).await?;
        Ok(pruned)
    }

    /// Removes everything of a stack but its lease, whose epochs must go on rising, and retires the
    /// blobs that only it needed. Says how many objects are gone.
    ///
    /// The journal goes first and its newest entry last, so that whoever comes after a crash in
    /// the middle never takes an older entry for the last one.
    ///
    /// # Errors
    /// When the store cannot be read or written. Calling it again goes on.
    pub async fn purge(&self, stack: &StackId) -> Result<u64> {
        let folders = [
            layout::journal(stack),
            layout::outcomes(stack),
            layout::releases(stack),
            layout::hints(stack),
        ];
        let mut gone = 0;
        for folder in folders {
            for key in self.all_keys(&folder).await? {
                self.backend.delete(&key).await?;
                gone += 1;
            }
        }
        let now = now_millis();
        let mut used = BTreeSet::new();
        for other in self.stacks().await?.iter().filter(|other| *other != stack) {
            used.append(&mut self.used_by(other).await?);
        }
        let mut pruned = Pruned::default();
        self.settle_retired(&used, now, false, &mut pruned).await?;
        self.retire(&used, now, false, &mut pruned).await?;
        Ok(gone)
    }

    /// The blobs that the releases of a stack need.
    async fn used_by(&self, stack: &StackId) -> Result<BTreeSet<Digest>> {
        let numbers = self.release_numbers(stack).await?;
        Ok(blobs_of(&self.releases_at(stack, &numbers).await?))
    }

    /// The releases that stay, and the numbers of those that go.
    async fn divide(
        &self,
        stack: &StackId,
        keep: usize,
        needed: &BTreeSet<ReleaseNumber>,
    ) -> Result<(Vec<SealedRelease>, Vec<ReleaseNumber>)> {
        let numbers = self.release_numbers(stack).await?;
        let newest = numbers.len().saturating_sub(keep.max(1));
        let stays =
            |index: usize, number: u64| index >= newest || needed.contains(&ReleaseNumber(number));
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for (index, number) in numbers.iter().enumerate() {
            if stays(index, *number) { stay.push(*number) } else { go.push(*number) }
        }
        let mut kept = self.releases_at(stack, &stay).await?;
        let restored: BTreeSet<u64> =
            kept.iter().filter_map(|sealed| sealed.release.restores).map(|n| n.0).collect();
        let (also, go): (Vec<u64>, Vec<u64>) = go.into_iter().partition(|n| restored.contains(n));
        kept.append(&mut self.releases_at(stack, &also).await?);
        Ok((kept, go.into_iter().map(ReleaseNumber).collect()))
    }

    async fn remove_releases(&self, stack: &StackId, gone: &[ReleaseNumber]) -> Result<()> {
        for number in gone {
            // The outcome first: a release without one is removed by the next prune, an outcome
            // without a release would stay for ever.
            self.backend.delete(&layout::numbered(&layout::outcomes(stack), number.0)).await?;
            self.backend.delete(&layout::numbered(&layout::releases(stack), number.0)).await?;
        }
        Ok(())
    }

    /// Deletes what was retired long enough ago, and brings back what is needed after all.
    async fn settle_retired(
        &self,
        used: &BTreeSet<Digest>,
        now: u64,
        dry_run: bool,
        pruned: &mut Pruned,
    ) -> Result<()> {
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let folder = layout::retirements();
        for key in self.all_keys(&folder).await? {
            layout::number_in(&folder, &key)?;
            let Some(record) = self.record(&key, Kind::Retirement).await? else { continue };
            let retirement: Retirement = serde_json::from_slice(&record.payload)
                .map_err(|error| StoreError::corrupt(&key, error.to_string()))?;
            if retirement.at.saturating_add(grace) > now {
                continue;
            }
            for digest in &retirement.blobs {
                self.settle_blob(digest, used.contains(digest), dry_run, pruned).await?;
            }
            if !dry_run {
                self.backend.delete(&key).await?;
            }
        }
        Ok(())
    }

    async fn settle_blob(
        &self,
        digest: &Digest,
        used: bool,
        dry_run: bool,
        pruned: &mut Pruned,
    ) -> Result<()> {
        let retired = layout::retired_blob(digest);
        let Some(size) = self.backend.size(&retired).await? else { return Ok(()) };
        if used {
            return if dry_run {
                Ok(())
            } else {
                self.backend.rename(&retired, &layout::blob(digest)).await
            };
        }
        pruned.blobs += 1;
        pruned.bytes += size;
        if dry_run { Ok(()) } else { self.backend.delete(&retired).await }
    }

    /// Retires blobs that nothing needs now.
    async fn retire(
        &self,
        used: &BTreeSet<Digest>,
        now: u64,
        dry_run: bool,
        pruned: &mut Pruned,
    ) -> Result<()> {
        let folder = layout::blobs();
        let mut blobs = BTreeSet::new();
        for key in self.all_keys(&folder).await? {
            let digest = layout::digest_in(&folder, &key)?;
            if !used.contains(&digest) {
                pruned.retired += 1;
                pruned.retired_bytes += self.backend.size(&key).await?.unwrap_or(0);
                blobs.insert(digest);
            }
        }
        if dry_run || blobs.is_empty() {
            return Ok(());
        }
        // The list first: a blob that is moved and on no list would stay for ever.
        self.list_retired(&Retirement { at: now, blobs: blobs.clone() }).await?;
        for digest in &blobs {
            self.backend.rename(&layout::blob(digest), &layout::retired_blob(digest)).await?;
        }
        Ok(())
    }

    async fn list_retired(&self, retirement: &Retirement) -> Result<()> {
        let payload = serde_json::to_vec(retirement).expect("digests have a JSON");
        let mut number = retirement.at;
        while self
            .create(&layout::numbered(&layout::retirements(), number), Kind::Retirement, &payload)
            .await?
            == Put::Exists
        {
            number += 1;
        }
        Ok(())
    }

    async fn all_keys(&self, folder: &Key) -> Result<Vec<Key>> {
        let limit = page_of(self.backend.as_ref());
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let page = self.backend.list(folder, keys.last(), limit).await?;
            let full = page.len() == limit;
            keys.extend(page);
            if !full {
                return Ok(keys);
            }
        }
    }
}

fn blobs_of(releases: &[SealedRelease]) -> BTreeSet<Digest> {
    releases.iter().flat_map(|sealed| sealed.release.content.blobs()).collect()
}

fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
