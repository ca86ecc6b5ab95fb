//! An image on its way to a registry: what is there is not sent again.

use crate::client::Client;
use crate::error::{Purpose, RegistryError};
use crate::image::Built;
use crate::manifest::{Descriptor, OCI_MANIFEST};
use crate::reference::{Reference, Repository, Tag};
use crate::wire::{Access, Call, Failure, Tries, Wire};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use landfall_model::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use reqwest::{Body, Method, StatusCode, Url};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::io::ReaderStream;

/// The slowest transfer of a blob that is waited for, in bytes a second.
const SLOWEST: u64 = 256 * 1024;

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of blobs that are in the registry or on their way. Goes back when a blob is sent again.
    pub done: u64,
    /// Bytes of all blobs of the image.
    pub total: u64,
    /// Those of `done` that were there already.
    pub there: u64,
}

/// Is told how far a push is, often; it must not block.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// A blob's content, which can be had anew for each try.
enum Content<'a> {
    Bytes(Bytes),
    File(&'a Path),
    /// In a repository, maybe of another registry.
    Elsewhere(&'a Repository),
}

struct Blob<'a> {
    digest: Digest,
    size: u64,
    content: Content<'a>,
}

impl Client {
    /// Sends an image to a repository, and gives its name by digest. Blobs that are there are not
    /// sent; layers of the base are mounted from its repository in the same registry, or streamed
    /// from another one. With a tag, that tag names the image from then on; without one some
    /// registries remove it when they clean up.
    ///
    /// # Errors
    /// When the registry does not allow it, refuses it, or does not answer; or the base's does.
    pub async fn push(
        &self,
        built: &Built,
        to: &Repository,
        tag: Option<&Tag>,
        on_progress: &OnProgress,
    ) -> Result<Reference, RegistryError> {
        let purpose = Purpose { operation: "push to", object: to, host: to.host() };
        let blobs = blobs(built);
        let push = Push { wire: &self.wire, to, meter: Arc::new(Meter::new(&blobs, on_progress)) };
        for blob in &blobs {
            push.blob(blob).await.map_err(|failed| match failed {
                // The registry of the base failed, not the one that is pushed to.
                Failed { elsewhere: Some(from), failure } => {
                    let digest = blob.digest;
                    let object = from.at(digest);
                    Purpose { operation: "copy", object: &object, host: from.host() }
                        .failed(failure)
                }
                Failed { failure, .. } => purpose.failed(failure),
            })?;
        }
        push.manifest(built, tag).await.map_err(|failure| purpose.failed(failure))?;
        Ok(to.at(built.digest()))
    }
}

/// Base first, so that what fails because of it fails before the artifact is sent.
fn blobs(built: &Built) -> Vec<Blob<'_>> {
    let base = built.base().into_iter().flat_map(|(reference, layers)| {
        layers.iter().map(|&Descriptor { digest, size, .. }| {
            let content = Content::Elsewhere(reference.repository());
            Blob { digest, size, content }
        })
    });
    let (config, config_digest) = built.config();
    let layer = Blob {
        digest: built.layer_digest(),
        size: built.layer_size(),
        content: Content::File(built.layer_file()),
    };
    let config = Blob {
        digest: config_digest,
        size: config.len() as u64,
        content: Content::Bytes(Bytes::copy_from_slice(config)),
    };
    base.chain([layer, config]).collect()
}

struct Push<'a> {
    wire: &'a Wire,
    to: &'a Repository,
    meter: Arc<Meter>,
}

struct Failed<'a> {
    elsewhere: Option<&'a Repository>,
    failure: Failure,
}

impl From<Failure> for Failed<'_> {
    fn from(failure: Failure) -> Self {
        Self { elsewhere: None, failure }
    }
}

