//! The small trait that every place to keep objects implements.

use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::seal::{Hasher, digest_of};
use async_trait::async_trait;
use bytes::Bytes;
use landfall_model::Digest;
use std::path::Path;

/// What became of a put-if-absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is there now, durably, and this call made it.
    Created,
    /// Somebody's object was there before; nothing was changed.
    Exists,
}

/// What was written to a local file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of the bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// The largest hint: it is a number and what says so, and grows no further.
pub const LARGEST_HINT: usize = 1024;

/// A place that keeps objects.
///
/// What callers rely on: an object appears whole or not at all; of all concurrent
/// [`put_if_absent`](Self::put_if_absent) of one key exactly one is [`Put::Created`]; a created
/// object survives a crash and is in every later listing.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What people call it: a folder's path, or a URL without credentials.
    fn name(&self) -> String;

    /// The whole object, or nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Makes an object unless there is one.
    ///
    /// # Errors
    /// When the store cannot be written. After a timeout the object may be there or not.
    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put>;

    /// Makes or replaces a hint: the last writer wins, and a crash may lose or empty it.
    ///
    /// # Errors
    /// When the store cannot be written, or the hint has more than [`LARGEST_HINT`] bytes.
    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()>;

    /// Keys below the folder `prefix` and after `after`, at any depth, ascending by their bytes,
    /// at most `limit` of them.
    ///
    /// # Errors
    /// When the store cannot be read, or a name in it is no key.
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>>;

    /// The same keys as [`list`](Self::list), but only those before `before`. A place whose
    /// listings have no such end gives the keys of a listing that are before it.
    ///
    /// # Errors
    /// When the store cannot be read, or a name in it is no key.
    async fn list_between(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        before: &Key,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let mut keys = self.list(prefix, after, limit).await?;
        keys.retain(|key| key < before);
        Ok(keys)
    }

    /// Whether a listing costs what all keys of its range cost, whatever the limit. Who wants all
    /// of them asks such a place once, and others page by page.
    fn lists_whole(&self) -> bool {
        false
    }

    /// Deletes an object; that it is gone already is no error.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// The size of an object in bytes, or nothing when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.get(key).await?.map(|bytes| bytes.len() as u64))
    }

    /// Makes an object from a local file, unless there is one. The object appears only if the
    /// bytes read have the digest `expected`. Concurrent calls with one digest write the same
    /// bytes, so that they may all succeed.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the file no longer has that digest.
    async fn put_file(&self, key: &Key, file: &Path, expected: &Digest) -> Result<Put> {
        let bytes = read_local(file).await?;
        if digest_of(&bytes) != *expected {
            return Err(StoreError::Changed(file.display().to_string()));
        }
        self.put_if_absent(key, bytes).await
    }

    /// Writes an object into a new local file; nothing when there is no object.
    ///
    /// # Errors
    /// When the store cannot be read or the file not be written.
    async fn get_file(&self, key: &Key, to: &Path) -> Result<Option<Fetched>> {
        let Some(bytes) = self.get(key).await? else { return Ok(None) };
        let fetched = Fetched { digest: digest_of(&bytes), size: bytes.len() as u64 };
        tokio::fs::write(to, &bytes)
            .await
            .map_err(|error| StoreError::io("write", to.display(), &error))?;
        Ok(Some(fetched))
    }

    /// Gives an object another key, where it replaces what has the same bytes. After a crash the
    /// object may have both keys.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        if let Some(bytes) = self.get(from).await? {
            self.put_if_absent(to, bytes).await?;
            self.delete(from).await?;
        }
        Ok(())
    }
}

/// How many keys to ask for at once where all are wanted; object stores give no longer pages.
pub(crate) fn page_of(backend: &dyn Backend) -> usize {
    if backend.lists_whole() { usize::MAX } else { 1000 }
}

/// Refuses a hint that is none.
pub(crate) fn check_hint(key: &Key, bytes: &Bytes) -> Result<()> {
    if bytes.len() <= LARGEST_HINT {
        return Ok(());
    }
    Err(StoreError::Usage(format!(
        "{key} has {} bytes, and a hint has up to {LARGEST_HINT}",
        bytes.len()
    )))
}

async fn read_local(file: &Path) -> Result<Bytes> {
    match tokio::fs::read(file).await {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => Err(StoreError::io("read", file.display(), &error)),
    }
}

/// The digest and size of a local file, read in pieces.
pub(crate) fn hash_file(file: &Path) -> Result<Fetched> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| StoreError::io("read", file.display(), &error);
    let mut input = std::fs::File::open(file).map_err(failed)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let count = input.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(Fetched { size: hasher.size(), digest: hasher.finish() })
}
