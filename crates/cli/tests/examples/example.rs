//! An example on a host of its own, with its dependencies.

use landfall_testkit::{Host, free_ports};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of `examples`.
pub struct Example {
    pub name: &'static str,
    /// What it needs on the machine.
    pub programs: &'static [&'static str],
    /// The folder that its installation makes.
    pub installs: &'static str,
    /// A path, and what only this program answers to it.
    pub path: &'static str,
    pub says: &'static str,
}

/// A host with the example as its project.
pub struct World {
    pub host: Host,
    pub port: u16,
    /// With programs in front that every user may run.
    search: String,
}

impl Example {
    /// A host with it, not installed yet; nothing when the machine lacks what it needs.
    pub fn world(&self) -> Option<World> {
        let mut search = std::env::var("PATH").unwrap_or_default();
        for program in self.programs {
            let Some(folder) = folder_of(program) else {
                eprintln!("skipped: no {program} that every user may run");
                return None;
            };
            search = format!("{}:{search}", folder.display());
        }
        let [port] = free_ports();
        let mut host = Host::new(env!("CARGO_BIN_EXE_landfall"));
        host.set("PATH", search.clone());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(self.name);
        // As a fresh clone has it.
        let mut copied = 0;
        for entry in std::fs::read_dir(&root).expect("the example").flatten() {
            if entry.file_name() != self.installs {
                copy(&entry.path(), &host.project());
                copied += 1;
            }
        }
        assert!(copied > 2, "{} is an example", root.display());
        Some(World { host, port, search })
    }

    /// Panics unless the answer is this program's.
    #[track_caller]
    pub fn assert_is(&self, answer: &str) {
        assert!(answer.contains(self.says), "{answer}");
    }
}

impl World {
    /// The path of `landfall.yaml`.
    pub fn file(&self) -> PathBuf {
        self.host.project().join("landfall.yaml")
    }

    /// What `landfall.yaml` says.
    pub fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("a file")
    }

    /// Changes `landfall.yaml`, which has to have what is replaced.
    #[track_caller]
    pub fn replace(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "`{from}` in:\n{text}");
        self.host.write("landfall.yaml", &text.replace(from, to));
    }

    /// The local authority's certificate.
    pub fn authority(&self) -> PathBuf {
        let trust = self.host.run(&["cert", "trust", "--output", "json"]).expect(0);
        let said = trust.typed("authority");
        PathBuf::from(said["path"].as_str().expect("a path"))
    }

    /// Does what the comment in `landfall.yaml` says has to be done before `up`. What that
    /// installs is kept for the next test. Whether there is a registry to install from.
    #[must_use]
    pub fn install(&self, example: &Example) -> bool {
        let project = self.host.project();
        let text = self.text();
        let commands: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.contains("Before `landfall up`"))
            .skip(1)
            .map_while(|line| line.strip_prefix("#   "))
            .collect();
        assert!(!commands.is_empty(), "a comment says what to install:\n{text}");
        let kept = self.kept(example, &commands);
        if !kept.is_dir() {
            for command in commands {
                let done = self.shell(command).output().expect("a shell");
                if !installed(command, &done) {
                    return false;
                }
            }
            keep(&project.join(example.installs), &kept);
        } else {
            copy(&kept.join(example.installs), &project);
        }
        true
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("PATH", &self.search).current_dir(self.host.project());
        shell
    }

    /// Where the installation is kept: by everything that decides what is in it.
    fn kept(&self, example: &Example, commands: &[&str]) -> PathBuf {
        let mut key = DefaultHasher::new();
        commands.hash(&mut key);
        for program in example.programs {
            let version = self.shell(&format!("{program} --version")).output().expect("a shell");
            version.stdout.hash(&mut key);
        }
        for file in ["requirements.txt", "package.json", "package-lock.json"] {
            std::fs::read(self.host.project().join(file)).unwrap_or_default().hash(&mut key);
        }
        let name = format!("{}-{:016x}", example.name, key.finish());
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name)
    }
}

/// Whether a command could install; that nobody can be reached is no mistake of the example.
fn installed(command: &str, done: &Output) -> bool {
    if done.status.success() {
        return true;
    }
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    let unreachable = ["Connection", "resolution", "timed out", "ENOTFOUND", "ECONN", "EAI_AGAIN"];
    let lacking = ["No module named pip", "not found"];
    assert!(
        unreachable.iter().chain(&lacking).any(|word| said.contains(word)),
        "`{command}` fails:\n{said}"
    );
    eprintln!("skipped: `{command}` cannot be done here");
    false
}

/// Keeps what was installed, whole or not at all, whoever else does the same.
fn keep(folder: &Path, kept: &Path) {
    let parent = kept.parent().expect("a folder");
    std::fs::create_dir_all(parent).expect("a folder");
    let new = tempfile::tempdir_in(parent).expect("a folder");
    copy(folder, new.path());
    let new = new.keep();
    if std::fs::rename(&new, kept).is_err() {
        let _ = std::fs::remove_dir_all(&new);
    }
}

/// Copies a file or folder into a folder, with its links and modes.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} is copied", from.display());
}

/// Where on `PATH` a program is that a service's own user may run, too.
fn folder_of(program: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH")?;
    let own_users = rustix::process::geteuid().is_root();
    std::env::split_paths(&search).find(|folder| {
        let path = folder.join(program);
        let Ok(real) = path.canonicalize() else { return false };
        let open = |path: &Path| {
            std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o001 != 0)
        };
        !own_users || path.ancestors().chain(real.ancestors()).all(open)
    })
}