impl Push<'_> {
    async fn blob<'a>(&self, blob: &Blob<'a>) -> Result<(), Failed<'a>> {
        if self.is_there(blob).await? {
            self.meter.skipped(blob.size);
            return Ok(());
        }
        let mut tries = Tries::new(&self.wire.options);
        loop {
            let before = self.meter.done();
            match self.upload(blob).await {
                Ok(()) => return Ok(()),
                Err(Failed { elsewhere, failure }) => {
                    self.meter.back_to(before);
                    let again = tries.again(failure).await;
                    again.map_err(|failure| Failed { elsewhere, failure })?;
                }
            }
        }
    }

    async fn is_there(&self, blob: &Blob<'_>) -> Result<bool, Failure> {
        let mut call = self.call(&format!("blobs/{}", blob.digest), self.access(blob))?;
        call.method = Method::HEAD;
        match self.wire.fetch(&call).await {
            Ok(_) => Ok(true),
            Err(Failure::Status { status: 404, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// One try: opens an upload, which may mount the blob at once, and sends it.
    async fn upload<'a>(&self, blob: &Blob<'a>) -> Result<(), Failed<'a>> {
        let mut call = self.call("blobs/uploads/", self.access(blob))?;
        call.method = Method::POST;
        call.headers.push((CONTENT_LENGTH, "0".to_owned()));
        if let Access::Mount(from) = call.access {
            call.url
                .query_pairs_mut()
                .append_pair("mount", &blob.digest.to_string())
                .append_pair("from", from.path());
        }
        let response = self.wire.open(&call).await?;
        if response.status() == StatusCode::CREATED {
            self.meter.skipped(blob.size);
            return Ok(());
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        call.url = place(&call.url, location)?;
        call.url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        call.method = Method::PUT;
        call.deadline = self.deadline(blob.size);
        call.headers = vec![
            (CONTENT_LENGTH, blob.size.to_string()),
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
        ];
        let body = self.body(blob).await?;
        self.wire.open_with(&call, body).await?;
        Ok(())
    }

    async fn body<'a>(&self, blob: &Blob<'a>) -> Result<Body, Failed<'a>> {
        match &blob.content {
            Content::Bytes(bytes) => {
                let bytes = bytes.clone();
                Ok(self.counted(futures::stream::iter([Ok::<_, std::io::Error>(bytes)])))
            }
            Content::File(path) => {
                let file = tokio::fs::File::open(path)
                    .await
                    .map_err(|error| Failure::local("read the image's layer", &error))?;
                Ok(self.counted(ReaderStream::with_capacity(file, 256 * 1024)))
            }
            Content::Elsewhere(from) => {
                let failed = |failure| Failed { elsewhere: Some(*from), failure };
                let rest = format!("blobs/{}", blob.digest);
                let mut call = self.call(&rest, Access::Pull)?;
                call.repository = from;
                call.url = self.wire.url(from, &rest).map_err(failed)?;
                call.deadline = self.deadline(blob.size);
                let response = self.wire.open(&call).await.map_err(failed)?;
                if response.content_length().is_some_and(|length| length != blob.size) {
                    return Err(failed(Failure::Invalid(
                        "the registry sends a blob of another size than its manifest says".into(),
                    )));
                }
                Ok(self.counted(response.bytes_stream()))
            }
        }
    }

    fn counted<E>(&self, stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Body
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let meter = self.meter.clone();
        Body::wrap_stream(stream.inspect(move |piece| {
            if let Ok(piece) = piece {
                meter.sent(piece.len() as u64);
            }
        }))
    }

    async fn manifest(&self, built: &Built, tag: Option<&Tag>) -> Result<(), Failure> {
        let digest = built.digest().to_string();
        let name = tag.map_or_else(|| digest.clone(), ToString::to_string);
        let mut call = self.call(&format!("manifests/{name}"), Access::Push)?;
        call.method = Method::PUT;
        call.headers.push((CONTENT_TYPE, OCI_MANIFEST.to_owned()));
        call.body = Bytes::copy_from_slice(built.manifest());
        let answer = self.wire.fetch(&call).await?;
        let named = answer.header("docker-content-digest");
        if named.is_some_and(|named| named != digest) {
            return Err(Failure::Invalid(
                "the registry names the pushed image by another digest".to_owned(),
            ));
        }
        Ok(())
    }

    fn access<'a>(&self, blob: &Blob<'a>) -> Access<'a> {
        match blob.content {
            Content::Elsewhere(from) if from.host() == self.to.host() && from != self.to => {
                Access::Mount(from)
            }
            _ => Access::Push,
        }
    }

    fn call<'a>(&'a self, rest: &str, access: Access<'a>) -> Result<Call<'a>, Failure> {
        Ok(Call {
            repository: self.to,
            access,
            method: Method::GET,
            url: self.wire.url(self.to, rest)?,
            headers: Vec::<(HeaderName, String)>::new(),
            body: Bytes::new(),
            deadline: self.wire.options.request_timeout,
        })
    }

    fn deadline(&self, size: u64) -> Duration {
        self.wire.options.request_timeout + Duration::from_secs(size / SLOWEST)
    }
}

/// Where a registry wants an upload: absolute, or relative to where it was asked.
fn place(asked: &Url, location: Option<&str>) -> Result<Url, Failure> {
    let location = location
        .ok_or_else(|| Failure::Invalid("the registry names no place for an upload".to_owned()))?;
    let mut base = asked.clone();
    base.set_query(None);
    let place = base.join(location).map_err(|error| {
        Failure::Invalid(format!("the registry's place for an upload is no address: {error}"))
    })?;
    if asked.scheme() == "https" && place.scheme() != "https" {
        return Err(Failure::Invalid(
            "the registry speaks TLS and wants uploads in plain text: let what is before it send `X-Forwarded-Proto: https`".to_owned(),
        ));
    }
    Ok(place)
}

/// Counts what is sent.
struct Meter {
    done: AtomicU64,
    there: AtomicU64,
    total: u64,
    tell: OnProgress,
}

impl Meter {
    fn new(blobs: &[Blob<'_>], tell: &OnProgress) -> Self {
        let total = blobs.iter().map(|blob| blob.size).sum();
        Self { done: AtomicU64::new(0), there: AtomicU64::new(0), total, tell: tell.clone() }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn sent(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.say();
    }

    fn skipped(&self, bytes: u64) {
        self.there.fetch_add(bytes, Ordering::Relaxed);
        self.sent(bytes);
    }

    fn back_to(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.say();
    }

    fn say(&self) {
        let there = self.there.load(Ordering::Relaxed);
        (self.tell)(Progress { done: self.done(), total: self.total, there });
    }
}
