//! What a name stands for, and whether it is still there.

use crate::credentials::Credentials;
use crate::digest::digest_of;
use crate::error::{Missing, Purpose, RegistryError};
use crate::image::{Base, BaseImage};
use crate::manifest::{ACCEPT, Content, Descriptor, Manifest, Platform, platforms, read};
use crate::reference::{Reference, Repository, Version};
use crate::wire::{Access, Answer, Call, Failure, Wire};
use bytes::Bytes;
use landfall_model::Digest;
use reqwest::Method;
use reqwest::header::ACCEPT as ACCEPT_HEADER;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a manifest or a configuration may hold, in bytes.
const MANIFEST_LIMIT: u64 = 4 << 20;

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// With TLS.
    Https,
}

/// How to speak to registries.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest to wait for a connection: 5 s.
    pub connect_timeout: Duration,
    /// The longest that one request may take: 30 s. One that carries a blob gets a second more for
    /// each 256 KiB of it.
    pub request_timeout: Duration,
    /// How often a request is sent at most: 4 times. Another try follows a broken connection, a
    /// passed deadline, and the status 429 or 5xx.
    pub tries: u32,
    /// The pause before the second try: 300 ms at most. It doubles with each, and is longer when
    /// the registry asks for that, up to 30 s.
    pub pause: Duration,
    /// Hosts that are spoken to otherwise than by themselves: this machine is in plain text, and
    /// all others with TLS. Written as in the names of images.
    pub schemes: BTreeMap<String, Scheme>,
    /// Certificates, as PEM, that are trusted beside the system's.
    pub roots: Vec<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            tries: 4,
            pause: Duration::from_millis(300),
            schemes: BTreeMap::new(),
            roots: Vec::new(),
        }
    }
}

/// What a name stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The image by its digest, which no later push can move.
    pub reference: Reference,
    /// Its digest: of the index, if it is for several platforms.
    pub digest: Digest,
    /// The media type of what has this digest.
    pub media_type: String,
    /// What it runs on, sorted.
    pub platforms: Vec<Platform>,
}

/// Speaks to registries. Clones share connections, credentials and tokens.
#[derive(Clone)]
pub struct Client {
    pub(crate) wire: Arc<Wire>,
}

/// A manifest as it was found.
struct Document {
    digest: Digest,
    media_type: String,
    content: Content,
}

impl Client {
    /// A client with these credentials. Nothing is asked yet.
    ///
    /// # Errors
    /// When a certificate in the options is not one, or the system's cannot be loaded.
    pub fn new(credentials: Credentials, options: Options) -> Result<Self, RegistryError> {
        let purpose = Purpose { operation: "open", object: &"the client for registries", host: "" };
        let wire = Wire::new(credentials, options).map_err(|failure| purpose.failed(failure))?;
        Ok(Self { wire: Arc::new(wire) })
    }

