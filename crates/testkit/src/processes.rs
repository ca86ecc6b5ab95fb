//! What runs on a host, found in `/proc` and not by asking anybody.

use std::path::Path;

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The agent.
    Agent,
    /// The load balancer.
    Edge,
    /// Holds an instance or a job.
    Shim,
    /// An instance, or something that it started.
    Instance,
    /// A verb.
    Client,
}

/// A process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// What it is.
    pub kind: Kind,
    /// The instance that it belongs to, for shims and instances.
    pub instance: Option<String>,
    /// The release that it belongs to, for instances and for shims.
    pub release: Option<u64>,
}

/// Everything that runs on the host with this home.
#[must_use]
pub fn of(home: &Path) -> Vec<Process> {
    let home = home.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<Process> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| one(pid, &home))
        .collect();
    found.sort_by_key(|process| (process.kind, process.pid));
    found
}

fn one(pid: u32, home: &str) -> Option<Process> {
    if pid == std::process::id() || zombie(pid) {
        return None;
    }
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (environment, command) = (read("environ"), read("cmdline"));
    let variables: Vec<&str> = environment
        .split(|byte| *byte == 0)
        .filter_map(|it| std::str::from_utf8(it).ok())
        .collect();
    let arguments: Vec<&str> =
        command.split(|byte| *byte == 0).filter_map(|it| std::str::from_utf8(it).ok()).collect();
    let variable =
        |name: &str| variables.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    let belongs = variables.iter().chain(&arguments).any(|text| text.contains(home));
    if !belongs {
        return None;
    }
    let verb = arguments.get(1).copied().unwrap_or_default();
    let ours = arguments.first().is_some_and(|program| program.ends_with("landfall"));
    let run = (ours && verb == "shim").then(|| arguments.get(2)).flatten();
    let run = run.and_then(|folder| Path::new(folder).file_name()?.to_str());
    let instance = variable("LANDFALL_INSTANCE").or(run).map(str::to_owned);
    let kind = match (ours, verb, arguments.get(2)) {
        (true, "agent", Some(&"run")) => Kind::Agent,
        (true, "edge", _) => Kind::Edge,
        (true, "shim", _) => Kind::Shim,
        _ if instance.is_some() => Kind::Instance,
        _ => Kind::Client,
    };
    let release = variable("LANDFALL_RELEASE").and_then(|text| text.parse().ok());
    let release = release.or_else(|| release_of(run?));
    Some(Process { pid, kind, instance, release })
}

/// The release in the name of a shim's folder: `web-12-3f9a` of an instance, `migrate-r12-1` of a
/// job.
fn release_of(run: &str) -> Option<u64> {
    let mut words = run.rsplit('-').skip(1);
    let word = words.next()?;
    word.strip_prefix('r').unwrap_or(word).parse().ok()
}

fn zombie(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Ends a process at once (SIGKILL).
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::release_of;

    #[test]
    fn a_shim_tells_its_release_by_its_folder() {
        assert_eq!(release_of("web-12-3f9a"), Some(12));
        assert_eq!(release_of("big-web-7-3f9a"), Some(7));
        assert_eq!(release_of("migrate-r12-1"), Some(12));
        assert_eq!(release_of("web"), None);
    }
}
