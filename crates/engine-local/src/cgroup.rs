//! Control groups: the fence around a run's processes, and its limits, where the host allows.
//!
//! Version 2 where the own group may be divided, version 1 hierarchies where they are writable.
//! What cannot be had is said in words, and never assumed.

use landfall_model::Resources;
use landfall_protocol::shim::Cgroup;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The period of the processor quota in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;
/// The folder under our own group in which runs get theirs.
const PARENT: &str = "landfall";

/// Where the runs of this host get their groups.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    /// The parent in the unified hierarchy.
    unified: Option<PathBuf>,
    /// The parents in hierarchies of version 1 by controller.
    legacy: BTreeMap<&'static str, PathBuf>,
    /// Whether the unified hierarchy limits memory and processors.
    unified_limits: bool,
    /// Why limits cannot be enforced.
    why_not: Option<String>,
}

/// How long the dead may take to leave their group.
const LEAVE: Duration = Duration::from_secs(2);
const CONTROLLERS: [&str; 2] = ["memory", "cpu"];

impl Cgroups {
    /// Looks what the host allows, and makes the parents.
    #[must_use]
    pub fn detect() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut found = Self::default();
        for mount in parse_mounts(&mounts) {
            let Some(path) = own_path(&own, mount.controllers.as_deref()) else { continue };
            let here = mount.folder.join(path.trim_start_matches('/'));
            let here = if here.is_dir() { here } else { mount.folder.clone() };
            let here = if mount.controllers.is_none() { delegated(here) } else { here };
            let parent = here.join(PARENT);
            // It may be there and be somebody else's.
            let writable =
                |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
            if std::fs::create_dir_all(&parent).is_err() || !writable(&parent) {
                continue;
            }
            match &mount.controllers {
                None => {
                    found.unified_limits = enable_limits(&here, &parent);
                    found.unified = Some(parent);
                }
                Some(controllers) => {
                    for controller in CONTROLLERS {
                        if controllers.iter().any(|name| name == controller) {
                            found.legacy.insert(controller, parent.clone());
                        }
                    }
                }
            }
        }
        found.why_not = found.explain();
        found
    }

    fn explain(&self) -> Option<String> {
        let missing: Vec<&str> = CONTROLLERS
            .into_iter()
            .filter(|name| !self.unified_limits && !self.legacy.contains_key(name))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let controllers = missing.join(" and ");
        Some(if rustix::process::geteuid().is_root() {
            format!("this host gives no control group for {controllers} that may be divided")
        } else {
            format!(
                "no control group for {controllers} is delegated to this user (systemd: `Delegate=yes`)"
            )
        })
    }

    /// Why limits cannot be enforced; none when they can.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    /// The groups of a run, with its limits. Nothing is made yet.
    #[must_use]
    pub fn plan(&self, id: &str, resources: &Resources) -> Vec<Cgroup> {
        let mut groups: Vec<Cgroup> = Vec::new();
        if let Some(parent) = &self.unified {
            let limits = if self.unified_limits { unified_limits(resources) } else { Vec::new() };
            groups.push(Cgroup { folder: parent.join(id), limits });
        }
        if self.unified_limits {
            return groups;
        }
        for (controller, parent) in &self.legacy {
            let limits = legacy_limits(controller, resources);
            if limits.is_empty() {
                continue;
            }
            let folder = parent.join(id);
            match groups.iter_mut().find(|group| group.folder == folder) {
                Some(group) => group.limits.extend(limits),
                None => groups.push(Cgroup { folder, limits }),
            }
        }
        groups
    }
}

/// Makes the groups of a run and sets its limits. Says what could not be done, in words.
pub fn make(groups: &[Cgroup]) -> Vec<String> {
    let mut problems = Vec::new();
    for group in groups {
        let folder = group.folder.display();
        if let Err(error) = std::fs::create_dir_all(&group.folder) {
            problems.push(format!("cannot make the control group {folder}: {error}"));
            continue;
        }
        for (file, value) in &group.limits {
            if let Err(error) = std::fs::write(group.folder.join(file), value) {
                problems.push(format!("cannot set the limit {file}: {error}"));
            }
        }
    }
    problems
}

/// Removes the groups of a run. They must be empty; what was killed leaves them after a moment.
pub fn remove(groups: &[Cgroup]) {
    let begin = Instant::now();
    for Cgroup { folder, .. } in groups {
        loop {
            match std::fs::remove_dir(folder) {
                Ok(()) => break,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(_) if begin.elapsed() < LEAVE => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "a control group stays");
                    break;
                }
            }
        }
    }
}

