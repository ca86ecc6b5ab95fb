//! Blobs between local files and a bucket, in parts: a large one is never held in memory.

use super::Objects;
use crate::backend::{Backend as _, Fetched, Put};
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::seal::Hasher;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use landfall_model::Digest;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// The size of a part. S3 wants 5 MiB at least, and at most 10,000 parts.
const PART: usize = 8 << 20;
/// How many parts are under way at once.
const AT_ONCE: usize = 4;

struct Source<'a> {
    path: &'a Path,
    file: tokio::fs::File,
    hasher: Hasher,
}

impl Source<'_> {
    /// The next part; an empty one at the end.
    async fn part(&mut self) -> Result<Bytes> {
        let mut part = Vec::with_capacity(PART);
        let mut limited = (&mut self.file).take(PART as u64);
        limited
            .read_to_end(&mut part)
            .await
            .map_err(|error| StoreError::io("read", self.path.display(), &error))?;
        self.hasher.update(&part);
        Ok(Bytes::from(part))
    }

    fn settle(self, expected: &Digest) -> Result<()> {
        if self.hasher.finish() == *expected {
            Ok(())
        } else {
            Err(StoreError::Changed(self.path.display().to_string()))
        }
    }
}

pub(super) async fn upload(
    objects: &Objects,
    key: &Key,
    path: &Path,
    expected: &Digest,
) -> Result<Put> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|error| StoreError::io("read", path.display(), &error))?;
    let mut source = Source { path, file, hasher: Hasher::new() };
    let first = source.part().await?;
    if first.len() < PART {
        source.settle(expected)?;
        return objects.put_if_absent(key, first).await;
    }
    let location = objects.path(key);
    let mut upload = objects
        .within("write", key, objects.objects.put_multipart(&location))
        .await?
        .map_err(|error| objects.failed("write", key, &error))?;
    let sent = match send_parts(objects, key, upload.as_mut(), &mut source, first).await {
        Ok(()) => source.settle(expected),
        Err(error) => Err(error),
    };
    if let Err(error) = sent {
        // What cannot be taken back now is for the bucket's own rule on unfinished uploads.
        let _ = objects.within("take back", key, upload.abort()).await;
        return Err(error);
    }
    objects
        .within("finish", key, upload.complete())
        .await?
        .map_err(|error| objects.failed("finish", key, &error))?;
    Ok(Put::Created)
}

async fn send_parts(
    objects: &Objects,
    key: &Key,
    upload: &mut dyn MultipartUpload,
    source: &mut Source<'_>,
    first: Bytes,
) -> Result<()> {
    // Parts that are still under way when this fails are ended with the set.
    let mut parts = JoinSet::new();
    let mut next = first;
    while !next.is_empty() {
        let sending = upload.put_part(PutPayload::from(next));
        let (objects, key) = (objects.clone(), key.clone());
        parts.spawn(async move {
            objects
                .within("write", &key, sending)
                .await?
                .map_err(|error| objects.failed("write", &key, &error))
        });
        if parts.len() >= AT_ONCE {
            one_sent(&mut parts).await?;
        }
        next = source.part().await?;
    }
    while !parts.is_empty() {
        one_sent(&mut parts).await?;
    }
    Ok(())
}

async fn one_sent(parts: &mut JoinSet<Result<()>>) -> Result<()> {
    match parts.join_next().await {
        Some(Ok(sent)) => sent,
        Some(Err(error)) => Err(StoreError::Failed {
            operation: "write",
            object: "a part of a blob".to_owned(),
            why: error.to_string(),
        }),
        None => Ok(()),
    }
}

pub(super) async fn download(objects: &Objects, key: &Key, to: &Path) -> Result<Option<Fetched>> {
    let Some(size) = objects.size(key).await? else { return Ok(None) };
    let failed = |error: std::io::Error| StoreError::io("write", to.display(), &error);
    let mut file = tokio::fs::File::create(to).await.map_err(failed)?;
    let mut hasher = Hasher::new();
    let ranges = (0..size).step_by(PART).map(|start| start..(start + PART as u64).min(size));
    let mut parts = stream::iter(ranges)
        .map(|range| {
            let (objects, key) = (objects.clone(), key.clone());
            async move {
                let path = objects.path(&key);
                let request = objects.objects.get_range(&path, range);
                objects
                    .within("read", &key, request)
                    .await?
                    .map_err(|error| objects.failed("read", &key, &error))
            }
        })
        .buffered(AT_ONCE);
    while let Some(part) = parts.next().await {
        let part = part?;
        hasher.update(&part);
        file.write_all(&part).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(Some(Fetched { size: hasher.size(), digest: hasher.finish() }))
}
