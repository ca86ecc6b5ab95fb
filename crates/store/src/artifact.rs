//! Artifacts: a folder, a file or an archive becomes one deterministic, compressed archive, and
//! back.
//!
//! What is packed is a tar archive with entries in the order of their names' bytes, no times, no
//! owners, modes 0644 or 0755, compressed with zstd at a fixed level in one thread. So the same
//! content gives the same bytes, hence the same digest, on any machine with the same program. The
//! digest is of the stored bytes and so depends on the version of zstd in the program: after an
//! upgrade of it the same content may get a new digest once, which costs one upload and no more. A
//! test holds the digest of a known tree.
//!
//! Folders are implied by what is in them; empty ones are not kept, so that a check-out by `git`
//! and a working folder are the same artifact. Archives of the tar family are read (`.tar`,
//! `.tar.gz`, `.tgz`, `.tar.zst`); `.zip` is not.

mod link;
mod pack;
mod unpack;
mod walk;

pub use unpack::Limits;

use crate::error::{StoreError, blocking};
use landfall_model::Digest;
use std::path::{Path, PathBuf};

/// What is packed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArtifactSource {
    /// A folder, a single file, or an archive.
    pub root: PathBuf,
    /// Patterns, as in a `.gitignore`, of what is packed although a `.gitignore` leaves it out.
    pub include: Vec<String>,
    /// Patterns, as in a `.gitignore`, of what is left out; these win over `include`.
    pub exclude: Vec<String>,
}

/// A packed artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the archive's bytes: its name in a store.
    pub digest: Digest,
    /// The size of the archive in bytes.
    pub size: u64,
    /// How many files and links it holds.
    pub entries: u64,
}

/// Why an artifact cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing there, or nothing is left of it.
    #[error(
        "the artifact {0} has no files: it is empty, or everything in it is ignored; name files with `include`, or check the path"
    )]
    Empty(String),
    /// It is of a kind that is not read.
    #[error("{path} {why}")]
    Unsupported {
        /// The file.
        path: String,
        /// What it is.
        why: String,
    },
    /// A pattern is not understood.
    #[error("`{pattern}` is not a pattern: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        why: String,
    },
    /// A file changed while it was packed.
    #[error("{0} changed while it was packed: stop whatever writes to it, then try again")]
    Changed(String),
    /// An entry of an archive would leave the folder it is unpacked to, or is of a kind that is
    /// not unpacked.
    #[error("the archive has the entry `{entry}`, which {why}: it was not unpacked")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// The archive is larger than allowed.
    #[error("the archive holds more than {0}: it was not unpacked")]
    TooLarge(String),
    /// The archive is damaged.
    #[error("the archive {path} is damaged: {why}")]
    Damaged {
        /// The archive.
        path: String,
        /// How it was noticed.
        why: String,
    },
}

/// Packs an artifact into a new file.
///
/// # Errors
/// When something cannot be read, is of a kind that is not packed, or changes meanwhile.
pub async fn pack(source: &ArtifactSource, to: &Path) -> Result<Packed, ArtifactError> {
    let (source, to) = (source.clone(), to.to_owned());
    off_thread(move || pack::pack(&source, &to)).await
}

/// Unpacks an artifact to a new folder: read-only, synced, and there as a whole or not at all.
///
/// # Errors
/// When an entry would leave the folder, a limit is passed, the archive is damaged, or the folder
/// is there already.
pub async fn unpack(archive: &Path, to: &Path) -> Result<(), ArtifactError> {
    unpack_within(archive, to, Limits::default()).await
}

/// As [`unpack()`], within other limits.
///
/// # Errors
/// As [`unpack()`].
pub async fn unpack_within(archive: &Path, to: &Path, limits: Limits) -> Result<(), ArtifactError> {
    let (archive, to) = (archive.to_owned(), to.to_owned());
    off_thread(move || unpack::unpack(&archive, &to, limits)).await
}

/// Removes an unpacked artifact, whose folders are read-only. That it is gone is no error.
///
/// # Errors
/// When something in it cannot be removed.
pub async fn remove(folder: &Path) -> Result<(), ArtifactError> {
    let folder = folder.to_owned();
    off_thread(move || unpack::remove_tree(&folder)).await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    blocking(move || Ok(work())).await?
}

pub(crate) fn io(operation: &'static str, path: &Path, error: &std::io::Error) -> ArtifactError {
    StoreError::io(operation, path.display(), error).into()
}
