//! The health of one instance: is the port its own, does it answer, how often in a row.

use crate::listen::{self, Owner};
use crate::process::Family;
use landfall_model::{Health, HealthCheck};
use landfall_protocol::shim::VERB_EXEC;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout};

/// How often a port that nobody listens on yet is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// The longest time between two checks until an instance is healthy.
const EAGER: Duration = Duration::from_millis(100);
/// How much of an answer is read to find its status.
const ANSWER_MAXIMUM: usize = 4 << 10;

/// What the checks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Healthy.
    Ready,
    /// Not healthy yet, and the last reason.
    NotYet(String),
    /// Was healthy, and is not any more.
    Unhealthy(String),
}

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub health: Health,
    pub address: SocketAddr,
    pub family: Family,
    /// It was healthy when it was last seen, by an agent that is gone.
    pub was_ready: bool,
}

/// Checks for ever and tells each change.
pub(crate) async fn watch(subject: Subject, tell: UnboundedSender<Verdict>) {
    let mut streak = Streak::new(subject.was_ready);
    let mut last = None;
    if subject.health.check == HealthCheck::Process && !subject.was_ready {
        // A program that cannot even begin ends within this time.
        tokio::time::sleep(EAGER).await;
    }
    loop {
        let begin = Instant::now();
        let outcome = check(&subject).await;
        let listened = !matches!(outcome, Err(Failure::NobodyListens(_)));
        let verdict = streak.take(&subject.health, outcome.map_err(|failure| failure.to_string()));
        if let Some(verdict) = verdict
            && last.as_ref() != Some(&verdict)
        {
            last = Some(verdict.clone());
            if tell.send(verdict).is_err() {
                return;
            }
        }
        let every = subject.health.every.duration();
        let pace = match streak.state {
            State::Ready | State::Unhealthy => every,
            State::Starting if listened => every.min(EAGER),
            State::Starting => LOOK,
        };
        sleep_until(begin + pace.max(Duration::from_millis(5))).await;
    }
}

/// Good and bad answers in a row, and what they have made of the instance.
#[derive(Debug)]
struct Streak {
    state: State,
    good: u16,
    bad: u16,
}

/// What an instance is to its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never healthy so far.
    Starting,
    /// Healthy, until enough answers in a row were bad.
    Ready,
    /// Was healthy, and is again once enough answers in a row were good.
    Unhealthy,
}

impl Streak {
    const fn new(was_ready: bool) -> Self {
        let state = if was_ready { State::Ready } else { State::Starting };
        Self { state, good: 0, bad: 0 }
    }

    /// Takes one answer; says what is to be told, if anything.
    fn take(&mut self, health: &Health, answer: Result<(), String>) -> Option<Verdict> {
        match answer {
            Ok(()) => {
                self.bad = 0;
                self.good = self.good.saturating_add(1);
                if self.good >= health.healthy {
                    self.state = State::Ready;
                }
                (self.state == State::Ready).then_some(Verdict::Ready)
            }
            Err(why) => {
                self.good = 0;
                self.bad = self.bad.saturating_add(1);
                if self.state == State::Ready && self.bad >= health.unhealthy {
                    self.state = State::Unhealthy;
                }
                match self.state {
                    State::Starting => Some(Verdict::NotYet(why)),
                    State::Ready => None,
                    State::Unhealthy => Some(Verdict::Unhealthy(why)),
                }
            }
        }
    }
}

/// Whether the main process has become the program already.
fn runs_program(family: &Family) -> bool {
    let Some(main) = &family.main else { return false };
    let words = std::fs::read(format!("/proc/{}/cmdline", main.pid)).unwrap_or_default();
    let before = VERB_EXEC.as_bytes();
    !words.is_empty() && words.split(|byte| *byte == 0).nth(1) != Some(before)
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the program has not started yet")]
    NotStarted,
    #[error("nothing listens on {0} yet")]
    NobodyListens(SocketAddr),
    #[error("{0} is held by {1}")]
    Stranger(SocketAddr, String),
    #[error("GET {path} on {address}: {why}")]
    Http { path: String, address: SocketAddr, why: String },
    #[error("connecting to {address}: {why}")]
    Connect { address: SocketAddr, why: String },
}

