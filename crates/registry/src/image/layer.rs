//! The artifact as a layer: read in any order, written in one.

use super::ImageError;
use crate::digest::Measured;
use flate2::write::GzEncoder;
use landfall_model::Digest;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};
use tempfile::NamedTempFile;

/// As for artifacts everywhere: what holds more is refused.
const ENTRIES: usize = 1_000_000;
const BYTES: u64 = 64 << 30;
/// Fixed, because digests depend on it: about twice as fast as the usual 6, for a few per cent.
const LEVEL: u32 = 4;
/// A name that starts so asks a runtime to delete something of a layer below.
const WHITEOUT: &[u8] = b".wh.";
const BUFFER: usize = 256 * 1024;

/// A layer in a temporary file.
#[derive(Debug)]
pub(super) struct Layer {
    pub file: NamedTempFile,
    /// As it is stored, compressed.
    pub digest: Digest,
    /// As it is stored, in bytes.
    pub size: u64,
    /// The digest before it was compressed.
    pub unpacked: Digest,
}

enum Entry {
    Folder,
    File { executable: bool, at: u64, size: u64 },
    Link(PathBuf),
}

/// Entries by the bytes of their names, so that folders come before what is in them.
type Entries = BTreeMap<Vec<u8>, Entry>;

/// Writes an artifact's archive as a layer with everything below `workdir`.
pub(super) fn write(archive: &Path, workdir: &str, work: &Path) -> Result<Layer, ImageError> {
    let failed = |error: io::Error| ImageError::Write {
        folder: work.display().to_string(),
        why: error.to_string(),
    };
    let mut contents = tempfile::tempfile_in(work).map_err(failed)?;
    let top = PathBuf::from(workdir.trim_start_matches('/'));
    let mut entries = Entries::from([(top.as_os_str().as_bytes().to_vec(), Entry::Folder)]);
    spool(archive, &top, &mut entries, &mut BufWriter::with_capacity(BUFFER, &contents), work)?;
    let file = NamedTempFile::new_in(work).map_err(failed)?;
    let measured = Measured::new(BufWriter::with_capacity(BUFFER, file));
    let compressor = GzEncoder::new(measured, flate2::Compression::new(LEVEL));
    let mut layer = Builder::new(Measured::new(compressor));
    for (name, entry) in &entries {
        let name = Path::new(OsStr::from_bytes(name));
        append(&mut layer, name, entry, &mut contents).map_err(failed)?;
    }
    let (compressor, unpacked, _) = layer.into_inner().map_err(failed)?.finish();
    let (file, digest, size) = compressor.finish().map_err(failed)?.finish();
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(Layer { file, digest, size, unpacked })
}

/// Reads an archive: what its files hold goes to one file, one after the other.
fn spool(
    archive: &Path,
    top: &Path,
    entries: &mut Entries,
    contents: &mut impl Write,
    work: &Path,
) -> Result<(), ImageError> {
    let damaged = |error: io::Error| ImageError::Archive {
        path: archive.display().to_string(),
        why: error.to_string(),
    };
    let full = |error: io::Error| ImageError::Write {
        folder: work.display().to_string(),
        why: error.to_string(),
    };
    let file = BufReader::with_capacity(BUFFER, File::open(archive).map_err(damaged)?);
    let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(damaged)?;
    // One byte more than is allowed ends the archive early, which is noticed.
    let mut archive = Archive::new(decoder.take(BYTES + 1));
    let mut at = 0;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let stored = entry.path().map_err(damaged)?.into_owned();
        let place = place(&stored)?;
        let entry = match entry.header().entry_type() {
            EntryType::Directory => Entry::Folder,
            EntryType::Regular | EntryType::Continuous => {
                let (from, size) = (at, entry.size());
                at += size;
                if at > BYTES {
                    return Err(ImageError::TooLarge(format!("{BYTES} bytes")));
                }
                copy(&mut entry, contents, size, &damaged, &full)?;
                let mode = entry.header().mode().map_err(damaged)?;
                Entry::File { executable: mode & 0o100 != 0, at: from, size }
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(damaged)?;
                Entry::Link(target.ok_or_else(|| wrong(&stored, "is a link to nothing"))?.into())
            }
            EntryType::Link => return Err(wrong(&stored, "is a hard link: pack it as a file")),
            _ => return Err(wrong(&stored, "is neither a file, a folder nor a link")),
        };
        add(entries, top, &place, entry, &stored)?;
        if entries.len() > ENTRIES {
            return Err(ImageError::TooLarge(format!("{ENTRIES} entries")));
        }
    }
    contents.flush().map_err(full)
}

/// Adds an entry and the folders above it.
fn add(
    entries: &mut Entries,
    top: &Path,
    place: &Path,
    entry: Entry,
    stored: &Path,
) -> Result<(), ImageError> {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    for folder in place.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        let known = entries.entry(bytes(&top.join(folder))).or_insert(Entry::Folder);
        if !matches!(known, Entry::Folder) {
            return Err(wrong(stored, "is below something that is no folder"));
        }
    }
    let path = if place.as_os_str().is_empty() { top.to_owned() } else { top.join(place) };
    match (entries.get(&bytes(&path)), &entry) {
        (None, _) => {
            entries.insert(bytes(&path), entry);
            Ok(())
        }
        (Some(Entry::Folder), Entry::Folder) => Ok(()),
        (Some(_), _) => Err(wrong(stored, "is there twice")),
    }
}

/// A name made of plain segments that no runtime takes for anything else.
fn place(stored: &Path) -> Result<PathBuf, ImageError> {
    let mut place = PathBuf::new();
    for component in stored.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(segment) if segment.as_bytes().starts_with(WHITEOUT) => {
                return Err(wrong(
                    stored,
                    "would be taken for a mark of deletion in an image: rename it or `exclude` it",
                ));
            }
            Component::Normal(segment) => place.push(segment),
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err(wrong(stored, "leads out of the folder"));
            }
        }
    }
    Ok(place)
}

fn wrong(entry: &Path, why: &str) -> ImageError {
    ImageError::Entry { entry: entry.display().to_string(), why: why.to_owned() }
}

fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    size: u64,
    damaged: &impl Fn(io::Error) -> ImageError,
    full: &impl Fn(io::Error) -> ImageError,
) -> Result<(), ImageError> {
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(BUFFER).clamp(1, BUFFER)];
    let mut left = size;
    while left > 0 {
        let count = from.read(&mut buffer).map_err(damaged)?;
        if count == 0 {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        to.write_all(&buffer[..count]).map_err(full)?;
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

fn append(
    layer: &mut Builder<impl Write>,
    name: &Path,
    entry: &Entry,
    contents: &mut File,
) -> io::Result<()> {
    match entry {
        Entry::Folder => {
            // A slash at the end is how tar tells folders.
            let mut name = name.as_os_str().to_owned();
            name.push("/");
            layer.append_data(&mut header(EntryType::Directory, 0o755, 0), name, io::empty())
        }
        Entry::File { executable, at, size } => {
            contents.seek(SeekFrom::Start(*at))?;
            let mode = if *executable { 0o755 } else { 0o644 };
            let content = BufReader::new(contents.take(*size));
            layer.append_data(&mut header(EntryType::Regular, mode, *size), name, content)
        }
        Entry::Link(target) => {
            layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), name, target)
        }
    }
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
