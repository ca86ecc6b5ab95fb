//! Folders of objects with rising numbers, and how the newest is found in two requests.
//!
//! Listings ascend, so the newest number is the end of a list that may be long. A hint names a
//! recent number; the listing starts there. The listing decides, never the hint: a hint that is
//! lost, old, or wrong costs requests and changes no answer.

use crate::backend::Backend;
use crate::error::Result;
use crate::key::Key;
use crate::layout;
use crate::record::{self, Kind};

/// The longest page that is asked for; object stores give no longer ones.
const PAGE: usize = 1000;

pub(crate) struct Series<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) folder: Key,
    pub(crate) hint: Key,
}

impl Series<'_> {
    /// The newest number, or nothing.
    pub(crate) async fn newest(&self) -> Result<Option<u64>> {
        if let Some(hint) = self.read_hint().await {
            let newest = self.last_after(hint.checked_sub(1)).await?;
            if newest.is_some() {
                return Ok(newest);
            }
        }
        let newest = self.last_after(None).await?;
        if let Some(number) = newest.filter(|number| *number > PAGE as u64) {
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

    /// All numbers after one and before another, ascending.
    pub(crate) async fn between(&self, after: Option<u64>, before: u64) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut after = after;
        loop {
            let wanted = before.saturating_sub(after.map_or(0, |number| number + 1));
            let limit = usize::try_from(wanted).map_or(PAGE, |wanted| wanted.min(PAGE));
            if limit == 0 {
                return Ok(numbers);
            }
            let page = self.page(after, limit).await?;
            let full = page.len() == limit;
            let inside = page.iter().take_while(|number| **number < before).count();
            numbers.extend_from_slice(&page[..inside]);
            after = page.last().copied();
            if !full || inside < page.len() {
                return Ok(numbers);
            }
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
        let mut after = after;
        let mut last = None;
        loop {
            let page = self.page(after, PAGE).await?;
            last = page.last().copied().or(last);
            after = last.or(after);
            if page.len() < PAGE {
                return Ok(last);
            }
        }
    }
}
