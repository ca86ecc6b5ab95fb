//! Which files of a folder are packed.

use super::{ArtifactError, ArtifactSource, io};
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Files and links by the bytes of their names relative to the root.
pub(super) type Entries = BTreeMap<Vec<u8>, (PathBuf, FileType)>;

/// Finds what is packed. A `.gitignore` counts where it lies inside the folder; those above it,
/// the user's own, and other ignore files do not, so that every machine finds the same.
pub(super) fn entries(
    source: &ArtifactSource,
    honour_ignores: bool,
) -> Result<Entries, ArtifactError> {
    let exclude = patterns(&source.root, &source.exclude)?;
    let include = patterns(&source.root, &source.include)?;
    let mut found = Entries::new();
    walk(&source.root, honour_ignores, &exclude, |_, _| true, &mut found)?;
    if honour_ignores && !source.include.is_empty() {
        let wanted = |path: &Path, folder: bool| {
            include.matched_path_or_any_parents(path, folder).is_ignore()
        };
        walk(&source.root, false, &exclude, wanted, &mut found)?;
    }
    Ok(found)
}

fn patterns(root: &Path, patterns: &[String]) -> Result<Gitignore, ArtifactError> {
    let mut builder = GitignoreBuilder::new(root);
    for pattern in patterns {
        let wrong = |error: ignore::Error| ArtifactError::Pattern {
            pattern: pattern.clone(),
            why: error.to_string(),
        };
        builder.add_line(None, pattern).map_err(wrong)?;
    }
    builder.build().map_err(|error| ArtifactError::Pattern {
        pattern: patterns.join(" "),
        why: error.to_string(),
    })
}

fn walk(
    root: &Path,
    honour_ignores: bool,
    exclude: &Gitignore,
    wanted: impl Fn(&Path, bool) -> bool,
    found: &mut Entries,
) -> Result<(), ArtifactError> {
    let pruned = exclude.clone();
    let top = root.to_owned();
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(honour_ignores)
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0
                || (entry.file_name() != OsStr::new(".git")
                    && !excluded(&pruned, &top, entry.path(), folder))
        })
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| {
            let why = std::io::Error::other(error.to_string());
            io("look through", root, error.io_error().unwrap_or(&why))
        })?;
        if let Some(error) = entry.error() {
            return Err(ArtifactError::Pattern {
                pattern: ".gitignore".to_owned(),
                why: error.to_string(),
            });
        }
        let Some(kind) = entry.file_type() else { continue };
        let Ok(relative) = entry.path().strip_prefix(root) else { continue };
        if kind.is_dir() || relative.as_os_str().is_empty() || !wanted(relative, false) {
            continue;
        }
        let name = relative.as_os_str().as_bytes().to_vec();
        found.insert(name, (entry.into_path(), kind));
    }
    Ok(())
}

fn excluded(exclude: &Gitignore, root: &Path, path: &Path, folder: bool) -> bool {
    path.strip_prefix(root)
        .is_ok_and(|relative| exclude.matched_path_or_any_parents(relative, folder).is_ignore())
}
