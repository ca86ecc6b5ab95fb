//! The keys that may deploy, and the check that every release passes before it is applied.

use super::keys::{KeyId, PublicKey};
use super::{SealedRelease, digest_of};
use std::path::Path;

/// A key that may deploy, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub name: String,
}

/// The keys that may deploy.
///
/// As a text file, one key a line: `ed25519 BASE64 NAME`, with `#` for comments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedKeys(Vec<TrustedKey>);

/// Why a list of keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read the trusted keys {file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// A line is no key.
    #[error("line {line} of the trusted keys is not `ed25519 BASE64 NAME`")]
    Line {
        /// The line, from 1.
        line: usize,
    },
}

/// Why a release is not to be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nobody signed it.
    #[error("release {release} is not signed, and this host takes signed releases only")]
    Missing {
        /// `app/stack` and number.
        release: String,
    },
    /// Somebody signed it who may not deploy.
    #[error("release {release} is signed by {key}, which is not enrolled here")]
    Unknown {
        /// `app/stack` and number.
        release: String,
        /// The key that signed.
        key: KeyId,
    },
    /// The signature is not good, or the bytes are not those that were signed.
    #[error(
        "the signature of release {release} by {key} is not valid: the release was changed after it was sealed"
    )]
    Invalid {
        /// `app/stack` and number.
        release: String,
        /// The key that it names.
        key: KeyId,
    },
}

impl TrustedKeys {
    /// Reads the text form.
    ///
    /// # Errors
    /// When a line is no key.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || TrustError::Line { line: index + 1 };
            let mut words = line.splitn(3, ' ');
            let kind = words.next().unwrap_or_default();
            let base64 = words.next().ok_or_else(wrong)?;
            let name = words.next().unwrap_or("unnamed").trim().to_owned();
            let key = format!("{kind} {base64}").parse().map_err(|_| wrong())?;
            keys.push(TrustedKey { key, name });
        }
        Ok(Self(keys))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read or a line is no key.
    pub fn load(file: &Path) -> Result<Self, TrustError> {
        let text = std::fs::read_to_string(file).map_err(|error| TrustError::File {
            file: file.display().to_string(),
            why: error.to_string(),
        })?;
        Self::parse(&text)
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|trusted| format!("{} {}\n", trusted.key, trusted.name)).collect()
    }

    /// One more key that may deploy; the same key again takes the new name.
    pub fn enrol(&mut self, key: PublicKey, name: impl Into<String>) {
        self.0.retain(|trusted| trusted.key != key);
        self.0.push(TrustedKey { key, name: name.into().replace(['\n', '\r'], " ") });
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.0
    }

    /// Whether no key may deploy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds who vouches for a release. The digest is made again from the bytes, so nothing that
    /// was parsed is trusted.
    ///
    /// # Errors
    /// When nobody signed it, the key is not enrolled, or the signature is not good.
    pub fn verify(&self, sealed: &SealedRelease) -> Result<&TrustedKey, SignatureError> {
        let release = &sealed.release;
        let name = format!("{}/{} #{}", release.app, release.stack, release.number);
        let Some(signature) = &sealed.signature else {
            return Err(SignatureError::Missing { release: name });
        };
        let key = signature.key.clone();
        let Some(trusted) = self.0.iter().find(|trusted| trusted.key.id() == key) else {
            return Err(SignatureError::Unknown { release: name, key });
        };
        if trusted.key.verifies(&digest_of(&sealed.bytes), signature) {
            Ok(trusted)
        } else {
            Err(SignatureError::Invalid { release: name, key })
        }
    }
}
