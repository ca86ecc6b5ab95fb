//! Whole files, durably: the blocking half of the folder store.

use crate::backend::{Fetched, Put};
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::seal::Hasher;
use bytes::Bytes;
use landfall_model::Digest;
use rustix::fs::{CWD, RenameFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where files are written before they get their names: beside everything, so that the rename
/// stays within one file system, and passed over by listings.
const WORK: &str = ".work";
const STALE: Duration = Duration::from_secs(60 * 60);
/// What a single object in memory may be; blobs go through files and have no limit.
const LARGEST: u64 = 1 << 30;
/// How often a folder is made that somebody else removes because it is empty.
const ATTEMPTS: usize = 20;

#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    counter: AtomicU64,
}

/// A temporary file that is removed unless it got its name.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Files {
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        let files = Self { root, counter: AtomicU64::new(0) };
        let made = make_folders(&files.root.join(WORK));
        match made {
            Ok(()) => files.clear_stale()?,
            // A store on read-only media can still be read.
            Err(StoreError::ReadOnly { .. } | StoreError::Permission { .. })
                if files.root.is_dir() => {}
            Err(error) => return Err(error),
        }
        fs::read_dir(&files.root)
            .map_err(|error| StoreError::io("open the store", files.root.display(), &error))?;
        Ok(files)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn clear_stale(&self) -> Result<()> {
        let work = self.root.join(WORK);
        let failed = |error: io::Error| StoreError::io("look through", work.display(), &error);
        for entry in fs::read_dir(&work).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STALE));
            if old && entry.file_name().to_string_lossy().starts_with("tmp-") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        let path = self.path(key);
        let failed = |error: io::Error| StoreError::io("read", path.display(), &error);
        let Some(mut file) = open(&path)? else { return Ok(None) };
        let size = file.metadata().map_err(failed)?.len();
        if size > LARGEST {
            return Err(StoreError::corrupt(key, "it is larger than any object of a store"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(Bytes::from(bytes)))
    }

    pub(super) fn create(&self, key: &Key, bytes: &[u8]) -> Result<Put> {
        let target = self.path(key);
        if target.symlink_metadata().is_ok() {
            return settle_existing(&target);
        }
        let mut draft = self.draft(&target)?;
        write_synced(&mut draft, bytes, &target)?;
        publish(&draft, &target)
    }

    pub(super) fn create_from(&self, key: &Key, from: &Path, expected: &Digest) -> Result<Put> {
        let target = self.path(key);
        if target.symlink_metadata().is_ok() {
            return settle_existing(&target);
        }
        let failed = |error: io::Error| StoreError::io("write", target.display(), &error);
        let mut input =
            File::open(from).map_err(|error| StoreError::io("read", from.display(), &error))?;
        let mut draft = self.draft(&target)?;
        let copied = copy_hashed(&mut input, from, &mut draft.file, &target)?;
        if copied.digest != *expected {
            return Err(StoreError::Changed(from.display().to_string()));
        }
        draft.file.sync_all().map_err(failed)?;
        publish(&draft, &target)
    }

    /// Overwrites a hint: never torn for a reader, perhaps lost by a crash, hence not synced.
    pub(super) fn replace(&self, key: &Key, bytes: &[u8]) -> Result<()> {
        let target = self.path(key);
        let failed = |error: io::Error| StoreError::io("write", target.display(), &error);
        let mut draft = self.draft(&target)?;
        draft.file.write_all(bytes).map_err(failed)?;
        make_parent(&target)?;
        fs::rename(&draft.path, &target).map_err(failed)
    }

    pub(super) fn delete(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Ok(()) => {
                sync_parent(&path)?;
                self.drop_empty_parent(&path);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("delete", path.display(), &error)),
        }
    }

    pub(super) fn copy_out(&self, key: &Key, to: &Path) -> Result<Option<Fetched>> {
        let path = self.path(key);
        let Some(mut input) = open(&path)? else { return Ok(None) };
        let mut output =
            File::create(to).map_err(|error| StoreError::io("write", to.display(), &error))?;
        copy_hashed(&mut input, &path, &mut output, to).map(Some)
    }

    pub(super) fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        for _ in 0..ATTEMPTS {
            make_parent(&to)?;
            match fs::rename(&from, &to) {
                Ok(()) => {
                    sync_parent(&to)?;
                    sync_parent(&from)?;
                    self.drop_empty_parent(&from);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if from.symlink_metadata().is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(StoreError::io("move", from.display(), &error)),
            }
        }
        Err(folder_flickers("move", &from))
    }

    /// Removes the folder of a file that is gone, if nothing else is in it: reigns and pairs of
    /// digits come and go.
    fn drop_empty_parent(&self, path: &Path) {
        if let Some(parent) = path.parent().filter(|parent| *parent != self.root) {
            let _ = fs::remove_dir(parent);
        }
    }

    fn draft(&self, target: &Path) -> Result<Draft> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let name = format!("tmp-{}-{nanos}-{count}", std::process::id());
        let path = self.root.join(WORK).join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StoreError::io("write", target.display(), &error))?;
        Ok(Draft { path, file })
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path.display(), &error)),
    }
}

fn write_synced(draft: &mut Draft, bytes: &[u8], target: &Path) -> Result<()> {
    draft
        .file
        .write_all(bytes)
        .and_then(|()| draft.file.sync_all())
        .map_err(|error| StoreError::io("write", target.display(), &error))
}

/// Gives a synced draft its name unless the name is taken.
fn publish(draft: &Draft, target: &Path) -> Result<Put> {
    // A folder may be removed between its making and the rename, hence the few attempts.
    for _ in 0..ATTEMPTS {
        make_parent(target)?;
        match rename_exclusive(&draft.path, target) {
            Ok(()) => {
                sync_parent(target)?;
                return Ok(Put::Created);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return settle_existing(target);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("write", target.display(), &error)),
        }
    }
    Err(folder_flickers("write", target))
}

fn folder_flickers(operation: &'static str, path: &Path) -> StoreError {
    StoreError::Failed {
        operation,
        object: path.display().to_string(),
        why: "its folder is removed again and again".to_owned(),
    }
}

/// The winner may have crashed between its rename and its sync: whoever acts on the object makes
/// sure of it.
fn settle_existing(target: &Path) -> Result<Put> {
    match sync_parent(target) {
        Ok(()) => Ok(Put::Exists),
        Err(error) if error.is_write_refused() => Ok(Put::Exists),
        Err(error) => Err(error),
    }
}

fn rename_exclusive(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system without the flag: a hard link is exclusive everywhere.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)
        }
        Err(error) => Err(error.into()),
    }
}

fn copy_hashed(input: &mut File, from: &Path, output: &mut File, to: &Path) -> Result<Fetched> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let count = input
            .read(&mut buffer)
            .map_err(|error| StoreError::io("read", from.display(), &error))?;
        if count == 0 {
            return Ok(Fetched { size: hasher.size(), digest: hasher.finish() });
        }
        hasher.update(&buffer[..count]);
        output
            .write_all(&buffer[..count])
            .map_err(|error| StoreError::io("write", to.display(), &error))?;
    }
}

fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => make_folders(parent),
        _ => Ok(()),
    }
}

/// Makes a folder and its parents, and syncs each parent of a new one.
fn make_folders(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folders(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(StoreError::io("make the folder", path.display(), &error)),
    }
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    match File::open(parent).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("sync the folder", parent.display(), &error)),
    }
}
