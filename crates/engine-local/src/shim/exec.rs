//! The step between the shim and the main process: a fresh process that gives itself a session,
//! limits and a user, and then becomes the program.

use crate::disk;
use landfall_protocol::shim::{self, EXEC_MARKER, Spec};
use rustix::process::{Gid, Signal, Uid};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The exit code when the program cannot be started, as shells have it.
const CANNOT_START: u8 = 127;

/// Becomes the program of a run: what `landfall shim-exec FOLDER PARENT [COMMAND…]` does, with
/// the arguments after the verb. `PARENT` is the process whose end kills this one, 0 for none;
/// `COMMAND` takes the place of the run's own. Returns only when it failed, having said why.
#[must_use]
pub fn exec(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::parse(arguments).and_then(|arguments| become_program(&arguments)) {
        Ok(never) => match never {},
        Err(why) => {
            eprintln!("landfall: {why}");
            ExitCode::from(CANNOT_START)
        }
    }
}

struct Arguments {
    folder: PathBuf,
    parent: i32,
    command: Vec<OsString>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let wrong = || format!("usage: {} FOLDER PARENT [COMMAND…]", shim::VERB_EXEC);
        let folder = arguments.next().map(PathBuf::from).ok_or_else(wrong)?;
        let parent =
            arguments.next().and_then(|text| text.to_str()?.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { folder, parent, command: arguments.collect() })
    }
}

fn become_program(arguments: &Arguments) -> Result<std::convert::Infallible, String> {
    let spec: Spec = disk::read_record(&arguments.folder.join(shim::SPEC))
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("{} has no {}", arguments.folder.display(), shim::SPEC))?;
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    for group in &spec.cgroups {
        // Named in the log, not fatal: limits are a promise of the host, not of the program. One
        // that could not be made was named by the shim.
        if group.folder.is_dir()
            && let Err(error) = std::fs::write(group.folder.join("cgroup.procs"), "0")
        {
            eprintln!(
                "landfall: cannot join the control group {}: {error}",
                group.folder.display()
            );
        }
    }
    if let Some(user) = spec.user {
        change_user(user).map_err(|error| format!("cannot become user {user}: {error}"))?;
    }
    die_with(arguments.parent)?;
    std::env::set_current_dir(&spec.folder)
        .map_err(|error| format!("cannot enter {}: {error}", spec.folder.display()))?;
    Err(replace(&spec, arguments))
}

fn change_user(user: u32) -> std::io::Result<()> {
    // This process has one thread, so a thread's ids are the process's.
    rustix::thread::set_thread_groups(&[])?;
    let group = Gid::from_raw(user);
    rustix::thread::set_thread_res_gid(group, group, group)?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Asks to be killed when the parent dies. After the user has changed, which clears it; and the
/// parent may have died before.
fn die_with(parent: i32) -> Result<(), String> {
    if parent == 0 {
        return Ok(());
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot follow the shim into its end: {error}"))?;
    match rustix::process::getppid() {
        Some(now) if now.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err("the shim died".to_owned()),
    }
}

/// Replaces this process; returns why it could not.
fn replace(spec: &Spec, arguments: &Arguments) -> String {
    let own = spec.command.iter().map(OsString::from);
    let beside = !arguments.command.is_empty();
    let words: Vec<OsString> = if beside { arguments.command.clone() } else { own.collect() };
    let Some((program, rest)) = words.split_first() else {
        return "the command is empty".to_owned();
    };
    let mut command = Command::new(locate(Path::new(program), &spec.artifact));
    command.args(rest).env_clear().envs(&spec.env);
    if beside {
        command.env(EXEC_MARKER, &spec.id);
    }
    let error = command.exec();
    let mut why = format!("cannot run `{}`: {error}", program.to_string_lossy());
    if error.kind() == std::io::ErrorKind::PermissionDenied
        && let Some(user) = spec.user
        && let Some(folder) = closed_folder(Path::new(program), spec)
    {
        let folder = folder.display();
        why.push_str(&format!(
            "; the service's own user, {user}, may not enter {folder}: install the program where every user may run it"
        ));
    }
    why
}

/// The first folder on the way to a program that this process may not enter: on the way to every
/// place where it is looked for, when only its name is given.
fn closed_folder(program: &Path, spec: &Spec) -> Option<PathBuf> {
    let bare = program.components().count() == 1;
    let search =
        if bare { spec.env.get("PATH").map(String::as_str).unwrap_or_default() } else { "" };
    let places = std::env::split_paths(search).map(|folder| folder.join(program));
    let own = (!bare).then(|| program.to_owned());
    places.chain(own).find_map(|place| {
        // Looking at something fails when the folder around it cannot be entered.
        let denied = |path: &&Path| {
            std::fs::symlink_metadata(path)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        };
        let outermost = place.ancestors().filter(denied).last()?;
        outermost.parent().map(Path::to_owned)
    })
}

/// A bare name is looked up in the artifact first, then in `PATH`.
fn locate(program: &Path, artifact: &Path) -> PathBuf {
    let bare = program.components().count() == 1 && !program.is_absolute();
    let inside = artifact.join(program);
    if bare && !program.starts_with(".") && inside.is_file() { inside } else { program.to_owned() }
}
