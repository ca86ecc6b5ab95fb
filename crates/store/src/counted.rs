//! A backend that counts what it is asked, so that a test can say how much a verb costs.

use crate::backend::{Backend, Fetched, Put};
use crate::error::Result;
use crate::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use landfall_model::Digest;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often each operation was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// Gets, sizes, and fetches to files.
    pub gets: u64,
    /// Puts of objects, also from files, and renames.
    pub puts: u64,
    /// Puts of hints.
    pub hints: u64,
    /// Listings, one for each page.
    pub lists: u64,
    /// Deletions.
    pub deletes: u64,
}

impl Requests {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.gets + self.puts + self.hints + self.lists + self.deletes
    }
}

/// Passes everything on and counts it.
#[derive(Debug)]
pub struct Counted<B> {
    inner: B,
    gets: AtomicU64,
    puts: AtomicU64,
    hints: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

impl<B> Counted<B> {
    /// Counts what `inner` is asked.
    pub const fn new(inner: B) -> Self {
        Self {
            inner,
            gets: AtomicU64::new(0),
            puts: AtomicU64::new(0),
            hints: AtomicU64::new(0),
            lists: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
        }
    }

    /// What it passes on to.
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    /// What was counted since the last call, and starts again at nothing.
    pub fn take(&self) -> Requests {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Requests {
            gets: take(&self.gets),
            puts: take(&self.puts),
            hints: take(&self.hints),
            lists: take(&self.lists),
            deletes: take(&self.deletes),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[async_trait]
impl<B: Backend> Backend for Counted<B> {
    fn name(&self) -> String {
        self.inner.name()
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        count(&self.gets);
        self.inner.get(key).await
    }
    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        count(&self.puts);
        self.inner.put_if_absent(key, bytes).await
    }
    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        count(&self.hints);
        self.inner.put_hint(key, bytes).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        count(&self.lists);
        self.inner.list(prefix, after, limit).await
    }
    async fn list_between(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        before: &Key,
        limit: usize,
    ) -> Result<Vec<Key>> {
        count(&self.lists);
        self.inner.list_between(prefix, after, before, limit).await
    }
    fn lists_whole(&self) -> bool {
        self.inner.lists_whole()
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        count(&self.deletes);
        self.inner.delete(key).await
    }
    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        count(&self.gets);
        self.inner.size(key).await
    }
    async fn put_file(&self, key: &Key, file: &Path, expected: &Digest) -> Result<Put> {
        count(&self.puts);
        self.inner.put_file(key, file, expected).await
    }
    async fn get_file(&self, key: &Key, to: &Path) -> Result<Option<Fetched>> {
        count(&self.gets);
        self.inner.get_file(key, to).await
    }
    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        count(&self.puts);
        self.inner.rename(from, to).await
    }
}
