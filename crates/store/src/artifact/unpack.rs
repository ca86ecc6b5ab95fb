//! From an archive to a folder, with nothing in the archive trusted.
//!
//! Folders and files come first, and links last, so nothing is ever written through a link; every
//! name is made of plain segments, and nothing is written over.

use super::{ArtifactError, io, link};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of any kind.
    pub entries: u64,
    /// Bytes when unpacked.
    pub bytes: u64,
}

impl Default for Limits {
    /// A million entries and 64 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 64 << 30 }
    }
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the end of the name; nothing when it is no archive.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, ArtifactError> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
        let name = name.unwrap_or_default();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if ends(&[".zip", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".7z", ".rar"]) {
            return Err(ArtifactError::Unsupported {
                path: path.display().to_string(),
                why: "is an archive of a kind that is not read: use .tar, .tar.gz or .tar.zst, or name the folder itself".to_owned(),
            });
        }
        Ok(match () {
            () if ends(&[".tar"]) => Some(Self::None),
            () if ends(&[".tar.gz", ".tgz"]) => Some(Self::Gzip),
            () if ends(&[".tar.zst", ".tzst"]) => Some(Self::Zstd),
            () => None,
        })
    }

    fn reader(self, file: File) -> io::Result<Box<dyn Read>> {
        let file = BufReader::with_capacity(256 * 1024, file);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        })
    }
}

/// Unpacks a packed artifact: read-only, synced, as a whole.
pub(super) fn unpack(archive: &Path, to: &Path, limits: Limits) -> Result<(), ArtifactError> {
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unique = crate::probe::unique()?;
    let work = to.with_file_name(format!(".tmp-{name}-{unique}"));
    let done = unpack_loose(archive, Compression::Zstd, &work, limits)
        .and_then(|()| seal_tree(&work))
        .and_then(|()| publish(&work, to));
    if done.is_err() {
        let _ = remove_tree(&work);
    }
    done
}

fn publish(work: &Path, to: &Path) -> Result<(), ArtifactError> {
    let failed = |error: io::Error| io("write", to, &error);
    // All of it at once: a sync of each of many small files takes far longer.
    #[cfg(target_os = "linux")]
    File::open(work)
        .and_then(|folder| rustix::fs::syncfs(&folder).map_err(io::Error::from))
        .map_err(failed)?;
    let (cwd, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
    rustix::fs::renameat_with(cwd, work, cwd, to, flags)
        .map_err(|error| failed(io::Error::from(error)))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

struct Unpacking<'a> {
    to: &'a Path,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// Made last: by place, with their targets.
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Unpacks to a new folder that stays writable.
pub(super) fn unpack_loose(
    archive: &Path,
    compression: Compression,
    to: &Path,
    limits: Limits,
) -> Result<(), ArtifactError> {
    let file = File::open(archive).map_err(|error| io("read", archive, &error))?;
    make_folder(to)?;
    let damaged = |error: io::Error| ArtifactError::Damaged {
        path: archive.display().to_string(),
        why: error.to_string(),
    };
    let reader = compression.reader(file).map_err(damaged)?;
    // Headers count too: a name may be as long as its header says.
    let bounded =
        Bounded { inner: reader, left: limits.bytes.saturating_add(limits.entries << 10) };
    let mut archive = Archive::new(bounded);
    let mut unpacking = Unpacking { to, limits, entries: 0, bytes: 0, links: BTreeMap::new() };
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        unpacking.entry(&mut entry, &damaged)?;
    }
    unpacking.make_links()
}

/// Ends a stream that goes on for longer than allowed.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it holds more than allowed")
        })?;
        Ok(count)
    }
}

