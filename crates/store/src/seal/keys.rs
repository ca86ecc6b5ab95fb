//! Ed25519 keys and signatures.

use super::digest_of;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_model::Digest;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::str::FromStr;

/// What a signature is over: the purpose and the digest, so that no signature made for one thing
/// is good for another.
fn message(digest: &Digest) -> Vec<u8> {
    format!("landfall release 1\n{digest}\n").into_bytes()
}

/// The short name of a public key: `ed25519:` and the first 16 digits of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = SigningKeyError;
    fn from_str(text: &str) -> Result<Self, SigningKeyError> {
        let hex = text.strip_prefix("ed25519:").unwrap_or_default();
        let fine = hex.len() == 16
            && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fine { Ok(Self(text.to_owned())) } else { Err(SigningKeyError::Text("a key's name")) }
    }
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Its short name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(format!("ed25519:{}", &digest_of(&self.0).hex()[..16]))
    }

    /// Whether `signature` is this key's over the release with this digest.
    #[must_use]
    pub fn verifies(&self, digest: &Digest, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&message(digest), &signature.value).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ed25519 {}", STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = SigningKeyError;
    fn from_str(text: &str) -> Result<Self, SigningKeyError> {
        text.strip_prefix("ed25519 ")
            .and_then(|rest| STANDARD.decode(rest).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(SigningKeyError::Text("a public key"))
    }
}

/// A detached signature and the key that made it, written `ed25519:KEY BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// The key that made it.
    pub key: KeyId,
    /// The 64 bytes.
    pub value: [u8; 64],
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.key, STANDARD.encode(self.value))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = SigningKeyError;
    fn from_str(text: &str) -> Result<Self, SigningKeyError> {
        let wrong = || SigningKeyError::Text("a signature");
        let (key, value) = text.split_once(' ').ok_or_else(wrong)?;
        let value = STANDARD.decode(value).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self { key: key.parse()?, value: value.ok_or_else(wrong)? })
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// A text is not what it should be.
    #[error("the text is not {0}")]
    Text(&'static str),
    /// The file cannot be read or written.
    #[error("cannot {operation} the signing key {file}: {why}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// Others can read the file.
    #[error(
        "the signing key {file} has mode {mode:04o}, so others can use it: `chmod 600 {file}`, or make a new key if somebody may have read it"
    )]
    TooOpen {
        /// The file.
        file: String,
        /// Its permission bits.
        mode: u32,
    },
    /// No key could be made.
    #[error("cannot make a signing key: the system's random source failed")]
    Random,
}

/// A key that signs releases. It cannot be printed.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({}, …)", self.public().id())
    }
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

impl SigningKey {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// When that source fails.
    pub fn generate() -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| SigningKeyError::Random)
    }

    /// Reads a key from a PEM file (PKCS #8, as `openssl genpkey -algorithm ed25519` writes).
    ///
    /// # Errors
    /// When the file cannot be read, is no such key, or others may read it.
    pub fn load(file: &Path) -> Result<Self, SigningKeyError> {
        let name = file.display().to_string();
        let failed =
            |why: String| SigningKeyError::File { operation: "read", file: name.clone(), why };
        let metadata = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SigningKeyError::TooOpen { file: name, mode });
        }
        if metadata.len() > 16 * 1024 {
            return Err(failed("it is too large for a key".to_owned()));
        }
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        Self::from_pem(&text).map_err(|error| failed(error.to_string()))
    }

    fn from_pem(text: &str) -> Result<Self, SigningKeyError> {
        let wrong = || SigningKeyError::Text("an ed25519 private key as PEM");
        let (_, rest) = text.split_once(BEGIN).ok_or_else(wrong)?;
        let (body, _) = rest.split_once(END).ok_or_else(wrong)?;
        let body: String = body.split_whitespace().collect();
        let pkcs8 = STANDARD.decode(body).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).map(Self).map_err(|_| wrong())
    }

    /// Writes the key to a new file that only its owner may read.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn save(&self, file: &Path) -> Result<(), SigningKeyError> {
        let failed = |why: String| SigningKeyError::File {
            operation: "write",
            file: file.display().to_string(),
            why,
        };
        let pkcs8 =
            self.0.to_pkcs8v1().map_err(|_| failed("the key cannot be encoded".to_owned()))?;
        let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(pkcs8.as_ref()));
        let mut output = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .map_err(|error| failed(error.to_string()))?;
        output
            .write_all(pem.as_bytes())
            .and_then(|()| output.sync_all())
            .map_err(|error| failed(error.to_string()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs the release with this digest.
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> Signature {
        let mut value = [0_u8; 64];
        value.copy_from_slice(self.0.sign(&message(digest)).as_ref());
        Signature { key: self.public().id(), value }
    }
}
