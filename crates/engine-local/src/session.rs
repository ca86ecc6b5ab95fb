//! Commands beside an instance: same artifact, environment, user and limits, by way of the same
//! step that starts instances. They end when nobody listens any more.

use crate::flag::raised;
use landfall_engine::{EngineError, Session, SessionOutput};
use landfall_protocol::shim;
use rustix::process::{Pid, Signal};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{mpsc, watch};

/// How much is read at once.
const PIECE: usize = 32 << 10;
/// How many pieces wait for a slow listener.
const WAITING: usize = 16;
/// How long output is awaited after the command has ended: something else may hold the pipes.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Starts a command beside the instance in this folder.
pub(crate) fn start(
    program: &Path,
    folder: &Path,
    command: &[String],
    closing: watch::Receiver<bool>,
) -> Result<Session, EngineError> {
    let failed = |why: String| EngineError::Failed {
        operation: format!("run `{}`", command.first().map_or("", String::as_str)),
        why,
    };
    if command.is_empty() {
        return Err(failed("the command is empty".to_owned()));
    }
    let child = tokio::process::Command::new(program)
        .arg(shim::VERB_EXEC)
        .arg(folder)
        .arg("0")
        .args(command)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (input, input_out) = mpsc::channel(WAITING);
    let (output_in, output) = mpsc::channel(WAITING);
    tokio::spawn(serve(child, input_out, output_in, closing));
    Ok(Session { input, output })
}

async fn serve(
    mut child: Child,
    input: mpsc::Receiver<Vec<u8>>,
    output: mpsc::Sender<SessionOutput>,
    mut closing: watch::Receiver<bool>,
) {
    let pid = child.id();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let out = copy(stdout, output.clone(), SessionOutput::Stdout);
    let error = copy(stderr, output.clone(), SessionOutput::Stderr);
    let copies = async { tokio::join!(out, error) };
    let feeding = feed(stdin, input);
    tokio::pin!(copies, feeding);
    let (mut copied, mut fed) = (false, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.ok(),
            _ = &mut copies, if !copied => copied = true,
            () = &mut feeding, if !fed => fed = true,
            () = output.closed() => break None,
            () = raised(&mut closing) => break None,
        }
    };
    let Some(status) = status else { return end(&mut child, pid).await };
    if !copied {
        let _ = tokio::time::timeout(LAST_OUTPUT, &mut copies).await;
    }
    end_group(pid);
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    let _ = output.send(SessionOutput::Exit(code)).await;
}

async fn feed(stdin: Option<ChildStdin>, mut input: mpsc::Receiver<Vec<u8>>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = input.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn copy(
    source: Option<impl AsyncRead + Unpin>,
    output: mpsc::Sender<SessionOutput>,
    wrap: fn(Vec<u8>) -> SessionOutput,
) {
    let Some(mut source) = source else { return };
    let mut piece = vec![0_u8; PIECE];
    while let Ok(count) = source.read(&mut piece).await {
        if count == 0 || output.send(wrap(piece[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn end(child: &mut Child, pid: Option<u32>) {
    // Before it is reaped, so that the number is still its own.
    end_group(pid);
    let _ = child.kill().await;
}

/// The command leads a session and a group of its own; what it left in it goes too.
fn end_group(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}