/// Whether the kernel killed a process in these groups for want of memory; none when not known.
#[must_use]
pub fn out_of_memory(groups: &[Cgroup]) -> Option<bool> {
    let count = |file: &str| {
        groups.iter().find_map(|group| {
            let text = std::fs::read_to_string(group.folder.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        })
    };
    count("memory.events").or_else(|| count("memory.oom_control")).map(|kills| kills > 0)
}

fn limit(file: &str, value: impl ToString) -> (String, String) {
    (file.to_owned(), value.to_string())
}

fn unified_limits(resources: &Resources) -> Vec<(String, String)> {
    let mut limits = Vec::new();
    if let Some(memory) = resources.memory {
        limits.push(limit("memory.max", memory.0));
    }
    if let Some(cpu) = resources.cpu {
        limits.push(limit("cpu.max", format!("{} {CPU_PERIOD}", quota(cpu.0))));
    }
    limits
}

fn legacy_limits(controller: &str, resources: &Resources) -> Vec<(String, String)> {
    match (controller, resources.memory, resources.cpu) {
        ("memory", Some(memory), _) => vec![limit("memory.limit_in_bytes", memory.0)],
        ("cpu", _, Some(cpu)) => {
            vec![limit("cpu.cfs_period_us", CPU_PERIOD), limit("cpu.cfs_quota_us", quota(cpu.0))]
        }
        _ => Vec::new(),
    }
}

/// Microseconds in each period; the kernel takes no less than a millisecond.
const fn quota(thousandths: u64) -> u64 {
    let quota = thousandths.saturating_mul(CPU_PERIOD) / 1000;
    if quota < 1000 { 1000 } else { quota }
}

/// The group to divide: our own, or the one above when that was given to us to divide and we sit in
/// a leaf of it (systemd: `Delegate=yes` and `DelegateSubgroup=`). Limits cannot be set below a
/// group that has processes itself.
fn delegated(own: PathBuf) -> PathBuf {
    let marked = |folder: &Path| {
        ["user.delegate", "trusted.delegate"].iter().any(|name| {
            let mut value = [0_u8; 8];
            rustix::fs::getxattr(folder, *name, &mut value[..])
                .is_ok_and(|size| &value[..size] == b"1")
        })
    };
    match own.parent() {
        Some(above) if marked(above) => above.to_owned(),
        _ => own,
    }
}

/// Lets the groups below limit memory and processors. Fails where processes are in our own group
/// and it is not the root: then somebody else must divide it.
fn enable_limits(here: &Path, parent: &Path) -> bool {
    let enable = |folder: &Path| {
        std::fs::write(folder.join("cgroup.subtree_control"), "+memory +cpu").is_ok()
    };
    enable(here) && enable(parent)
}

struct Mount {
    folder: PathBuf,
    /// None for the unified hierarchy.
    controllers: Option<Vec<String>>,
}

fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let folder = PathBuf::from(left.split(' ').nth(4)?);
            let mut right = right.split(' ');
            let kind = right.next()?;
            let options = right.nth(1)?;
            let controllers = match kind {
                "cgroup2" => None,
                "cgroup" => Some(options.split(',').map(str::to_owned).collect()),
                _ => return None,
            };
            Some(Mount { folder, controllers })
        })
        .collect()
}

/// The own group in a hierarchy, from `/proc/self/cgroup`.
fn own_path(text: &str, controllers: Option<&[String]>) -> Option<String> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let same = match controllers {
            None => names.is_empty(),
            Some(wanted) => names.split(',').any(|name| wanted.iter().any(|w| w == name)),
        };
        same.then(|| path.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::{Bytes, Cpu};

    #[test]
    fn both_versions_are_understood() {
        let mounts = "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
            31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n";
        let found = parse_mounts(mounts);
        assert_eq!(found.len(), 2);
        let own = "4:memory:/a/b\n0::/c\n";
        assert_eq!(own_path(own, found[0].controllers.as_deref()).as_deref(), Some("/a/b"));
        assert_eq!(own_path(own, found[1].controllers.as_deref()).as_deref(), Some("/c"));
    }

    #[test]
    fn limits_are_in_the_kernels_units() {
        let resources = Resources { cpu: Some(Cpu(500)), memory: Some(Bytes(1024)) };
        assert_eq!(
            unified_limits(&resources),
            [limit("memory.max", 1024), limit("cpu.max", "50000 100000")]
        );
        assert_eq!(legacy_limits("cpu", &resources)[1].1, "50000");
        assert_eq!(quota(1), 1000);
    }
}
