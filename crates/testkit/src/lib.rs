//! For tests and benches only: a host of its own with the real program on it.
//!
//! A [`Host`] is a temporary folder that serves as agent's home and as project folder. Everything
//! that runs on it can be found ([`processes`]) and is killed when the host is dropped, so that no
//! test leaves anything behind.

pub mod client;
pub mod kills;
mod ports;
pub mod processes;

pub use ports::free_ports;

use processes::{Kind, Process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a verb may take in a test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A host of its own.
pub struct Host {
    folder: tempfile::TempDir,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a verb did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Panics with everything it said unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Its output as JSON, line by line.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("`{line}` is no JSON: {error}"),
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The one line of this type.
    #[track_caller]
    #[must_use]
    pub fn typed(&self, kind: &str) -> Value {
        let found: Vec<Value> = self.json().into_iter().filter(|it| it["type"] == kind).collect();
        assert_eq!(found.len(), 1, "lines of type {kind} in:\n{}", self.stdout);
        found.into_iter().next().unwrap_or_default()
    }
}

impl Host {
    /// A host that runs this program: `env!("CARGO_BIN_EXE_landfall")` in tests of the program.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new().prefix("landfall-").tempdir().expect("a folder");
        // Services may have users of their own, who have to get through.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).expect("its mode");
        std::fs::create_dir_all(folder.path().join("project")).expect("a project");
        Self { folder, program: program.into(), environment: Vec::new() }
    }

    /// Sets a variable for every verb, and so for the agent it starts.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.retain(|(set, _)| set != name);
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(set, _)| set != name);
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The agent's folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The folder with `landfall.yaml`.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// A path beside both.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Puts the shop where the project's artifact is: `dist/shop`.
    pub fn install_shop(&self) {
        let folder = self.project().join("dist");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::copy(shop(&self.program), folder.join("shop")).expect("the shop");
    }

    /// A verb, not started yet, in the project's folder with a clean environment.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.project()).env_clear();
        for name in ["PATH", "HOME", "USER", "LANG", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LANDFALL_HOME", self.home()).env("LANDFALL_METRICS", "off").env("CI", "true");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a verb.
    #[must_use]
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program starts")
    }

    /// Runs a verb to its end.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.spawn(arguments), arguments)
    }

    /// Everything of this kind that runs on the host.
    #[must_use]
    pub fn processes(&self, kind: Kind) -> Vec<Process> {
        processes::of(&self.home()).into_iter().filter(|it| it.kind == kind).collect()
    }

    /// The agent's process, when it runs.
    #[must_use]
    pub fn agent(&self) -> Option<u32> {
        self.processes(Kind::Agent).first().map(|it| it.pid)
    }
}

/// Waits for a verb's end.
#[must_use]
pub fn finish(child: Child, arguments: &[&str]) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    let (pid, began) = (child.id(), Instant::now());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        processes::kill(pid);
        panic!("`landfall {}` takes too long", arguments.join(" "))
    });
    let output = output.expect("its output");
    let status = output.status;
    let code = status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(-1);
    Ran {
        code,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: began.elapsed(),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for _ in 0..50 {
            let left = processes::of(&self.home());
            if left.is_empty() {
                break;
            }
            // Whoever could start something again goes first.
            for process in &left {
                processes::kill(process.pid);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        unlock(self.folder.path());
    }
}

/// Unpacked artifacts are read-only, also for the one who wants to remove them.
fn unlock(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let _ = std::fs::set_permissions(folder, mode);
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

/// The shop, beside the program; built when it is not there.
#[must_use]
pub fn shop(program: &Path) -> PathBuf {
    let shop = program.parent().expect("a folder").join("shop");
    if !shop.exists() {
        let release = program.parent().is_some_and(|folder| folder.ends_with("release"));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "shop"]);
        if release {
            cargo.arg("--release");
        }
        assert!(cargo.status().is_ok_and(|status| status.success()), "the shop is built");
    }
    shop
}

/// Waits until something is so.
///
/// # Panics
/// When it is not so within the time, naming it.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
