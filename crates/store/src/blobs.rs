//! Blobs: files named by the SHA-256 of their bytes.

use crate::backend::hash_file;
use crate::error::{Result, StoreError, blocking};
use crate::layout;
use crate::seal::digest_of;
use crate::store::Store;
use bytes::Bytes;
use landfall_model::Digest;
use std::path::{Path, PathBuf};

impl Store {
    /// Puts a local file into the store, unless it is there. Says its digest and its size.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the file changes meanwhile; nothing is kept then.
    pub async fn put_blob_file(&self, path: &Path) -> Result<(Digest, u64)> {
        let file = path.to_owned();
        let hashed = blocking(move || hash_file(&file)).await?;
        let key = layout::blob(&hashed.digest);
        match self.backend.size(&key).await? {
            Some(size) if size == hashed.size => return Ok((hashed.digest, hashed.size)),
            // A damaged one can be replaced, because the right bytes are here.
            Some(_) => self.backend.delete(&key).await?,
            None => {}
        }
        self.backend.put_file(&key, path, &hashed.digest).await?;
        Ok((hashed.digest, hashed.size))
    }

    /// Whether a blob is in the store and will stay there until the release that needs it is
    /// sealed. A blob that `prune` has retired counts as absent: upload it again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(self.backend.size(&layout::blob(digest)).await?.is_some())
    }

    /// A blob in memory, verified. For small ones.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], or [`StoreError::Corrupt`] when its bytes are not those of
    /// its name.
    pub async fn read_blob(&self, digest: &Digest) -> Result<Bytes> {
        for key in places(digest) {
            let Some(bytes) = self.backend.get(&key).await? else { continue };
            let found = digest_of(&bytes);
            if found != *digest {
                return Err(StoreError::corrupt(
                    &key,
                    format!("its bytes have the digest {found}"),
                ));
            }
            return Ok(bytes);
        }
        Err(StoreError::MissingBlob(*digest))
    }

    /// Writes a blob into a local file, verified: the file appears whole, or not at all. A file
    /// that is there already is replaced.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], or [`StoreError::Corrupt`] when its bytes are not those of
    /// its name.
    pub async fn fetch_blob(&self, digest: &Digest, to: &Path) -> Result<()> {
        let draft = draft_beside(to)?;
        let result = self.fetch_draft(digest, &draft, to).await;
        if result.is_err() {
            let _ = tokio::fs::remove_file(&draft).await;
        }
        result
    }

    async fn fetch_draft(&self, digest: &Digest, draft: &Path, to: &Path) -> Result<()> {
        for key in places(digest) {
            let Some(fetched) = self.backend.get_file(&key, draft).await? else { continue };
            if fetched.digest != *digest {
                return Err(StoreError::corrupt(
                    &key,
                    format!("its {} bytes have the digest {}", fetched.size, fetched.digest),
                ));
            }
            let (draft, to) = (draft.to_owned(), to.to_owned());
            return blocking(move || settle(&draft, &to)).await;
        }
        Err(StoreError::MissingBlob(*digest))
    }
}

/// Where a blob may be. A prune may move it back while one looks, hence the first place again.
fn places(digest: &Digest) -> [crate::key::Key; 3] {
    [layout::blob(digest), layout::retired_blob(digest), layout::blob(digest)]
}

fn draft_beside(to: &Path) -> Result<PathBuf> {
    let unique = crate::probe::unique()?;
    let folder = to.parent().unwrap_or(Path::new(""));
    Ok(folder.join(format!(".tmp-{unique}")))
}

fn settle(draft: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| StoreError::io("write", to.display(), &error);
    std::fs::File::open(draft).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(draft, to).map_err(failed)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}
