//! What can go wrong in a store, each with the object and what to do.

use crate::key::{Key, KeyError};
use landfall_model::Digest;
use std::fmt::Display;
use std::io;

/// A result of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What went wrong in a store. Nothing that was in the store before is lost by any of them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or a quota is full.
    #[error(
        "cannot {operation} {object}: no space left; free some or run `landfall prune`, then try again"
    )]
    Full {
        /// What was tried.
        operation: &'static str,
        /// With what.
        object: String,
    },
    /// The folder is mounted read-only.
    #[error("cannot {operation} {object}: the file system is read-only")]
    ReadOnly {
        /// What was tried.
        operation: &'static str,
        /// With what.
        object: String,
    },
    /// A permission is missing, or the credentials are not good.
    #[error("not allowed to {operation} {object}: {why}")]
    Permission {
        /// What was tried.
        operation: &'static str,
        /// With what.
        object: String,
        /// What the store or the system says.
        why: String,
    },
    /// The store did not answer in time.
    #[error("{store} did not answer in time to {operation} {object}")]
    Timeout {
        /// The store.
        store: String,
        /// What was tried.
        operation: &'static str,
        /// With what.
        object: String,
    },
    /// Any other failure of the system or the store; trying again may help.
    #[error("cannot {operation} {object}: {why}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// With what.
        object: String,
        /// Why it failed.
        why: String,
    },
    /// An object is truncated or was changed: what it holds is not what its digest says.
    #[error(
        "{object} is damaged: {why}; restore it from a copy of the store, or delete it if nothing needs it"
    )]
    Corrupt {
        /// The object.
        object: String,
        /// How it was noticed.
        why: String,
    },
    /// A file that no store writes is among the store's.
    #[error("{object} is not a file of this store ({why}): move it elsewhere; nothing was touched")]
    Foreign {
        /// The file or object.
        object: String,
        /// What was expected there.
        why: &'static str,
    },
    /// The place holds other things, and is no store.
    #[error(
        "{place} is not empty and not a store: it holds `{first}`; name an empty folder or prefix, or an existing store"
    )]
    NotAStore {
        /// The place.
        place: String,
        /// The first thing found there.
        first: String,
    },
    /// The namespace of a cluster that should hold the store is not there.
    #[error(
        "the cluster has no namespace {namespace}: make it by `landfall setup` or `kubectl create namespace {namespace}`, or name another cluster"
    )]
    NoNamespace {
        /// Its name.
        namespace: String,
    },
    /// The store was written by a newer program.
    #[error(
        "{object} has format {found}, and this program reads up to {known}: use a newer landfall"
    )]
    NewerFormat {
        /// The object.
        object: String,
        /// The format found.
        found: u64,
        /// The newest format that this program knows.
        known: u16,
    },
    /// Two writers can win where only one may.
    #[error(
        "{store} cannot hold releases safely: {why}. Stores that can: a local folder, Amazon S3, Google Cloud Storage, Azure blobs, and S3 servers that honour `If-None-Match: *` under a race"
    )]
    Unsafe {
        /// The store.
        store: String,
        /// What the probe saw.
        why: String,
    },
    /// An object that is needed is not there.
    #[error("{0} is not in the store")]
    Missing(String),
    /// A blob that is needed is not there.
    #[error("the blob {0} is not in the store: it was never uploaded, or it was deleted by hand")]
    MissingBlob(Digest),
    /// A file changed while it was read.
    #[error("{0} changed while it was read: stop whatever writes to it, then try again")]
    Changed(String),
    /// A text is not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl StoreError {
    /// Sorts an error of the operating system.
    pub(crate) fn io(operation: &'static str, object: impl Display, error: &io::Error) -> Self {
        let object = object.to_string();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { operation, object }
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { operation, object },
            io::ErrorKind::PermissionDenied => {
                Self::Permission { operation, object, why: error.to_string() }
            }
            _ => Self::Failed { operation, object, why: error.to_string() },
        }
    }

    pub(crate) fn corrupt(key: &Key, why: impl Into<String>) -> Self {
        Self::Corrupt { object: key.to_string(), why: why.into() }
    }

    /// Whether writing is impossible here while reading may work.
    #[must_use]
    pub const fn is_write_refused(&self) -> bool {
        matches!(self, Self::ReadOnly { .. } | Self::Permission { .. })
    }
}

/// Runs blocking file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Failed {
            operation: "finish",
            object: "file work".to_owned(),
            why: error.to_string(),
        }),
    }
}
