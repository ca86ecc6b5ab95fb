//! A service writes numbered lines while its agent is killed, over and over.

use crate::chance::Chance;
use landfall_protocol::shim::{EXIT, Exit, LOG, SPEC, read_record};
use landfall_testkit::processes::{Kind, kill};
use landfall_testkit::{Host, until};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the agent lives at most before it is killed again, in milliseconds.
const LIFE: u64 = 200;
/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Lines that are written while the agent is killed.
pub struct Logs {
    /// The program.
    pub program: PathBuf,
    /// How often the agent is killed.
    pub kills: u32,
    /// How much the service writes.
    pub bytes_per_second: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Logged {
    /// How many lines the service says it wrote.
    pub written: u64,
    /// How many of them were found.
    pub found: u64,
    /// Lines that are missing, twice there, or out of order, with the number that was due.
    pub wrong: Vec<String>,
    /// How the service ended, by the record of it.
    pub exit: Exit,
    /// Whether the agent, back again, says so too.
    pub told: bool,
    /// How long the service wrote.
    pub took: Duration,
}

impl Logs {
    /// Does it.
    ///
    /// # Panics
    /// When a verb fails.
    #[must_use]
    pub fn run(&self) -> Logged {
        let host = Host::new(&self.program);
        host.install_shop();
        let stop = host.path("stop");
        host.write("landfall.yaml", &self.file(&stop));
        host.run(&["up", "--output", "json"]).expect(0);
        let began = Instant::now();
        let folder = until("the run's folder", PATIENCE, || find(&host.home().join("engine")));
        let reader = Reader::start(folder.join(LOG));
        let mut chance = Chance::new(self.seed);
        for _ in 0..self.kills {
            std::thread::sleep(Duration::from_millis(chance.between(0, LIFE)));
            kill_agent(&host);
            std::thread::sleep(Duration::from_millis(chance.between(0, LIFE)));
            host.run(&["agent", "start"]).expect(0);
        }
        // It ends while there is no agent.
        kill_agent(&host);
        std::fs::write(&stop, "").expect("written");
        let took = began.elapsed();
        let exit = until("the exit's record", PATIENCE, || {
            serde_json::from_slice(&std::fs::read(folder.join(EXIT)).ok()?).ok()
        });
        let (found, written, wrong) = reader.finish();
        host.run(&["agent", "start"]).expect(0);
        let told = until("the agent's word", PATIENCE, || {
            let ran = host.run(&["status", "--output", "json"]).expect(0);
            ran.stdout.contains("code 7").then_some(true)
        });
        Logged { written, found, wrong, exit, told, took }
    }

    fn file(&self, stop: &Path) -> String {
        format!(
            r#"landfall: v1
app: talk
services:
  talker:
    artifact: ./dist
    command: [./shop, chatter]
    env: {{ CHATTER_BYTES: "{}", CHATTER_STOP: "{}" }}
"#,
            self.bytes_per_second,
            stop.display()
        )
    }
}

impl Logged {
    /// Whether no line was lost and the end is true.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.wrong.is_empty()
            && self.found == self.written
            && self.exit.code == Some(7)
            && self.exit.lost_bytes == 0
            && self.told
    }
}

impl std::fmt::Display for Logged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { written, found, wrong, exit, took, .. } = self;
        // A line has 128 bytes.
        let bytes = u32::try_from(*written / 8_192).map_or(0.0, f64::from);
        let rate = bytes / took.as_secs_f64();
        writeln!(
            formatter,
            "{written} lines written in {took:.1?} ({rate:.1} MiB/s), {found} found, {} wrong, exit code {:?}",
            wrong.len(),
            exit.code
        )?;
        for line in wrong.iter().take(10) {
            writeln!(formatter, "  {line}")?;
        }
        Ok(())
    }
}

fn kill_agent(host: &Host) {
    for process in host.processes(Kind::Agent) {
        kill(process.pid);
    }
    until("the agent's end", PATIENCE, || host.agent().is_none().then_some(()));
}

/// The folder of the only run below this one.
fn find(folder: &Path) -> Option<PathBuf> {
    if folder.join(SPEC).exists() {
        return Some(folder.to_owned());
    }
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().filter(|entry| entry.path().is_dir()).find_map(|entry| find(&entry.path()))
}

/// Reads the files of a log while they come and go: only the last few are kept.
struct Reader {
    ending: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<(u64, Vec<String>)>,
}

impl Reader {
    fn start(folder: PathBuf) -> Self {
        let (ending, written) = (Arc::default(), Arc::default());
        let mut check = Check { due: 1, wrong: Vec::new(), written: Arc::clone(&written) };
        let over: Arc<AtomicBool> = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            let mut number = 1_u64;
            while let Some(next) = follow(&folder, number, &over, &mut check) {
                number = next;
            }
            (check.due - 1, check.wrong)
        });
        Self { ending, written, thread }
    }

    /// How many lines were found, how many the service says it wrote, and what was wrong.
    fn finish(self) -> (u64, u64, Vec<String>) {
        self.ending.store(true, Ordering::SeqCst);
        let (found, wrong) = self.thread.join().expect("the reader");
        (found, self.written.load(Ordering::SeqCst), wrong)
    }
}

/// Reads one file to its end and says which is next; none when all is over.
fn follow(folder: &Path, number: u64, over: &AtomicBool, check: &mut Check) -> Option<u64> {
    let path = |number: u64| folder.join(format!("{number:08}.log"));
    let mut file = loop {
        // Asked before looking, so that nothing which comes before the end is missed.
        let ends = over.load(Ordering::SeqCst);
        match File::open(path(number)) {
            Ok(file) => break file,
            Err(_) if ends => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let (mut rest, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        let (ends, complete) = (over.load(Ordering::SeqCst), path(number + 1).exists());
        let read = file.read(&mut piece).expect("the log is read");
        rest.extend_from_slice(&piece[..read]);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        rest[..whole].split(|byte| *byte == b'\n').for_each(|record| check.record(record));
        rest.drain(..whole);
        if read > 0 {
            continue;
        }
        if complete {
            return Some(number + 1);
        }
        if ends {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Checks that each line is the one that is due.
struct Check {
    due: u64,
    wrong: Vec<String>,
    written: Arc<AtomicU64>,
}

impl Check {
    fn record(&mut self, record: &[u8]) {
        if record.is_empty() {
            return;
        }
        let text =
            read_record(record).map(|(_, _, text)| String::from_utf8_lossy(text).into_owned());
        let Some(text) = text else {
            self.wrong.push(format!("no record: {}", String::from_utf8_lossy(record)));
            return;
        };
        if let Some(end) = text.strip_prefix("end ").and_then(|text| text.parse().ok()) {
            self.written.store(end, Ordering::SeqCst);
            return;
        }
        match text.split(' ').next().and_then(|text| text.parse::<u64>().ok()) {
            Some(number) if number == self.due => self.due += 1,
            Some(number) => {
                self.wrong.push(format!("line {number} where {} is due", self.due));
                self.due = number + 1;
            }
            None => self.wrong.push(format!("not written by the service: {text}")),
        }
    }
}
