//! A host on which somebody dies: a shop of two replicas, a hook that leaves a trace, test points.

use super::{Moment, Verb, Victim};
use crate::processes::{self, Kind, Process};
use crate::{Host, Ran, finish, free_ports};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many instances the shop has.
pub(super) const REPLICAS: usize = 2;
/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A host on which somebody dies.
pub(super) struct World {
    pub host: Host,
    port: u16,
    version: u64,
    /// How long a calm `up` takes here.
    pub typical: Duration,
    /// The release that serves.
    pub serving: u64,
}

/// A journal entry as the agent passed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub sequence: u64,
    pub moment: String,
    pub step: String,
}

fn file(port: u16, migrated: &Path) -> String {
    let migrated = migrated.display();
    format!(
        r#"landfall: v1
app: shop
options:
  version: {{ type: string, default: "1" }}
services:
  web:
    artifact: ./dist
    command: [./shop, serve]
    replicas: {REPLICAS}
    env: {{ SHOP_VERSION: "${{options.version}}" }}
    health: {{ http: /healthz, every: 100ms, timeout: 1s, healthy: 1, unhealthy: 3 }}
    stop: {{ grace: 2s }}
hooks:
  before:
    migrate: {{ service: web, command: [sh, -c, 'echo "$LANDFALL_RELEASE" >> {migrated}; sleep 0.3'], timeout: 30s }}
listeners:
  public: {{ listen: "127.0.0.1:{port}", protocol: http, to: web }}
rollout: {{ drain: 300ms, bake: 300ms, deadline: 40s }}
"#
    )
}

impl World {
    /// A host with two releases, the second of which serves.
    pub fn make(program: &Path, points: bool) -> Result<Self, String> {
        let mut host = Host::new(program);
        let [port] = free_ports();
        host.install_shop();
        let migrated = host.path("migrated");
        std::fs::write(&migrated, "").map_err(|error| error.to_string())?;
        // The hook may run as a user of its own.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&migrated, mode).map_err(|error| error.to_string())?;
        host.write("landfall.yaml", &file(port, &migrated));
        if points {
            std::fs::create_dir_all(host.path("points")).map_err(|error| error.to_string())?;
            host.set("LANDFALL_TEST_POINTS", host.path("points").display().to_string());
        }
        let mut world = Self { host, port, version: 0, typical: Duration::ZERO, serving: 0 };
        world.calm_up()?;
        world.calm_up()?;
        Ok(world)
    }

    /// Another release in peace: also the proof that nothing is locked.
    pub fn calm_up(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let arguments = self.arguments(Verb::Up);
        let ran = self.run(&arguments)?;
        if ran.code != 0 {
            return Err(format!("the next up exits with {}: {}", ran.code, said(&ran)));
        }
        let head = self.head()?;
        self.typical = began.elapsed();
        self.settle(&|serving| serving == head)?;
        self.hook_ran(Verb::Up)
    }

