//! A store in a bucket: Amazon S3 and servers that speak its protocol, Google Cloud Storage, Azure
//! blobs.
//!
//! Credentials come from the environment and the machine, as the clouds' own tools find them, or
//! from options. Every request has a deadline and is tried again a few times.

mod open;
mod transfer;

use crate::backend::{Backend, Fetched, Put, check_hint};
use crate::error::{Result, StoreError};
use crate::key::{Key, is_passed_over};
use async_trait::async_trait;
use bytes::Bytes;
use landfall_model::Digest;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as ObjectPath;
use object_store::{
    Error as ObjectError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest that one operation may take, with all its attempts.
const DEADLINE: Duration = Duration::from_secs(90);
/// The longest page that S3 gives.
const PAGE: usize = 1000;
/// How often a put is tried that neither made an object nor found one.
const ATTEMPTS: usize = 5;

/// A store in a bucket or a container.
#[derive(Clone)]
pub struct Objects {
    name: String,
    prefix: String,
    objects: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Objects({})", self.name)
    }
}

impl Objects {
    /// Names a bucket by its URL: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`. No request is made.
    ///
    /// Options are those of the `object_store` crate (`region`, `endpoint`, `allow_http`, …) and
    /// win over the environment's.
    ///
    /// # Errors
    /// [`StoreError::Usage`] when the URL or an option is not understood.
    pub fn open(url: &str, options: &[(String, String)]) -> Result<Self> {
        open::open(url, options)
    }

    fn path(&self, key: &Key) -> ObjectPath {
        ObjectPath::from(self.full(key.as_str()))
    }

    fn full(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}/{key}", self.prefix),
        }
    }

    /// Waits for an answer as long as the deadline allows.
    async fn within<T>(
        &self,
        operation: &'static str,
        key: &Key,
        request: impl Future<Output = Result<T, ObjectError>> + Send,
    ) -> Result<Result<T, ObjectError>> {
        tokio::time::timeout(DEADLINE, request).await.map_err(|_| StoreError::Timeout {
            store: self.name.clone(),
            operation,
            object: key.to_string(),
        })
    }

    fn failed(&self, operation: &'static str, key: &Key, error: &ObjectError) -> StoreError {
        let object = format!("{key} in {}", self.name);
        match error {
            ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => {
                StoreError::Permission { operation, object, why: in_words(error) }
            }
            _ => StoreError::Failed { operation, object, why: in_words(error) },
        }
    }

    /// A stored path as a key; nothing when listings pass it over.
    fn key_of(&self, path: &str) -> Result<Option<Key>> {
        let rest = if self.prefix.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('/'))
        };
        let Some(rest) = rest else { return Ok(None) };
        if rest.split('/').any(is_passed_over) {
            return Ok(None);
        }
        Key::new(rest).map(Some).map_err(|_| StoreError::Foreign {
            object: format!("{path} in {}", self.name),
            why: "no object of a store has such a name",
        })
    }

    async fn page(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
        token: Option<String>,
    ) -> Result<(Vec<Key>, Option<String>)> {
        let below = self.full(prefix.as_str());
        let below = if below.is_empty() { None } else { Some(format!("{below}/")) };
        let options = PaginatedListOptions {
            offset: after.map(|key| self.full(key.as_str())),
            max_keys: Some(limit),
            page_token: token,
            ..PaginatedListOptions::default()
        };
        let request = self.pages.list_paginated(below.as_deref(), options);
        let page = self
            .within("list", prefix, request)
            .await?
            .map_err(|error| self.failed("list", prefix, &error))?;
        let mut keys = Vec::new();
        for object in page.result.objects {
            // Some servers ignore where a listing shall start.
            let key = self.key_of(object.location.as_ref())?;
            keys.extend(key.filter(|key| after.is_none_or(|after| key > after)));
        }
        Ok((keys, page.page_token))
    }

    async fn put(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<Result<(), ObjectError>> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(key);
        let request = self.objects.put_opts(&path, PutPayload::from(bytes), options);
        Ok(self.within("write", key, request).await?.map(|_| ()))
    }
}

/// The last cause in words: what wraps it repeats it.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (first, last) = (error.to_string(), innermost.to_string());
    if first.contains(&last) { first } else { format!("{first}: {last}") }
}

#[async_trait]
impl Backend for Objects {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let path = self.path(key);
        let request = async { self.objects.get(&path).await?.bytes().await };
        match self.within("read", key, request).await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", key, &error)),
        }
    }

    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        for _ in 0..ATTEMPTS {
            match self.put(key, bytes.clone(), PutMode::Create).await? {
                Ok(()) => return Ok(Put::Created),
                // S3 answers a conflict also while another writer is not done, who may yet fail:
                // the object exists only if it can be seen.
                Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {
                    if self.size(key).await?.is_some() {
                        return Ok(Put::Exists);
                    }
                }
                Err(error) => return Err(self.failed("write", key, &error)),
            }
        }
        Err(StoreError::Failed {
            operation: "write",
            object: format!("{key} in {}", self.name),
            why: "it is said to exist and cannot be seen".to_owned(),
        })
    }

    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        check_hint(key, &bytes)?;
        let put = self.put(key, bytes, PutMode::Overwrite).await?;
        put.map_err(|error| self.failed("write", key, &error))
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut token = None;
        loop {
            let wanted = (limit - keys.len()).min(PAGE);
            if wanted == 0 {
                return Ok(keys);
            }
            let (page, next) = self.page(prefix, after, wanted, token).await?;
            keys.extend(page);
            if keys.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(StoreError::Unsafe {
                    store: self.name.clone(),
                    why: "it does not list objects in the order of their names".to_owned(),
                });
            }
            if next.is_none() {
                return Ok(keys);
            }
            token = next;
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        match self.within("delete", key, self.objects.delete(&path)).await? {
            Ok(()) | Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", key, &error)),
        }
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let path = self.path(key);
        match self.within("look at", key, self.objects.head(&path)).await? {
            Ok(object) => Ok(Some(object.size)),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", key, &error)),
        }
    }

    async fn put_file(&self, key: &Key, file: &Path, expected: &Digest) -> Result<Put> {
        transfer::upload(self, key, file, expected).await
    }

    async fn get_file(&self, key: &Key, to: &Path) -> Result<Option<Fetched>> {
        transfer::download(self, key, to).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let (source, target) = (self.path(from), self.path(to));
        match self.within("copy", from, self.objects.copy(&source, &target)).await? {
            Ok(()) => self.delete(from).await,
            Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("copy", from, &error)),
        }
    }
}
