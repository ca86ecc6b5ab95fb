//! Processes: who is who, who belongs to a run, and their certain end.
//!
//! A process belongs to a run when its environment carries the run's marker, when it is in the
//! session of the run's main process, in its control group, or (while the shim lives, which adopts
//! orphans) below its shim. So a child that left session and process group is found as well.

use landfall_protocol::shim::{Identity, MARKER};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The process id.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its session.
    pub session: u32,
    /// Its start in clock ticks since boot.
    pub start: u64,
    /// Whether it has ended and waits to be reaped.
    pub zombie: bool,
}

/// Reads what the kernel says about a process; none when there is no such process.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, also parentheses and spaces.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The identity of a process that runs now.
#[must_use]
pub fn identify(pid: u32, boot: &str) -> Option<Identity> {
    stat(pid).map(|stat| Identity { pid, start: stat.start, boot: boot.to_owned() })
}

/// Whether exactly this process still runs. One that waits to be reaped has ended.
#[must_use]
pub fn is_alive(identity: &Identity, boot: &str) -> bool {
    identity.boot == boot
        && stat(identity.pid).is_some_and(|stat| stat.start == identity.start && !stat.zombie)
}

/// A handle on exactly this process; none when it has ended.
///
/// # Errors
/// When the kernel does not give one.
pub fn open(identity: &Identity, boot: &str) -> std::io::Result<Option<OwnedFd>> {
    let Some(pid) = raw(identity.pid) else { return Ok(None) };
    // The handle first, then the look: a process that took the number later has another start.
    match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(handle) => Ok(is_alive(identity, boot).then_some(handle)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to exactly this process; a process that has ended is fine.
///
/// # Errors
/// When it may not be sent.
pub fn send(identity: &Identity, boot: &str, signal: Signal) -> std::io::Result<()> {
    let Some(handle) = open(identity, boot)? else { return Ok(()) };
    match rustix::process::pidfd_send_signal(&handle, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// How the processes of a run are recognised.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// The run.
    pub id: String,
    /// The main process, once it is known.
    pub main: Option<Identity>,
    /// The shim, while it lives: what is below it belongs to the run.
    pub shim: Option<Identity>,
    /// The control groups of the run.
    pub cgroups: Vec<PathBuf>,
}

/// Every process of a run that has not ended, without the processes in `except`.
#[must_use]
pub fn members(family: &Family, except: &BTreeSet<u32>) -> Vec<Stat> {
    let all = everyone();
    let mut inside: BTreeSet<u32> =
        family.cgroups.iter().flat_map(|folder| cgroup_members(folder)).collect();
    let session = family.main.as_ref().filter(|main| session_is_ours(main, &all));
    for stat in &all {
        if session.is_some_and(|main| stat.session == main.pid)
            || carries(stat.pid, MARKER, &family.id)
        {
            inside.insert(stat.pid);
        }
    }
    if let Some(shim) = &family.shim {
        add_descendants(shim, &all, &mut inside);
    }
    all.into_iter()
        .filter(|stat| inside.contains(&stat.pid) && !stat.zombie && !except.contains(&stat.pid))
        .collect()
}

/// A session's number stays taken while a member lives. If its leader is another process than our
/// main process, all members had ended and the number was given away: then it is not ours.
fn session_is_ours(main: &Identity, all: &[Stat]) -> bool {
    all.iter().find(|stat| stat.pid == main.pid).is_none_or(|stat| stat.start == main.start)
}

fn add_descendants(shim: &Identity, all: &[Stat], inside: &mut BTreeSet<u32>) {
    if !all.iter().any(|stat| stat.pid == shim.pid && stat.start == shim.start) {
        return;
    }
    let mut below = BTreeSet::from([shim.pid]);
    loop {
        let before = below.len();
        below.extend(
            all.iter().filter(|s| below.contains(&s.parent)).map(|s| s.pid).collect::<Vec<_>>(),
        );
        if below.len() == before {
            break;
        }
    }
    below.remove(&shim.pid);
    inside.append(&mut below);
}

fn everyone() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect()
}

fn cgroup_members(folder: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether the environment of a process has this variable with this value.
fn carries(pid: u32, variable: &str, value: &str) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|entry| {
        entry
            .strip_prefix(variable.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .is_some_and(|rest| rest == value.as_bytes())
    })
}

/// Every process whose environment has this variable, with the value.
#[must_use]
pub fn marked(variable: &str) -> Vec<(Stat, String)> {
    let prefix = format!("{variable}=");
    everyone()
        .into_iter()
        .filter(|stat| !stat.zombie)
        .filter_map(|stat| {
            let environment = std::fs::read(format!("/proc/{}/environ", stat.pid)).ok()?;
            let value = environment
                .split(|byte| *byte == 0)
                .find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
            Some((stat, String::from_utf8_lossy(value).into_owned()))
        })
        .collect()
}

/// Kills every process of a run, again and again until none is left, for at most `patience`.
/// Says how many were left.
pub fn sweep(family: &Family, except: &BTreeSet<u32>, patience: Duration) -> usize {
    let begin = Instant::now();
    loop {
        for folder in &family.cgroups {
            // Version 2 only, and only the kernel's own way is free of races with forks.
            let _ = std::fs::write(folder.join("cgroup.kill"), "1");
        }
        let left = members(family, except);
        if left.is_empty() {
            return 0;
        }
        for stat in &left {
            kill(stat);
        }
        if begin.elapsed() > patience {
            return left.len();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills exactly the process that was seen.
pub fn kill(seen: &Stat) {
    let Some(pid) = raw(seen.pid) else { return };
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    if stat(seen.pid).is_some_and(|now| now.start == seen.start) {
        let _ = rustix::process::pidfd_send_signal(&handle, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_no_trouble() {
        let text = "7 (a) S (b) R 1 7 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let stat = parse_stat(7, text).expect("a stat line");
        assert_eq!((stat.parent, stat.session, stat.start, stat.zombie), (1, 9, 4242, false));
    }

    #[test]
    fn an_identity_is_of_one_start_and_one_boot() {
        let mut identity = identify(std::process::id(), "now").expect("this process runs");
        assert!(is_alive(&identity, "now"));
        assert!(!is_alive(&identity, "later"));
        identity.start += 1;
        assert!(!is_alive(&identity, "now"));
    }

    #[test]
    fn marked_processes_are_found_in_their_own_session_too() {
        let id = format!("test-{}", std::process::id());
        let mut child = std::process::Command::new("setsid")
            .args(["sleep", "60"])
            .env(MARKER, &id)
            .spawn()
            .expect("setsid is there");
        let family = Family { id, ..Family::default() };
        let begin = Instant::now();
        while members(&family, &BTreeSet::new()).is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(5), "never found");
        }
        assert_eq!(sweep(&family, &BTreeSet::new(), Duration::from_secs(5)), 0);
        child.wait().expect("it ended");
    }
}