    /// The next command line of this verb: each `up` is of something new.
    pub fn arguments(&mut self, verb: Verb) -> Vec<String> {
        let words = match verb {
            Verb::Up => {
                self.version += 1;
                vec!["up".to_owned(), "--set".to_owned(), format!("version={}", self.version)]
            }
            Verb::Rollback | Verb::Forward => vec![verb.to_string()],
        };
        let json = ["--output".to_owned(), "json".to_owned()];
        words.into_iter().chain(json).collect()
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[String]) -> Result<Ran, String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = self.host.command(&words).spawn().map_err(|error| error.to_string())?;
        super::caught(|| Ok(finish(child, &words)))
    }

    /// Runs a verb of a few words to its end.
    pub fn verb(&self, arguments: &[&str]) -> Result<Ran, String> {
        let words: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        self.run(&words)
    }

    /// The answer of a verb that only looks.
    fn answer(&self, arguments: &[&str], kind: &str) -> Result<Value, String> {
        let mut words = arguments.to_vec();
        words.extend(["--output", "json"]);
        let ran = self.verb(&words)?;
        let lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.into_iter().find(|line| line["type"] == kind);
        found
            .ok_or_else(|| format!("`{}` exits with {}: {}", words.join(" "), ran.code, said(&ran)))
    }

    /// How the one stack is.
    pub fn status(&self) -> Result<Value, String> {
        let status = self.answer(&["status"], "status")?;
        let stack = status["stacks"].as_array().and_then(|it| it.first()).cloned();
        stack.ok_or_else(|| "nothing is here".into())
    }

    /// The newest sealed release.
    pub fn head(&self) -> Result<u64, String> {
        let history = self.answer(&["history", "--limit", "1"], "history")?;
        let newest = history["releases"][0]["number"].as_u64();
        newest.ok_or_else(|| format!("no release in {history}"))
    }

    /// Which release answers a request.
    pub fn answers(&self) -> Result<u64, String> {
        let text = self.request().map_err(|error| format!("no answer: {error}"))?;
        let release = text.split("release=").nth(1).and_then(|rest| rest.split(' ').next());
        let release = release.and_then(|text| text.parse().ok());
        release.ok_or_else(|| format!("an odd answer: {}", text.lines().next().unwrap_or_default()))
    }

    fn request(&self) -> std::io::Result<String> {
        let patience = Duration::from_secs(10);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream
            .write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.take(64 << 10).read_to_string(&mut text)?;
        Ok(text)
    }

    /// How often each release's hook ran.
    pub fn hooks(&self) -> BTreeMap<u64, usize> {
        let text = std::fs::read_to_string(self.host.path("migrated")).unwrap_or_default();
        let mut ran = BTreeMap::new();
        for release in text.lines().filter_map(|line| line.parse().ok()) {
            *ran.entry(release).or_default() += 1;
        }
        ran
    }

    fn point(&self, name: &str) -> PathBuf {
        self.host.path("points").join(name)
    }

    /// The entries that the agent passed.
    pub fn seen(&self) -> Vec<Seen> {
        let text = std::fs::read_to_string(self.point("seen")).unwrap_or_default();
        let parse = |line: &str| {
            let (name, step) = line.split_once(' ')?;
            let (sequence, moment) = name.split_once('-')?;
            let (moment, step) = (moment.to_owned(), step.to_owned());
            Some(Seen { sequence: sequence.parse().ok()?, moment, step })
        };
        text.lines().filter_map(parse).collect()
    }

    /// The place of the last entry that was written.
    pub fn last_entry(&self) -> u64 {
        let written = self.seen().into_iter().filter(|it| it.moment != Moment::BeforeWrite.name());
        written.map(|it| it.sequence).max().unwrap_or(0)
    }

    /// Lets the agent wait at this moment of an entry.
    pub fn stop_at(&self, sequence: u64, moment: Moment) -> Result<(), String> {
        let _ = std::fs::remove_file(self.point("reached"));
        let name = format!("{sequence}-{}", moment.name());
        std::fs::write(self.point("stop"), name).map_err(|error| error.to_string())
    }

    /// Waits until the agent waits there.
    pub fn reached(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.point("reached").exists() {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// Lets the agent go on.
    pub fn go_on(&self) {
        let _ = std::fs::remove_file(self.point("stop"));
        let _ = std::fs::remove_file(self.point("reached"));
    }

    /// Those who could be this victim, the ones that belong to the newest release last.
    pub fn candidates(&self, victim: Victim, cli: u32) -> Vec<Process> {
        let kind = match victim {
            Victim::Cli => {
                let cli = Process { pid: cli, kind: Kind::Client, instance: None, release: None };
                return vec![cli];
            }
            Victim::Agent => Kind::Agent,
            Victim::Instance => Kind::Instance,
            Victim::Shim => Kind::Shim,
            Victim::Edge => Kind::Edge,
        };
        let mut found = self.host.processes(kind);
        found.sort_by_key(|process| (process.release, process.pid));
        found
    }

    /// Kills a process, waits until it is gone, and says who it was.
    pub fn kill(&self, victim: Victim, process: &Process) -> String {
        processes::kill(process.pid);
        let deadline = Instant::now() + PATIENCE;
        while victim != Victim::Cli
            && processes::of(&self.host.home()).iter().any(|it| it.pid == process.pid)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let job = process.instance.as_deref().is_some_and(|it| !it.starts_with("web-"));
        match (job, process.release) {
            (true, _) => format!("{victim} of the hook"),
            (false, Some(release)) if release > self.serving => format!("{victim}, new"),
            (false, Some(_)) => format!("{victim}, previous"),
            (false, None) => victim.to_string(),
        }
    }

    /// The last words of the agent and the edge, for a failure's message.
    pub fn last_words(&self) -> String {
        let tail = |path: PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(15)..].join("\n    ")
        };
        let home = self.host.home();
        let passed: Vec<String> = self
            .seen()
            .iter()
            .rev()
            .take(6)
            .map(|it| format!("{}-{} {}", it.sequence, it.moment, it.step))
            .collect();
        format!(
            "\n  runs: {:?}\n  passed, newest first: {}\n  agent:\n    {}\n  edge:\n    {}",
            processes::of(&home),
            passed.join(", "),
            tail(home.join("agent.log")),
            tail(home.join("edge").join("edge.log")),
        )
    }
}

/// What a verb said, in short.
pub(super) fn said(ran: &Ran) -> String {
    let lines: Vec<&str> = ran.stdout.lines().chain(ran.stderr.lines()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
