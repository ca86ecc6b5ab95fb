//! Sealing: the canonical bytes of a release, their digest, and detached signatures over it.
//!
//! A release is named by the SHA-256 of its canonical JSON: fields in the order of the type, maps
//! in the order of their keys, no spaces. What is stored and signed are those very bytes; they are
//! never made again from the parsed release, so a newer program cannot change a digest by reading.

mod keys;
mod trust;

pub use keys::{KeyId, PublicKey, Signature, SigningKey, SigningKeyError};
pub use trust::{SignatureError, TrustError, TrustedKey, TrustedKeys};

use crate::error::{Result, StoreError};
use bytes::Bytes;
use landfall_model::{Content, Digest, FORMAT, Release};

/// A release as it is stored: its exact bytes, what they say, their digest, and who vouches.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedRelease {
    /// The canonical JSON.
    pub bytes: Bytes,
    /// What the bytes say.
    pub release: Release,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Who vouches for them.
    pub signature: Option<Signature>,
}

/// Seals a release, and signs it when there is a key.
///
/// # Errors
/// [`StoreError::Usage`] when the release has another format than this program writes.
pub fn seal(release: Release, key: Option<&SigningKey>) -> Result<SealedRelease> {
    if release.format != FORMAT {
        return Err(StoreError::Usage(format!(
            "cannot seal a release of format {}: this program writes format {FORMAT}",
            release.format
        )));
    }
    let bytes = canonical(&release)?;
    let digest = digest_of(&bytes);
    let signature = key.map(|key| key.sign(&digest));
    Ok(SealedRelease { bytes, release, digest, signature })
}

impl SealedRelease {
    /// Reads sealed bytes, as they come from a store or a client.
    ///
    /// # Errors
    /// In words, when the bytes are no release of a format that this program reads.
    pub fn parse(bytes: Bytes, signature: Option<Signature>) -> Result<Self, ParseError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_slice(&bytes).map_err(ParseError::Json)?;
        if head.format > u64::from(FORMAT) {
            return Err(ParseError::Newer(head.format));
        }
        let release = serde_json::from_slice(&bytes).map_err(ParseError::Json)?;
        let digest = digest_of(&bytes);
        Ok(Self { bytes, release, digest, signature })
    }
}

/// Why bytes are no release.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// They are no JSON of a release.
    #[error("it is no release: {0}")]
    Json(serde_json::Error),
    /// They are of a newer format.
    #[error("it has format {0}, and this program reads up to {FORMAT}")]
    Newer(u64),
}

/// The canonical bytes of a release.
///
/// # Errors
/// [`StoreError::Usage`] when a value has no JSON.
pub fn canonical(release: &Release) -> Result<Bytes> {
    json(release)
}

/// The digest of what runs: equal for two releases that are the same thing under two numbers.
///
/// # Errors
/// [`StoreError::Usage`] when a value has no JSON.
pub fn content_digest(content: &Content) -> Result<Digest> {
    Ok(digest_of(&json(content)?))
}

fn json(value: &impl serde::Serialize) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| StoreError::Usage(format!("cannot write the release as JSON: {error}")))
}

/// The SHA-256 of bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// SHA-256 in pieces.
pub struct Hasher {
    context: aws_lc_rs::digest::Context,
    size: u64,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self { context: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256), size: 0 }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes were hashed.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(self.context.finish().as_ref());
        Digest::from_bytes(bytes)
    }
}
