//! Where a run finds itself: its working folder, volumes, temporary folder and environment.

use crate::disk::{self, DiskError};
use crate::host::Host;
use landfall_model::{GroupId, Service, StackId};
use landfall_protocol::shim;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// What a workplace is made for.
pub(crate) struct Request<'a> {
    pub stack: &'a StackId,
    pub group: &'a GroupId,
    pub service: &'a Service,
    /// The folder of the run, which exists.
    pub run: &'a Path,
    pub id: &'a str,
    pub artifact: &'a Path,
    pub address: Option<SocketAddr>,
    pub user: Option<u32>,
}

/// A workplace that is ready.
pub(crate) struct Workplace {
    pub folder: PathBuf,
    pub env: BTreeMap<String, String>,
}

/// Makes the folders and the environment of a run.
pub(crate) fn make(host: &Host, request: &Request<'_>) -> Result<Workplace, DiskError> {
    let temporary = request.run.join("tmp");
    disk::make_folder(&temporary, 0o700)?;
    give(&temporary, request.user)?;
    let folder = if request.service.volumes.is_empty() {
        request.artifact.to_owned()
    } else {
        with_volumes(host, request)?
    };
    let env = environment(host, request, &temporary);
    Ok(Workplace { folder, env })
}

/// Removes what a run needs only while it lives.
pub(crate) fn clear(run: &Path) {
    for name in ["tmp", "work"] {
        if let Err(error) = disk::remove_folder(&run.join(name)) {
            tracing::warn!(%error, "a folder of an ended run stays");
        }
    }
}

fn give(path: &Path, user: Option<u32>) -> Result<(), DiskError> {
    let Some(user) = user else { return Ok(()) };
    std::os::unix::fs::lchown(path, Some(user), Some(user))
        .map_err(|error| DiskError::io("give to its user", path, error))
}

/// A volume keeps what is in it when its service gets a user of its own, or another one.
fn give_all(folder: &Path, user: Option<u32>) -> Result<(), DiskError> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::symlink_metadata(folder)
        .map_err(|error| DiskError::io("look at", folder, error))?
        .uid();
    if user.is_none_or(|user| user == owner) {
        return Ok(());
    }
    let entries =
        std::fs::read_dir(folder).map_err(|error| DiskError::io("read", folder, error))?;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give_all(&entry.path(), user)?;
        } else {
            give(&entry.path(), user)?;
        }
    }
    // The folder last: its owner says that all below it is done.
    give(folder, user)
}

/// A folder of links: to the entries of the artifact, which is shared and read-only, and to the
/// volumes, which are neither.
fn with_volumes(host: &Host, request: &Request<'_>) -> Result<PathBuf, DiskError> {
    let mut links: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for (name, volume) in &request.service.volumes {
        let path = inner_path(&volume.path).ok_or_else(|| DiskError::Record {
            path: volume.path.clone(),
            why: format!("the volume `{name}` must lie inside the working folder"),
        })?;
        host.folder(&host.volume_parent(request.stack))?;
        let target = host.volume(request.stack, &request.group.service, name);
        host.folder(target.parent().unwrap_or(&target))?;
        if !target.is_dir() {
            disk::make_folder(&target, 0o700)?;
            disk::sync_folder(target.parent().unwrap_or(&target))?;
        }
        give_all(&target, request.user)?;
        links.insert(path, target);
    }
    let work = request.run.join("work");
    disk::remove_folder(&work)?;
    link_level(&work, request.artifact, Path::new(""), &links)?;
    Ok(work)
}

/// A path that stays inside: relative, and no `..`.
pub(crate) fn inner_path(text: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (path.components().count() > 0).then_some(path)
}

fn link_level(
    work: &Path,
    artifact: &Path,
    at: &Path,
    links: &BTreeMap<PathBuf, PathBuf>,
) -> Result<(), DiskError> {
    let here = work.join(at);
    disk::make_folder(&here, 0o755)?;
    let link = |from: &Path, to: &Path| {
        std::os::unix::fs::symlink(from, to).map_err(|error| DiskError::io("link", to, error))
    };
    let mut made = std::collections::BTreeSet::new();
    for (path, target) in links {
        let Ok(rest) = path.strip_prefix(at) else { continue };
        let Some(Component::Normal(name)) = rest.components().next() else { continue };
        if !made.insert(name.to_owned()) {
            continue;
        }
        if rest.components().count() == 1 {
            link(target, &here.join(name))?;
        } else {
            link_level(work, artifact, &at.join(name), links)?;
        }
    }
    let Ok(entries) = std::fs::read_dir(artifact.join(at)) else { return Ok(()) };
    for entry in entries.flatten() {
        if !made.contains(&entry.file_name()) {
            link(&entry.path(), &here.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The whole environment: never the agent's own, except where programs are found.
fn environment(host: &Host, request: &Request<'_>, temporary: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let path = std::env::var("PATH")
        .unwrap_or_else(|_| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), path),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("HOME".to_owned(), text(temporary)),
        ("TMPDIR".to_owned(), text(temporary)),
    ]);
    env.extend(request.service.env.clone());
    let port = request.address.map_or(0, |address| address.port());
    env.extend([
        ("HOST".to_owned(), host.host.to_string()),
        ("PORT".to_owned(), port.to_string()),
        ("LANDFALL_RELEASE".to_owned(), request.group.release.to_string()),
        ("LANDFALL_SERVICE".to_owned(), request.group.service.to_string()),
        ("LANDFALL_STACK".to_owned(), request.stack.to_string()),
        (shim::MARKER.to_owned(), request.id.to_owned()),
    ]);
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_stay_inside() {
        assert_eq!(inner_path("./data/a"), Some(PathBuf::from("data/a")));
        for outside in ["/data", "../data", "a/../../b", "", "."] {
            assert_eq!(inner_path(outside), None, "{outside}");
        }
    }

    #[test]
    fn links_go_around_nested_volumes() {
        let folder = tempfile::tempdir().expect("a folder");
        let artifact = folder.path().join("artifact");
        std::fs::create_dir_all(artifact.join("var/lib")).expect("made");
        std::fs::write(artifact.join("var/lib/seed"), "s").expect("written");
        std::fs::write(artifact.join("app"), "a").expect("written");
        let volume = folder.path().join("volume");
        std::fs::create_dir(&volume).expect("made");
        let work = folder.path().join("work");
        let links = BTreeMap::from([(PathBuf::from("var/data"), volume.clone())]);
        link_level(&work, &artifact, Path::new(""), &links).expect("linked");
        assert!(work.join("app").is_file() && work.join("var/lib/seed").is_file());
        std::fs::write(work.join("var/data/kept"), "k").expect("written");
        assert!(volume.join("kept").is_file());
    }
}
