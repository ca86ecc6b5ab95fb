//! Where everything that outlives a process is kept: blobs, sealed and signed releases, the journal
//! of each stack, how each rollout ended, and the lease that makes one writer of many.
//!
//! A store is a set of objects under keys. What goes in: packed artifacts ([`artifact::pack`]),
//! releases ([`seal::seal`]), journal entries and outcomes as opaque bytes. What comes out is
//! always verified against its digest first. Underneath is the small [`Backend`] trait that needs
//! nothing but get, put-if-absent, list and delete, so that a folder and an object store give the
//! same promises; a store whose put-if-absent lets two writers win is refused when it is opened.
//!
//! No object is ever edited. What looks like an update is a new object under the next number; what
//! may be overwritten is only a hint, and a wrong hint costs requests, never a wrong answer.
//! `docs/store-format.md` has every key and every byte.

pub mod artifact;
mod backend;
mod blobs;
#[cfg(feature = "kubernetes")]
mod cluster;
mod counted;
mod error;
mod folder;
mod journal;
mod key;
mod layout;
pub mod lease;
mod memory;
mod numbered;
#[cfg(feature = "cloud")]
mod objects;
mod probe;
mod prune;
mod record;
mod releases;
pub mod seal;
mod store;

pub use backend::{Backend, Fetched, LARGEST_HINT, Put};
#[cfg(feature = "kubernetes")]
pub use cluster::Cluster;
pub use counted::{Counted, Requests};
pub use error::{Result, StoreError};
pub use folder::Folder;
pub use key::{Key, KeyError};
pub use memory::Memory;
#[cfg(feature = "cloud")]
pub use objects::Objects;
pub use prune::{DEFAULT_KEEP, Pruned};
pub use releases::Sealed;
pub use seal::{KeyId, SealedRelease, Signature};
pub use store::{FORMAT, Store};

use std::sync::Arc;

/// Names a place by what people write: a URL of a bucket (`s3://…`, `gs://…`, `az://…`), or the
/// path of a folder. Options are for buckets, as [`Objects::open`] takes them.
///
/// # Errors
/// When the URL is not understood, or the folder cannot be opened.
pub fn backend_at(location: &str, options: &[(String, String)]) -> Result<Arc<dyn Backend>> {
    match location.split_once("://") {
        None => Ok(Arc::new(Folder::open(location)?)),
        Some(("file", path)) => Ok(Arc::new(Folder::open(path)?)),
        #[cfg(feature = "cloud")]
        Some(_) => Ok(Arc::new(Objects::open(location, options)?)),
        #[cfg(not(feature = "cloud"))]
        Some(_) => {
            let _ = options;
            Err(StoreError::Usage(format!(
                "`{location}` is a bucket, and this program was built without the feature `cloud`"
            )))
        }
    }
}
