//! Records on disk: written whole or not at all, and still there after a power cut.

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest record that is read, in bytes.
const RECORD_MAXIMUM: u64 = 16 << 20;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Input or output failed.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The record is not what was expected.
    #[error("cannot understand {path}: {why}")]
    Record {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl DiskError {
    /// An input or output failure.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.display().to_string(), source }
    }
}

/// Writes a record durably: temporary file, fsync, rename, fsync of the folder. Mode 0600.
///
/// # Errors
/// When any of it fails; the old record is then still there.
pub fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), DiskError> {
    write(path, record, true)?;
    sync_folder(path.parent().unwrap_or_else(|| Path::new("/")))
}

/// Writes a record whole or not at all, for facts that mean nothing after a reboot: it survives
/// every process, and not a power cut. Mode 0600.
///
/// # Errors
/// When any of it fails; the old record is then still there.
pub fn write_passing_record<T: Serialize>(path: &Path, record: &T) -> Result<(), DiskError> {
    write(path, record, false)
}

fn write<T: Serialize>(path: &Path, record: &T, durable: bool) -> Result<(), DiskError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let text = serde_json::to_vec(record).map_err(|error| DiskError::Record {
        path: path.display().to_string(),
        why: error.to_string(),
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{unique}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        if durable { file.sync_all() } else { Ok(()) }
    };
    write().map_err(|error| DiskError::io("write", &temporary, error))?;
    std::fs::rename(&temporary, path).map_err(|error| DiskError::io("rename to", path, error))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| DiskError::io("sync", folder, error))
}

/// Reads a record; none when there is no such file.
///
/// # Errors
/// When it cannot be read or understood.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::io("open", path, error)),
    };
    let mut text = Vec::new();
    file.take(RECORD_MAXIMUM)
        .read_to_end(&mut text)
        .map_err(|error| DiskError::io("read", path, error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| DiskError::Record {
        path: path.display().to_string(),
        why: error.to_string(),
    })
}

/// Makes a folder, and its parents, with a mode.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path, mode: u32) -> Result<(), DiskError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path).map_err(|error| DiskError::io("make the folder", path, error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| DiskError::io("set the mode of", path, error))
}

/// Removes a folder with all that is in it, also when folders in it are read-only. A folder that
/// is not there is fine.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), DiskError> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => make_writable(path),
    }
    std::fs::remove_dir_all(path).map_err(|error| DiskError::io("remove", path, error))
}

fn make_writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Takes the lock on a file, which is made when it is not there; none when somebody else has it.
/// It ends with the file, or with the process.
///
/// # Errors
/// When the file cannot be opened or locked.
pub fn try_lock(path: &Path) -> Result<Option<File>, DiskError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| DiskError::io("open", path, error.into()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file.into())),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(DiskError::io("lock", path, error.into())),
    }
}

/// The wall clock.
#[must_use]
pub fn now() -> landfall_model::Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    landfall_model::Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A short random text of lower-case letters and digits.
///
/// # Errors
/// When the kernel's source of randomness cannot be read.
pub fn random_name() -> Result<String, DiskError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 10];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| DiskError::io("read", path, error))?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let held = try_lock(&path).expect("no trouble").expect("free");
        assert!(try_lock(&path).expect("no trouble").is_none());
        drop(held);
        assert!(try_lock(&path).expect("no trouble").is_some());
    }

    #[test]
    fn a_record_is_private_and_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.json");
        assert_eq!(read_record::<u32>(&path).expect("no trouble"), None);
        write_record(&path, &7).expect("written");
        assert_eq!(read_record::<u32>(&path).expect("no trouble"), Some(7));
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "{").expect("written");
        assert!(read_record::<u32>(&path).is_err());
    }
}