    /// Finds what a name stands for now. One that has a digest already is checked to be there.
    ///
    /// Takes one request for an index, and one more for the configuration of a single image, which
    /// says what it runs on.
    ///
    /// # Errors
    /// When it is not there, not allowed, not an image, or the registry does not answer.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let purpose = purpose("resolve", reference);
        let document = self.document(reference, &purpose).await?;
        let platforms = match &document.content {
            Content::Index(index) => platforms(index),
            Content::Image(manifest) => {
                let repository = reference.repository();
                let bytes = self.configuration(repository, manifest, &purpose).await?;
                let platform: Platform = serde_json::from_slice(&bytes).map_err(|error| {
                    purpose.invalid(format!("its configuration is not understood: {error}"))
                })?;
                vec![platform]
            }
        };
        Ok(Resolved {
            reference: reference.repository().at(document.digest),
            digest: document.digest,
            media_type: document.media_type,
            platforms,
        })
    }

    /// Whether an image is there, by a request that transfers nothing of it.
    ///
    /// # Errors
    /// When the registry does not tell: not allowed, or no answer.
    pub async fn exists(&self, reference: &Reference) -> Result<bool, RegistryError> {
        let answer = self.manifest(Method::HEAD, reference).await;
        match answer {
            Ok(_) => Ok(true),
            Err(Failure::Status { status: 404, .. }) => Ok(false),
            Err(failure) => Err(purpose("look for", reference).failed(failure)),
        }
    }

    /// An image as the base of others, for one platform. Nothing of its layers is transferred.
    ///
    /// # Errors
    /// As [`Self::resolve()`], and when it has nothing for the platform or a layer that may not be
    /// copied.
    pub async fn base(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Base, RegistryError> {
        let purpose = purpose("read", reference);
        let mut document = self.document(reference, &purpose).await?;
        if let Content::Index(index) = &document.content {
            let suits =
                |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|it| it.suits(platform));
            let entry = index.iter().find(suits).ok_or_else(|| {
                let known: Vec<_> = platforms(index).iter().map(ToString::to_string).collect();
                purpose.invalid(format!(
                    "it has nothing for {platform}, only for {}",
                    known.join(", ")
                ))
            })?;
            document = self.document(&reference.repository().at(entry.digest), &purpose).await?;
        }
        let Content::Image(manifest) = document.content else {
            return Err(purpose.invalid("it is an index of indexes"));
        };
        let repository = reference.repository();
        let configuration = self.configuration(repository, &manifest, &purpose).await?;
        BaseImage::new(repository.at(document.digest), manifest, &configuration, platform)
            .map(|base| Base::Image(Box::new(base)))
            .map_err(|why| purpose.invalid(why))
    }

    /// Reads a manifest and holds it against the digest it is known by.
    async fn document(
        &self,
        reference: &Reference,
        purpose: &Purpose<'_>,
    ) -> Result<Document, RegistryError> {
        let answer = match self.manifest(Method::GET, reference).await {
            Ok(answer) => answer,
            Err(failure @ Failure::Status { status: 404, .. }) => {
                return Err(self.missing(reference, purpose, failure).await);
            }
            Err(failure) => return Err(purpose.failed(failure)),
        };
        let digest = digest_of(&answer.body);
        let announced = answer.header("docker-content-digest").map(str::parse::<Digest>);
        let expected = reference.digest().or(announced.and_then(Result::ok));
        if expected.is_some_and(|expected| expected != digest) {
            return Err(purpose.invalid(
                "the registry sent something that does not have the digest it was asked for",
            ));
        }
        let (media_type, content) = read(&answer.body, answer.header("content-type"))
            .map_err(|why| purpose.invalid(why))?;
        Ok(Document { digest, media_type, content })
    }

    async fn manifest(&self, method: Method, reference: &Reference) -> Result<Answer, Failure> {
        let version = match reference.version() {
            Version::Tag(tag) => tag.to_string(),
            Version::Digest(digest) => digest.to_string(),
        };
        let mut call = self.pull(reference.repository(), &format!("manifests/{version}"))?;
        call.method = method;
        call.headers.push((ACCEPT_HEADER, ACCEPT.to_owned()));
        self.wire.fetch_within(&call, MANIFEST_LIMIT).await
    }

    async fn configuration(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        purpose: &Purpose<'_>,
    ) -> Result<Bytes, RegistryError> {
        let digest = manifest.config.digest;
        let call = self.pull(repository, &format!("blobs/{digest}"));
        let fetched = async { self.wire.fetch_within(&call?, MANIFEST_LIMIT).await }.await;
        let answer = fetched.map_err(|failure| purpose.failed(failure))?;
        if digest_of(&answer.body) != digest {
            return Err(purpose.invalid(format!("its configuration is not {digest}")));
        }
        Ok(answer.body)
    }

    /// Which part of a name is not there, as far as the registry tells.
    async fn missing(
        &self,
        reference: &Reference,
        purpose: &Purpose<'_>,
        failure: Failure,
    ) -> RegistryError {
        let tags =
            async { self.wire.fetch(&self.pull(reference.repository(), "tags/list?n=1")?).await };
        let missing = match (tags.await, reference.version()) {
            (Err(Failure::Status { status: 404, .. }), _) => Missing::Repository,
            (Ok(_), Version::Tag(_)) => Missing::Tag,
            (Ok(_), Version::Digest(_)) => Missing::Digest,
            _ => return purpose.failed(failure),
        };
        RegistryError::NotFound { reference: reference.to_string(), missing }
    }

    fn pull<'a>(&self, repository: &'a Repository, rest: &str) -> Result<Call<'a>, Failure> {
        Ok(Call {
            repository,
            access: Access::Pull,
            method: Method::GET,
            url: self.wire.url(repository, rest)?,
            headers: Vec::new(),
            body: Bytes::new(),
            deadline: self.wire.options.request_timeout,
        })
    }
}

fn purpose<'a>(operation: &'static str, reference: &'a Reference) -> Purpose<'a> {
    Purpose { operation, object: reference, host: reference.repository().host() }
}