async fn check(subject: &Subject) -> Result<(), Failure> {
    let address = subject.address;
    if subject.health.check == HealthCheck::Process {
        return if runs_program(&subject.family) { Ok(()) } else { Err(Failure::NotStarted) };
    }
    let family = subject.family.clone();
    let owner = tokio::task::spawn_blocking(move || listen::owner(address, &family)).await;
    match owner {
        Ok(Owner::Instance) => {}
        Ok(Owner::Other(who)) => return Err(Failure::Stranger(address, who)),
        Ok(Owner::Nobody) | Err(_) => return Err(Failure::NobodyListens(address)),
    }
    let limit = subject.health.timeout.duration();
    let late = || format!("no answer within {}", subject.health.timeout);
    match &subject.health.check {
        HealthCheck::Process => Ok(()),
        HealthCheck::Tcp => match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::Connect { address, why: plain(&error) }),
            Err(_) => Err(Failure::Connect { address, why: late() }),
        },
        HealthCheck::Http { path } => {
            let failed = |why| Failure::Http { path: path.clone(), address, why };
            match timeout(limit, get(address, path)).await {
                Ok(Ok(status)) if is_good(&status) => Ok(()),
                Ok(Ok(status)) => Err(failed(status)),
                Ok(Err(error)) => Err(failed(plain(&error))),
                Err(_) => Err(failed(late())),
            }
        }
    }
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        std::io::ErrorKind::UnexpectedEof => "closed without an answer".to_owned(),
        std::io::ErrorKind::InvalidData => "the answer is not HTTP".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a status like `204 No Content` is 200 to 399.
fn is_good(status: &str) -> bool {
    status
        .get(..3)
        .and_then(|code| code.parse::<u16>().ok())
        .is_some_and(|c| (200..400).contains(&c))
}

/// Asks and returns the status, like `200 OK`.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: landfall-health\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut piece = [0_u8; 1024];
    while answer.len() < ANSWER_MAXIMUM && !answer.contains(&b'\n') {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..count]);
    }
    parse_status(&answer)
}

fn parse_status(answer: &[u8]) -> std::io::Result<String> {
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.trim_end().strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..));
    status
        .filter(|status| status.get(..3).is_some_and(|code| code.parse::<u16>().is_ok()))
        .map(str::to_owned)
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_in_a_row_change_what_an_instance_is() {
        let health = Health {
            check: HealthCheck::Tcp,
            every: landfall_model::Millis(1),
            timeout: landfall_model::Millis(1),
            healthy: 2,
            unhealthy: 2,
        };
        let mut streak = Streak::new(false);
        let bad = || Err("no".to_owned());
        assert_eq!(streak.take(&health, bad()), Some(Verdict::NotYet("no".into())));
        assert_eq!(streak.take(&health, Ok(())), None);
        assert_eq!(streak.take(&health, bad()), Some(Verdict::NotYet("no".into())));
        assert_eq!(streak.take(&health, Ok(())), None);
        assert_eq!(streak.take(&health, Ok(())), Some(Verdict::Ready));
        assert_eq!(streak.take(&health, bad()), None);
        assert_eq!(streak.take(&health, Ok(())), Some(Verdict::Ready));
        assert_eq!(streak.take(&health, bad()), None);
        assert_eq!(streak.take(&health, bad()), Some(Verdict::Unhealthy("no".into())));
        assert_eq!(streak.take(&health, Ok(())), None);
        assert_eq!(streak.take(&health, Ok(())), Some(Verdict::Ready));
        // An instance that an earlier life found healthy stays so for one bad answer.
        let mut found = Streak::new(true);
        assert_eq!(found.take(&health, bad()), None);
        assert_eq!(found.take(&health, bad()), Some(Verdict::Unhealthy("no".into())));
    }

    #[test]
    fn statuses_are_read_from_the_first_line_alone() {
        let status = |text: &str| parse_status(text.as_bytes());
        assert_eq!(status("HTTP/1.1 200 OK\r\n").expect("a status"), "200 OK");
        assert_eq!(status("HTTP/1.0 503\r\nX: y").expect("a status"), "503");
        assert!(status("HTTP/2 200\r\n").is_err());
        assert!(status("SSH-2.0-x\r\n").is_err());
        assert!(status("").is_err());
        assert!(
            is_good("302 Found") && is_good("200") && !is_good("404 Not Found") && !is_good("x")
        );
    }
}
