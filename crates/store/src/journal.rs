//! The journal of a stack: opaque entries with rising numbers, written before they are acted on.

use crate::backend::Put;
use crate::error::Result;
use crate::layout;
use crate::numbered::Series;
use crate::record::Kind;
use crate::store::Store;
use bytes::Bytes;
use landfall_model::{Sequence, StackId};

/// Every so many entries the hint is written: one page of a listing reaches from there to the end.
const HINT_EVERY: u64 = 64;

impl Store {
    fn journal_series(&self, stack: &StackId) -> Series<'_> {
        Series {
            backend: self.backend.as_ref(),
            folder: layout::journal(stack),
            hint: layout::hint(stack, "journal"),
        }
    }

    /// Appends an entry. [`Put::Exists`] when another entry has this number: somebody else writes
    /// this journal, or an earlier attempt of one's own did. Appending equal bytes again counts as
    /// created, so entries of different writers must differ; they do when they carry the epoch.
    ///
    /// # Errors
    /// When the store cannot be written. After a timeout the entry may be there: append it again.
    pub async fn append(&self, stack: &StackId, sequence: Sequence, bytes: &[u8]) -> Result<Put> {
        let series = self.journal_series(stack);
        let key = layout::numbered(&series.folder, sequence.0);
        let put = self.create(&key, Kind::Journal, bytes).await?;
        if put == Put::Created && sequence.0.is_multiple_of(HINT_EVERY) {
            series.suggest(sequence.0).await;
        }
        Ok(put)
    }

    /// The last entry, or nothing. Three requests at any length.
    ///
    /// # Errors
    /// When the store cannot be read or the entry is damaged.
    pub async fn last_entry(&self, stack: &StackId) -> Result<Option<(Sequence, Bytes)>> {
        let series = self.journal_series(stack);
        let Some(number) = series.newest().await? else { return Ok(None) };
        let key = layout::numbered(&series.folder, number);
        let record = self.record(&key, Kind::Journal).await?;
        Ok(record.map(|record| (Sequence(number), record.payload)))
    }

    /// Entries after one, ascending, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read or an entry is damaged.
    pub async fn entries(
        &self,
        stack: &StackId,
        after: Option<Sequence>,
        limit: usize,
    ) -> Result<Vec<(Sequence, Bytes)>> {
        let series = self.journal_series(stack);
        let numbers = series.page_inside(after.map(|sequence| sequence.0), limit).await?;
        let keys = numbers.iter().map(|number| layout::numbered(&series.folder, *number)).collect();
        let records = self.records(keys, Kind::Journal).await?;
        records
            .into_iter()
            .map(|(key, record)| {
                Ok((Sequence(layout::number_in(&series.folder, &key)?), record.payload))
            })
            .collect()
    }

    /// Deletes all but the last `keep` entries, oldest first, so that what remains after a crash
    /// is still an unbroken end of the journal. Keeps one at least. Says how many are gone.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn trim_journal(&self, stack: &StackId, keep: usize) -> Result<u64> {
        let series = self.journal_series(stack);
        let Some(newest) = series.newest().await? else { return Ok(0) };
        let end = (newest + 1).saturating_sub(keep.max(1) as u64);
        let mut gone = 0;
        for number in series.between(None, end).await? {
            self.backend.delete(&layout::numbered(&series.folder, number)).await?;
            gone += 1;
        }
        Ok(gone)
    }
}
