//! Folders of objects with rising numbers, and how the newest is found in two requests.
//!
//! Listings ascend, so the newest number is the end of a list that may be long. A hint names a
//! recent number; the listing starts there. The listing decides, never the hint: a hint that is
//! lost, old, or wrong costs requests and changes no answer.

use crate::backend::{Backend, page_of};
use crate::error::Result;
use crate::key::Key;
use crate::layout;
use crate::record::{self, Kind};

/// A hint that is further from the newest number than this is written anew by who notices: so
/// many keys are one page of an object store.
const FAR: u64 = 1000;

pub(crate) struct Series<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) folder: Key,
    pub(crate) hint: Key,
}

impl Series<'_> {
    /// The newest number, or nothing.
    pub(crate) async fn newest(&self) -> Result<Option<u64>> {
        let hint = self.read_hint().await;
        let mut newest = None;
        if let Some(hint) = hint {
            newest = self.last_after(hint.checked_sub(1)).await?;
        }
        // Nothing from the hint on: it names a number that was never there, or not any more.
        let wrong = hint.is_some() && newest.is_none();
        if newest.is_none() {
            newest = self.last_after(None).await?;
        }
        if let Some(number) = newest
            && (wrong || number.saturating_sub(hint.unwrap_or(0)) > FAR)
        {
            self.suggest(number).await;
        }
        Ok(newest)
    }

    /// Numbers after one, ascending, at most `limit`.
    pub(crate) async fn page(&self, after: Option<u64>, limit: usize) -> Result<Vec<u64>> {
        let after = after.map(|number| layout::numbered(&self.folder, number));
        let keys = self.backend.list(&self.folder, after.as_ref(), limit).await?;
        keys.iter().map(|key| layout::number_in(&self.folder, key)).collect()
    }

    /// The same, for a page far from the end: where a listing costs what all keys behind `after`
    /// cost, it looks first only where the numbers are unless some are missing.
    pub(crate) async fn page_inside(&self, after: Option<u64>, limit: usize) -> Result<Vec<u64>> {
        if self.backend.lists_whole() {
            // One more, because the first number of all may be 1.
            let first = after.map_or(0, |number| number.saturating_add(1));
            let end = first.saturating_add(limit as u64).saturating_add(1);
            let mut near = self.between(after, end).await?;
            if near.len() >= limit {
                near.truncate(limit);
                return Ok(near);
            }
        }
        self.page(after, limit).await
    }

    /// All numbers, ascending.
    pub(crate) async fn all(&self) -> Result<Vec<u64>> {
        let limit = page_of(self.backend);
        let mut numbers: Vec<u64> = Vec::new();
        loop {
            let page = self.page(numbers.last().copied(), limit).await?;
            let full = page.len() == limit;
            numbers.extend(page);
            if !full {
                return Ok(numbers);
            }
        }
    }

    /// All numbers after one and before another, ascending.
    pub(crate) async fn between(&self, after: Option<u64>, before: u64) -> Result<Vec<u64>> {
        let end = layout::numbered(&self.folder, before);
        let most = page_of(self.backend);
        let mut numbers = Vec::new();
        let mut after = after;
        loop {
            let first = after.map_or(0, |number| number.saturating_add(1));
            let wanted = before.saturating_sub(first);
            let limit = usize::try_from(wanted).map_or(most, |wanted| wanted.min(most));
            if limit == 0 {
                return Ok(numbers);
            }
            let start = after.map(|number| layout::numbered(&self.folder, number));
            let keys = self.backend.list_between(&self.folder, start.as_ref(), &end, limit).await?;
            let full = keys.len() == limit;
            for key in &keys {
                numbers.push(layout::number_in(&self.folder, key)?);
            }
            if !full {
                return Ok(numbers);
            }
            after = numbers.last().copied();
        }
    }

    /// Remembers a recent number. Failing to is no failure.
    pub(crate) async fn suggest(&self, number: u64) {
        let object = record::encode(Kind::Hint, number.to_string().as_bytes(), None);
        let _ = self.backend.put_hint(&self.hint, object).await;
    }

    async fn read_hint(&self) -> Option<u64> {
        let object = self.backend.get(&self.hint).await.ok()??;
        let record = record::decode(Kind::Hint, &self.hint, &object).ok()?;
        std::str::from_utf8(&record.payload).ok()?.parse().ok()
    }

    async fn last_after(&self, after: Option<u64>) -> Result<Option<u64>> {
        let limit = page_of(self.backend);
        let mut last = None;
        loop {
            let page = self.page(last.or(after), limit).await?;
            last = page.last().copied().or(last);
            if page.len() < limit {
                return Ok(last);
            }
        }
    }
}
