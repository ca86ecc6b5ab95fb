//! The keys that sign releases, and those that may deploy here.

use crate::{Home, durable};
use landfall_store::seal::{SigningKey, SigningKeyError, TrustError, TrustedKeys};
use std::path::Path;

/// Makes the owner's key and enrols it, when there is none yet.
pub(crate) fn ensure(home: &Home) -> Result<(), KeysError> {
    let file = home.owner_key();
    if let Some(folder) = file.parent() {
        durable::private_folder(folder)?;
    }
    let key = if file.exists() {
        SigningKey::load(&file)?
    } else {
        let key = SigningKey::generate()?;
        key.save(&file)?;
        key
    };
    let mut trusted = load(home)?;
    if trusted.is_empty() {
        trusted.enrol(key.public(), "owner");
        durable::write(&home.trusted_keys(), trusted.to_text().as_bytes())?;
    }
    Ok(())
}

/// The keys that may deploy here.
pub(crate) fn load(home: &Home) -> Result<TrustedKeys, KeysError> {
    let file = home.trusted_keys();
    if file.exists() { Ok(TrustedKeys::load(&file)?) } else { Ok(TrustedKeys::default()) }
}

/// The owner's signing key, which the agent made when it was first started.
///
/// # Errors
/// When it is not there, not readable, or readable by others.
pub fn owner_key(home: &Home) -> Result<SigningKey, SigningKeyError> {
    SigningKey::load(&home.owner_key())
}

/// A signing key of one's own.
///
/// # Errors
/// When it is not there, not readable, or readable by others.
pub fn signing_key(file: &Path) -> Result<SigningKey, SigningKeyError> {
    SigningKey::load(file)
}

/// What can be wrong with keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("cannot write the keys")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}
