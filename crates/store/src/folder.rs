//! A store in a local folder.
//!
//! A file appears under its name only when it is whole and on the disk: it is written as a
//! temporary file of the same file system, synced, then renamed without replacing, and the folder
//! is synced. So a crash at any instant leaves either the whole object or none.

mod files;
mod listing;

use crate::backend::{Backend, Fetched, Put, check_hint};
use crate::error::{Result, StoreError, blocking};
use crate::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use files::Files;
use landfall_model::Digest;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store in a local folder. Folders get mode 0700, files 0600.
#[derive(Debug, Clone)]
pub struct Folder {
    files: Arc<Files>,
}

impl Folder {
    /// Opens the folder, makes it when it is missing, and clears temporary files that crashed
    /// programs left more than an hour ago.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let files = Files::open(path.into())?;
        Ok(Self { files: Arc::new(files) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.root()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.files);
        blocking(move || work(&files)).await
    }
}

#[async_trait]
impl Backend for Folder {
    fn name(&self) -> String {
        self.files.root().display().to_string()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let key = key.clone();
        self.run(move |files| files.read(&key)).await
    }

    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        let key = key.clone();
        self.run(move |files| files.create(&key, &bytes)).await
    }

    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        check_hint(key, &bytes)?;
        let key = key.clone();
        self.run(move |files| files.replace(&key, &bytes)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.run(move |files| listing::list(files.root(), &prefix, after.as_ref(), limit)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.run(move |files| files.delete(&key)).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let path = self.files.path(key);
        self.run(move |_| match std::fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("look at", path.display(), &error)),
        })
        .await
    }

    async fn put_file(&self, key: &Key, file: &Path, expected: &Digest) -> Result<Put> {
        let (key, file, expected) = (key.clone(), file.to_owned(), *expected);
        self.run(move |files| files.create_from(&key, &file, &expected)).await
    }

    async fn get_file(&self, key: &Key, to: &Path) -> Result<Option<Fetched>> {
        let (key, to) = (key.clone(), to.to_owned());
        self.run(move |files| files.copy_out(&key, &to)).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |files| files.rename(&from, &to)).await
    }
}
