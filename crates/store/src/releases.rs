//! Sealed releases and how their rollouts ended.

use crate::backend::Put;
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::layout;
use crate::numbered::Series;
use crate::record::{self, Kind, Record};
use crate::seal::{ParseError, SealedRelease};
use crate::store::Store;
use bytes::Bytes;
use landfall_model::{ReleaseNumber, StackId};
use std::collections::BTreeMap;

/// What became of sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// The release is in the store, durably.
    Created,
    /// Another release has this number or a later one; nothing was written. The number is the
    /// highest one known to be taken.
    Taken(ReleaseNumber),
}

impl Store {
    fn release_series(&self, stack: &StackId) -> Series<'_> {
        Series {
            backend: self.backend.as_ref(),
            folder: layout::releases(stack),
            hint: layout::hint(stack, "releases"),
        }
    }

    /// Puts a sealed release at its number. Sealing the very same bytes again is
    /// [`Sealed::Created`] again. Three requests, and one more when the number is taken.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn seal(&self, sealed: &SealedRelease) -> Result<Sealed> {
        let stack = stack_of(sealed);
        let number = sealed.release.number;
        let series = self.release_series(&stack);
        // Numbers only rise: an old number may be free again after a prune, and must stay unused.
        if let Some(later) = series.page(Some(number.0), 1).await?.first() {
            return Ok(Sealed::Taken(ReleaseNumber(*later)));
        }
        let object = record::encode(Kind::Release, &sealed.bytes, sealed.signature.as_ref());
        let key = layout::numbered(&series.folder, number.0);
        match self.create_object(&key, object).await? {
            Put::Created => {
                series.suggest(number.0).await;
                Ok(Sealed::Created)
            }
            Put::Exists => Ok(Sealed::Taken(number)),
        }
    }

    /// One release, or nothing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is damaged, or is another release than its key says.
    pub async fn release(
        &self,
        stack: &StackId,
        number: ReleaseNumber,
    ) -> Result<Option<SealedRelease>> {
        let key = layout::numbered(&layout::releases(stack), number.0);
        match self.record(&key, Kind::Release).await? {
            Some(record) => parse(stack, &key, record).map(Some),
            None => Ok(None),
        }
    }

    /// The newest release, or nothing. Three requests at any number of releases.
    ///
    /// # Errors
    /// When the store cannot be read, holds something foreign, or the release is damaged.
    pub async fn head(&self, stack: &StackId) -> Result<Option<SealedRelease>> {
        let Some(number) = self.release_series(stack).newest().await? else { return Ok(None) };
        match self.release(stack, ReleaseNumber(number)).await? {
            Some(sealed) => Ok(Some(sealed)),
            None => Err(StoreError::Missing(format!("release {number} of {stack}"))),
        }
    }

    /// Releases before a number, newest first, at most `limit`: the next page starts before the
    /// last one of this.
    ///
    /// # Errors
    /// When the store cannot be read, or one of the releases is damaged.
    pub async fn releases(
        &self,
        stack: &StackId,
        before: Option<ReleaseNumber>,
        limit: usize,
    ) -> Result<Vec<SealedRelease>> {
        let numbers = self.newest_numbers(stack, before.map(|number| number.0), limit).await?;
        let folder = layout::releases(stack);
        let keys = numbers.iter().rev().map(|number| layout::numbered(&folder, *number)).collect();
        let records = self.records(keys, Kind::Release).await?;
        records.into_iter().map(|(key, record)| parse(stack, &key, record)).collect()
    }

    /// The last `limit` numbers before one, ascending. Looks back in windows that double, because
    /// a prune leaves gaps.
    async fn newest_numbers(
        &self,
        stack: &StackId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<u64>> {
        let series = self.release_series(stack);
        let mut end = match before {
            Some(number) => number,
            None => series.newest().await?.map_or(0, |number| number + 1),
        };
        let mut window = limit as u64;
        let mut numbers: Vec<u64> = Vec::new();
        while end > 0 && numbers.len() < limit {
            let start = end.saturating_sub(window);
            let mut found = series.between(start.checked_sub(1), end).await?;
            found.append(&mut numbers);
            numbers = found;
            end = start;
            window = window.saturating_mul(2);
        }
        let surplus = numbers.len().saturating_sub(limit);
        Ok(numbers.split_off(surplus))
    }

    /// The numbers of all releases, ascending.
    pub(crate) async fn release_numbers(&self, stack: &StackId) -> Result<Vec<u64>> {
        self.release_series(stack).all().await
    }

    /// Several releases; those that are gone are left out.
    pub(crate) async fn releases_at(
        &self,
        stack: &StackId,
        numbers: &[u64],
    ) -> Result<Vec<SealedRelease>> {
        let folder = layout::releases(stack);
        let keys = numbers.iter().map(|number| layout::numbered(&folder, *number)).collect();
        let records = self.records(keys, Kind::Release).await?;
        records.into_iter().map(|(key, record)| parse(stack, &key, record)).collect()
    }

    /// Records how the rollout of a release ended, once. [`Put::Exists`] when something else was
    /// recorded before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn record_outcome(
        &self,
        stack: &StackId,
        number: ReleaseNumber,
        bytes: &[u8],
    ) -> Result<Put> {
        let key = layout::numbered(&layout::outcomes(stack), number.0);
        self.create(&key, Kind::Outcome, bytes).await
    }

    /// How the rollout of a release ended, when that is known.
    ///
    /// # Errors
    /// When the store cannot be read or the record is damaged.
    pub async fn outcome(&self, stack: &StackId, number: ReleaseNumber) -> Result<Option<Bytes>> {
        let key = layout::numbered(&layout::outcomes(stack), number.0);
        Ok(self.record(&key, Kind::Outcome).await?.map(|record| record.payload))
    }

    /// How the rollouts of several releases ended: one request for each, several at once.
    ///
    /// # Errors
    /// When the store cannot be read or a record is damaged.
    pub async fn outcomes(
        &self,
        stack: &StackId,
        numbers: &[ReleaseNumber],
    ) -> Result<BTreeMap<ReleaseNumber, Bytes>> {
        let folder = layout::outcomes(stack);
        let keys = numbers.iter().map(|number| layout::numbered(&folder, number.0)).collect();
        let records = self.records(keys, Kind::Outcome).await?;
        records
            .into_iter()
            .map(|(key, record)| {
                Ok((ReleaseNumber(layout::number_in(&folder, &key)?), record.payload))
            })
            .collect()
    }
}

fn stack_of(sealed: &SealedRelease) -> StackId {
    StackId { app: sealed.release.app.clone(), stack: sealed.release.stack.clone() }
}

/// Reads a release and makes sure that it is the one its key names: a signed release that was
/// copied to another stack or number is noticed here.
fn parse(stack: &StackId, key: &Key, record: Record) -> Result<SealedRelease> {
    let digest = record.digest;
    let sealed = match SealedRelease::parse(record.payload, record.signature) {
        Ok(sealed) => sealed,
        Err(ParseError::Newer(found)) => {
            return Err(StoreError::NewerFormat {
                object: key.to_string(),
                found,
                known: landfall_model::FORMAT,
            });
        }
        Err(error) => return Err(StoreError::corrupt(key, error.to_string())),
    };
    debug_assert_eq!(sealed.digest, digest);
    let number = layout::number_in(&layout::releases(stack), key)?;
    if stack_of(&sealed) != *stack || sealed.release.number.0 != number {
        return Err(StoreError::corrupt(
            key,
            format!("it holds release {} of {}", sealed.release.number, stack_of(&sealed)),
        ));
    }
    Ok(sealed)
}
