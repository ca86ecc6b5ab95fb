//! Programs that keep credentials: `docker-credential-NAME get`.

use super::Login;
use crate::secret::Secret;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

const DEADLINE: Duration = Duration::from_secs(10);
/// Of what it may say, in bytes.
const LIMIT: u64 = 64 * 1024;
/// What programs say, on standard output, of a registry that they do not know.
const UNKNOWN: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a program for the login at a registry; nothing when it has none. The error says what the
/// program did.
pub(super) async fn get(
    name: &str,
    registry: &str,
    search: &OsStr,
) -> Result<Option<Login>, String> {
    let program = find(name, search)?;
    let mut child = Command::new(program)
        .arg("get")
        .env("PATH", search)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let talked = tokio::time::timeout(DEADLINE, talk(&mut child, registry)).await;
    let late = |_| Err(format!("says nothing within {} s", DEADLINE.as_secs()));
    let said = match talked.unwrap_or_else(late) {
        Ok(said) => said,
        Err(why) => {
            end(&mut child).await;
            return Err(why);
        }
    };
    if said.good {
        return answer(&said.output);
    }
    let output = String::from_utf8_lossy(&said.output);
    if output.trim() == UNKNOWN {
        return Ok(None);
    }
    let errors = String::from_utf8_lossy(&said.errors);
    // What looks like an answer may hold a secret.
    let words = [output, errors]
        .into_iter()
        .find(|text| !text.trim().is_empty() && !text.contains(['{', '}']));
    Err(format!(
        "fails: {}",
        words.map_or_else(|| "it does not say why".to_owned(), |text| plain(&text))
    ))
}

/// The program's path: only a name, and only from the given folders.
fn find(name: &str, search: &OsStr) -> Result<PathBuf, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(good) {
        return Err("is not the name of a program".to_owned());
    }
    let program = format!("docker-credential-{name}");
    let runs = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(search)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&program))
        .find(runs)
        .ok_or_else(|| "is not installed: it is in no folder of PATH".to_owned())
}

/// Ends a program that was not done, with all that it started, and reaps it.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill().await;
}

struct Said {
    good: bool,
    output: Vec<u8>,
    errors: Vec<u8>,
}

async fn talk(child: &mut Child, registry: &str) -> Result<Said, String> {
    let failed = |error: std::io::Error| format!("cannot be asked: {error}");
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ask = async {
        let Some(mut stdin) = stdin else { return Ok(()) };
        match stdin.write_all(registry.as_bytes()).await {
            // It may answer without reading.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok(()),
        }
    };
    let ((), output, errors) = tokio::try_join!(ask, read(stdout), read(stderr))?;
    let status = child.wait().await.map_err(failed)?;
    Ok(Said { good: status.success(), output, errors })
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return Ok(bytes) };
    from.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("says more than {LIMIT} bytes"));
    }
    Ok(bytes)
}

fn answer(output: &[u8]) -> Result<Option<Login>, String> {
    let answer: Answer = serde_json::from_slice(output)
        .map_err(|_| "answers something else than its JSON".to_owned())?;
    let secret = Secret::new(answer.secret);
    Ok(match answer.username.as_str() {
        "" if secret.reveal().is_empty() => None,
        "<token>" => Some(Login::Identity(secret)),
        user => Some(Login::Basic { user: user.to_owned(), password: secret }),
    })
}

/// The first line of what a program says, without control characters, and not too long.
fn plain(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}