impl Unpacking<'_> {
    fn entry(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        damaged: &impl Fn(io::Error) -> ArtifactError,
    ) -> Result<(), ArtifactError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArtifactError::TooLarge(format!("{} entries", self.limits.entries)));
        }
        let stored = entry.path().map_err(damaged)?.into_owned();
        let wrong = |why: &str| ArtifactError::Entry {
            entry: stored.display().to_string(),
            why: why.to_owned(),
        };
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let place = plain(&stored).ok_or_else(|| wrong("leads out of the folder"))?;
        match kind {
            EntryType::Directory if place.as_os_str().is_empty() => Ok(()),
            _ if place.as_os_str().is_empty() => Err(wrong("has no name")),
            EntryType::Directory => self.folders(&place, true),
            EntryType::Regular | EntryType::Continuous => self.file(&place, entry, damaged),
            EntryType::Symlink => {
                let target = entry.link_name().map_err(damaged)?;
                let target = target.ok_or_else(|| wrong("is a link to nothing"))?.into_owned();
                if !link::stays_inside(&place, &target) {
                    return Err(wrong("is a link that leads out of the folder"));
                }
                match self.links.insert(place, target) {
                    None => Ok(()),
                    Some(_) => Err(wrong("is there twice")),
                }
            }
            EntryType::Link => Err(wrong("is a hard link: pack it as a file")),
            _ => Err(wrong("is neither a file, a folder nor a link")),
        }
    }

    /// Makes the folders above a place, and the place itself if told so.
    fn folders(&self, place: &Path, itself: bool) -> Result<(), ArtifactError> {
        let mut path = self.to.to_owned();
        let last = if itself { Some(place) } else { place.parent() };
        for segment in last.into_iter().flat_map(Path::components) {
            path.push(segment);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(twice(place)),
                Err(_) => make_folder(&path)?,
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        place: &Path,
        entry: &mut Entry<'_, impl Read>,
        damaged: &impl Fn(io::Error) -> ArtifactError,
    ) -> Result<(), ArtifactError> {
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(ArtifactError::TooLarge(format!("{} bytes", self.limits.bytes)));
        }
        self.folders(place, false)?;
        let executable = entry.header().mode().map_err(damaged)? & 0o100 != 0;
        let path = self.to.join(place);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if executable { 0o755 } else { 0o644 })
            .open(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => twice(place),
                _ => io("write", &path, &error),
            })?;
        copy(entry, &mut file, &path, damaged, size)
    }

    fn make_links(self) -> Result<(), ArtifactError> {
        for place in self.links.keys() {
            self.folders(place, false)?;
        }
        for (place, target) in &self.links {
            let path = self.to.join(place);
            symlink(target, &path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => twice(place),
                _ => io("write", &path, &error),
            })?;
        }
        Ok(())
    }
}

fn twice(place: &Path) -> ArtifactError {
    ArtifactError::Entry {
        entry: place.display().to_string(),
        why: "is there twice, or below something that is no folder".to_owned(),
    }
}

fn copy(
    entry: &mut impl Read,
    file: &mut File,
    path: &Path,
    damaged: &impl Fn(io::Error) -> ArtifactError,
    size: u64,
) -> Result<(), ArtifactError> {
    use std::io::Write as _;
    let mut buffer = vec![0_u8; usize::try_from(size).unwrap_or(0).clamp(1, 256 * 1024)];
    let mut copied = 0;
    loop {
        let count = entry.read(&mut buffer).map_err(damaged)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(|error| io("write", path, &error))?;
        copied += count as u64;
    }
    if copied == size {
        Ok(())
    } else {
        Err(damaged(io::Error::from(io::ErrorKind::UnexpectedEof)))
    }
}

/// A name made of plain segments; nothing when it is not one.
fn plain(stored: &Path) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    for component in stored.components() {
        match component {
            Component::Normal(segment) => place.push(segment),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(place)
}

fn make_folder(path: &Path) -> Result<(), ArtifactError> {
    DirBuilder::new().mode(0o755).create(path).map_err(|error| io("make the folder", path, &error))
}

/// Makes everything read-only, what is inside first.
fn seal_tree(folder: &Path) -> Result<(), ArtifactError> {
    for_each(folder, &|path, metadata| {
        let mode = match metadata {
            _ if metadata.is_symlink() => return Ok(()),
            _ if metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0 => 0o555,
            _ => 0o444,
        };
        fs::set_permissions(path, Permissions::from_mode(mode))
    })
}

fn for_each(
    path: &Path,
    act: &dyn Fn(&Path, &fs::Metadata) -> io::Result<()>,
) -> Result<(), ArtifactError> {
    let failed = |error: io::Error| io("finish", path, &error);
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)? {
            for_each(&entry.map_err(failed)?.path(), act)?;
        }
    }
    act(path, &metadata).map_err(failed)
}

/// Removes a folder whose folders may be read-only.
pub(super) fn remove_tree(folder: &Path) -> Result<(), ArtifactError> {
    let failed = |error: io::Error| io("remove", folder, &error);
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.is_dir() => open_up(folder).map_err(failed)?,
        Ok(_) => return fs::remove_file(folder).map_err(failed),
    }
    fs::remove_dir_all(folder).map_err(failed)
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
