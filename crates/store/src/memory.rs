//! A store in memory, for tests, simulations and measurements.

use crate::backend::{Backend, Put, check_hint};
use crate::error::Result;
use crate::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects in memory. They are gone with the process.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<Key, Bytes>>);

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces an object, as no store would: for tests of damage.
    pub fn overwrite(&self, key: &Key, bytes: Bytes) {
        self.objects().insert(key.clone(), bytes);
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.objects().get(key).cloned())
    }

    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(Put::Exists);
        }
        objects.insert(key.clone(), bytes);
        Ok(Put::Created)
    }

    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        check_hint(key, &bytes)?;
        self.overwrite(key, bytes);
        Ok(())
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let from = match after {
            Some(key) if key > prefix => Bound::Excluded(key.clone()),
            _ => Bound::Included(prefix.clone()),
        };
        let end = format!("{prefix}/");
        Ok(self
            .objects()
            .range((from, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| {
                prefix.is_root() || key.below(prefix).is_some() || key.as_str() < end.as_str()
            })
            .filter(|key| key.below(prefix).is_some())
            .take(limit)
            .cloned()
            .collect())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }
}
