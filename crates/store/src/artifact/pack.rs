//! From a folder, a file or an archive to a deterministic archive.

use super::unpack::{Compression, Limits, unpack_loose};
use super::walk::{Entries, entries};
use super::{ArtifactError, ArtifactSource, Packed, io, link};
use crate::seal::Hasher;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Fixed, because it is a part of what a digest depends on.
const LEVEL: i32 = 3;

pub(super) fn pack(source: &ArtifactSource, to: &Path) -> Result<Packed, ArtifactError> {
    let root = &source.root;
    let metadata = fs::metadata(root).map_err(|error| io("read the artifact", root, &error))?;
    if metadata.is_dir() {
        return write(root, &entries(source, true)?, to);
    }
    if !metadata.is_file() {
        return Err(unsupported(root, "is neither a folder nor a file"));
    }
    match Compression::of(root)? {
        Some(compression) => pack_archive(source, compression, to),
        None => pack_file(root, to),
    }
}

fn unsupported(path: &Path, why: &str) -> ArtifactError {
    ArtifactError::Unsupported { path: path.display().to_string(), why: why.to_owned() }
}

fn pack_file(file: &Path, to: &Path) -> Result<Packed, ArtifactError> {
    let name = file.file_name().ok_or_else(|| unsupported(file, "has no name"))?;
    let kind = fs::metadata(file).map_err(|error| io("read", file, &error))?.file_type();
    let only = Entries::from([(name.as_bytes().to_vec(), (file.to_owned(), kind))]);
    write(file, &only, to)
}

/// An archive is unpacked and packed again, so that who made it, when and how do not count.
fn pack_archive(
    source: &ArtifactSource,
    compression: Compression,
    to: &Path,
) -> Result<Packed, ArtifactError> {
    let work = to.with_extension("unpacked");
    super::unpack::remove_tree(&work)?;
    let packed = unpack_loose(&source.root, compression, &work, Limits::default()).and_then(|()| {
        let inside = ArtifactSource { root: work.clone(), ..source.clone() };
        write(&source.root, &entries(&inside, false)?, to)
    });
    let removed = super::unpack::remove_tree(&work);
    let packed = packed?;
    removed?;
    Ok(packed)
}

/// Counts and hashes what passes.
struct Measured<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn write(root: &Path, entries: &Entries, to: &Path) -> Result<Packed, ArtifactError> {
    if entries.is_empty() {
        return Err(ArtifactError::Empty(root.display().to_string()));
    }
    let written = write_archive(entries, to);
    if written.is_err() {
        let _ = fs::remove_file(to);
    }
    written
}

fn write_archive(entries: &Entries, to: &Path) -> Result<Packed, ArtifactError> {
    let failed = |error: io::Error| io("write", to, &error);
    let file = File::create(to).map_err(failed)?;
    let measured = Measured { inner: BufWriter::new(file), hasher: Hasher::new() };
    let compressor = zstd::stream::write::Encoder::new(measured, LEVEL).map_err(failed)?;
    let mut archive = Builder::new(compressor);
    for (name, (path, kind)) in entries {
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        if kind.is_symlink() {
            add_link(&mut archive, name, path, to)?;
        } else if kind.is_file() {
            add_file(&mut archive, name, path, to)?;
        } else {
            return Err(unsupported(
                path,
                "is a socket, a pipe or a device and cannot be packed: remove it or `exclude` it",
            ));
        }
    }
    let compressor = archive.into_inner().map_err(failed)?;
    let mut measured = compressor.finish().map_err(failed)?;
    measured.flush().map_err(failed)?;
    let size = measured.hasher.size();
    Ok(Packed { digest: measured.hasher.finish(), size, entries: entries.len() as u64 })
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn add_link(
    archive: &mut Builder<impl Write>,
    name: &Path,
    path: &Path,
    to: &Path,
) -> Result<(), ArtifactError> {
    let target = fs::read_link(path).map_err(|error| io("read", path, &error))?;
    if !link::stays_inside(name, &target) {
        return Err(unsupported(
            path,
            &format!(
                "is a link to {}, outside of the artifact: copy what it names, or `exclude` it",
                target.display()
            ),
        ));
    }
    archive
        .append_link(&mut header(EntryType::Symlink, 0o777, 0), name, &target)
        .map_err(|error| io("write", to, &error))
}

/// What a file's metadata say of its content.
fn stamp(metadata: &Metadata) -> (u64, u64, i64, i64, i64, i64) {
    (
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

fn add_file(
    archive: &mut Builder<impl Write>,
    name: &Path,
    path: &Path,
    to: &Path,
) -> Result<(), ArtifactError> {
    let unreadable = |error: io::Error| io("read", path, &error);
    let changed = || ArtifactError::Changed(path.display().to_string());
    let mut file = File::open(path).map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    let mode = if before.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    let mut content = Exactly { inner: &mut file, left: before.len(), short: false, failed: None };
    let appended = archive.append_data(
        &mut header(EntryType::Regular, mode, before.len()),
        name,
        &mut content,
    );
    if content.short {
        return Err(changed());
    }
    if let Some(error) = content.failed.take() {
        return Err(unreadable(error));
    }
    appended.map_err(|error| io("write", to, &error))?;
    let after = file.metadata().map_err(unreadable)?;
    if stamp(&before) == stamp(&after) { Ok(()) } else { Err(changed()) }
}

/// Gives as many bytes as were announced, or says that there were fewer.
struct Exactly<R> {
    inner: R,
    left: u64,
    short: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..most]) {
            Ok(0) => {
                self.short = true;
                Err(io::Error::from(io::ErrorKind::UnexpectedEof))
            }
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(copy)
            }
        }
    }
}
