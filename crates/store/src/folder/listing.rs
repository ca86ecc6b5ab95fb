//! Listing a folder in the order of whole keys, as an object store lists.

use crate::error::{Result, StoreError};
use crate::key::{Key, is_passed_over};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// What other systems put at the top of a mounted disk.
const OF_THE_DISK: &str = "lost+found";

struct Walk<'a> {
    root: &'a Path,
    after: Option<&'a str>,
    limit: usize,
    found: Vec<Key>,
}

pub(super) fn list(
    root: &Path,
    prefix: &Key,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Key>> {
    let mut walk = Walk { root, after: after.map(Key::as_str), limit, found: Vec::new() };
    walk.folder(prefix)?;
    Ok(walk.found)
}

/// Names of a folder in the order of their keys: a folder counts as its name and a slash.
fn names(walk: &Walk<'_>, folder: &Key) -> Result<Vec<String>> {
    let path = walk.root.join(folder.as_str());
    let failed = |error: io::Error| StoreError::io("list", path.display(), &error);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let start = walk.start_in(folder);
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if passed_over(&name, folder) || start.is_some_and(|start| is_before(&name, start)) {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let name = name.into_string().map_err(|name| foreign(&path, &name))?;
        let key = if folder.is_root() { name.clone() } else { format!("{folder}/{name}") };
        if Key::new(key.clone()).is_err() || !(kind.is_dir() || kind.is_file()) {
            return Err(foreign(&path, OsStr::new(&name)));
        }
        let ordered = if kind.is_dir() { format!("{key}/") } else { key };
        let wanted = walk.after.is_none_or(|after| {
            ordered.as_str() > after || (kind.is_dir() && after.starts_with(&ordered))
        });
        if wanted {
            names.push(ordered);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a name, be it a file's or a folder's, comes before a segment for certain. Cheap, because
/// a folder may have a hundred thousand names before the one that a listing starts at.
fn is_before(name: &OsStr, segment: &str) -> bool {
    let name = name.as_encoded_bytes();
    name < segment.as_bytes() && !segment.as_bytes().starts_with(name)
}

fn passed_over(name: &OsStr, folder: &Key) -> bool {
    name.to_str().is_some_and(is_passed_over) || (folder.is_root() && name == OF_THE_DISK)
}

fn foreign(folder: &Path, name: &OsStr) -> StoreError {
    StoreError::Foreign {
        object: folder.join(name).display().to_string(),
        why: "no file of a store has such a name or kind",
    }
}

impl<'a> Walk<'a> {
    /// The segment that the listing starts at in a folder, when it starts in there.
    fn start_in(&self, folder: &Key) -> Option<&'a str> {
        let after = self.after?;
        let rest = match folder.as_str() {
            "" => after,
            folder => after.strip_prefix(folder)?.strip_prefix('/')?,
        };
        rest.split('/').next()
    }

    fn folder(&mut self, folder: &Key) -> Result<()> {
        for name in names(self, folder)? {
            if self.found.len() >= self.limit {
                return Ok(());
            }
            match name.strip_suffix('/') {
                Some(below) => self.folder(&Key::new(below)?)?,
                None => self.found.push(Key::new(name)?),
            }
        }
        Ok(())
    }
}
