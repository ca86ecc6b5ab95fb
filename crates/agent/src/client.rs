//! The command line's side: find the agent, start it when it is first needed, ask.

use crate::Home;
use landfall_model::{Digest, ExitCode};
use landfall_protocol::Hello;
use landfall_protocol::agent::{Failure, Reply, Request};
use landfall_protocol::frame::{self, Frame, FrameError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How long a started agent may take to answer.
const START: Duration = Duration::from_secs(20);
/// How long the agent may take to greet.
const GREETING: Duration = Duration::from_secs(10);
/// Bytes of a blob in one frame.
const PIECE: usize = 1 << 20;

/// A conversation with the agent.
pub struct Connection {
    input: OwnedReadHalf,
    output: OwnedWriteHalf,
}

fn broken(error: &FrameError) -> Failure {
    Failure::new(ExitCode::Unknown, format!("the agent is gone: {}", crate::stack::chain(error)))
        .help(
            "what it was doing goes on when it is back: `landfall status`, then `landfall resume`",
        )
}

fn not_running(home: &Home) -> Failure {
    Failure::new(ExitCode::NotFound, format!("no agent runs for {}", home.path().display()))
        .help("`landfall agent start` starts it, as does `landfall up`")
}

/// Connects to an agent that runs.
///
/// # Errors
/// When none runs, or it speaks another version of the protocol.
pub async fn connect(home: &Home) -> Result<Connection, Failure> {
    let socket = home.socket();
    let stream = UnixStream::connect(&socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::new(
            ExitCode::Permission,
            format!("{} belongs to another user", socket.display()),
        ),
        _ => not_running(home),
    })?;
    greet(stream).await
}

pub(crate) async fn greet(stream: UnixStream) -> Result<Connection, Failure> {
    let (mut input, mut output) = stream.into_split();
    let greeting = async {
        frame::write_json(&mut output, &Hello::ours()).await?;
        frame::read(&mut input).await
    };
    let greeted = tokio::time::timeout(GREETING, greeting).await.map_err(|_| {
        Failure::new(ExitCode::Unknown, "the agent does not answer").help("`landfall doctor`")
    })?;
    let Frame::Json(payload) = greeted.map_err(|error| broken(&error))? else {
        return Err(Failure::new(ExitCode::Unexpected, "the agent does not greet"));
    };
    if let Ok(Reply::Failed(failure)) = serde_json::from_slice::<Reply>(&payload) {
        return Err(failure);
    }
    let hello: Hello = serde_json::from_slice(&payload)
        .map_err(|error| Failure::new(ExitCode::Unexpected, error.to_string()))?;
    hello.accept().map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
    Ok(Connection { input, output })
}

/// Connects to the agent, and starts it when none runs. Says whether it was started.
///
/// # Errors
/// When it cannot be started, with the last lines of its log.
pub async fn connect_or_start(home: &Home, program: &Path) -> Result<(Connection, bool), Failure> {
    match connect(home).await {
        Ok(connection) => Ok((connection, false)),
        Err(failure) if failure.exit == ExitCode::NotFound => {
            Ok((start(home, program).await?, true))
        }
        Err(failure) => Err(failure),
    }
}

/// Starts an agent in a session of its own, so that it outlives the shell.
///
/// # Errors
/// When it does not come up, with the last lines of its log.
pub async fn start(home: &Home, program: &Path) -> Result<Connection, Failure> {
    let unexpected = |operation: &str, error: &dyn std::fmt::Display| {
        Failure::new(ExitCode::Unexpected, format!("cannot {operation}: {error}"))
    };
    crate::durable::home_folder(home.path())
        .map_err(|error| unexpected(&format!("make {}", home.path().display()), &error))?;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(home.log())
        .map_err(|error| unexpected("open the agent's log", &error))?;
    let mut child = tokio::process::Command::new(program)
        .args(["agent", "run", "--session"])
        .env("LANDFALL_HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .current_dir("/")
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| unexpected("start the agent", &error))?;
    let deadline = tokio::time::Instant::now() + START;
    loop {
        if let Ok(connection) = connect(home).await {
            return Ok(connection);
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() {
            // Another client may have started one at the same moment.
            tokio::time::sleep(Duration::from_millis(200)).await;
            if let Ok(connection) = connect(home).await {
                return Ok(connection);
            }
        }
        if ended.is_some() || tokio::time::Instant::now() >= deadline {
            let lines = tail(home).await;
            return Err(Failure::new(
                ExitCode::Unexpected,
                format!("the agent does not start; its log ends with:\n{lines}"),
            )
            .help(format!("the whole log is {}", home.log().display())));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn tail(home: &Home) -> String {
    let text = tokio::fs::read_to_string(home.log()).await.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

impl Connection {
    /// Asks.
    ///
    /// # Errors
    /// When the agent is gone.
    pub async fn ask(&mut self, request: &Request) -> Result<(), Failure> {
        frame::write_json(&mut self.output, request).await.map_err(|error| broken(&error))
    }

    /// The next reply; a failure is an error.
    ///
    /// # Errors
    /// What the agent says failed, or that it is gone.
    pub async fn reply(&mut self) -> Result<Reply, Failure> {
        match frame::read_json(&mut self.input).await {
            Ok(Reply::Failed(failure)) => Err(failure),
            Ok(reply) => Ok(reply),
            Err(error) => Err(broken(&error)),
        }
    }

    /// The bytes that follow a [`Reply::Output`].
    ///
    /// # Errors
    /// When the agent is gone, or something else follows.
    pub async fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        match frame::read(&mut self.input).await {
            Ok(Frame::Bytes(bytes)) => Ok(bytes),
            Ok(Frame::Json(_)) => Err(Failure::new(ExitCode::Unexpected, "bytes were expected")),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Asks, and takes the one reply.
    ///
    /// # Errors
    /// What the agent says failed, or that it is gone.
    pub async fn request(mut self, request: &Request) -> Result<Reply, Failure> {
        self.ask(request).await?;
        self.reply().await
    }

    /// Sends a blob from a file.
    ///
    /// # Errors
    /// When the file cannot be read, the agent is gone, or does not take it.
    pub async fn put_blob(mut self, digest: Digest, file: &Path) -> Result<(), Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::new(ExitCode::Unexpected, format!("cannot read {}: {error}", file.display()))
        };
        self.ask(&Request::PutBlob { digest }).await?;
        let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let mut piece = vec![0_u8; PIECE];
        loop {
            let read = source.read(&mut piece).await.map_err(unreadable)?;
            frame::write_bytes(&mut self.output, &piece[..read])
                .await
                .map_err(|error| broken(&error))?;
            if read == 0 {
                break;
            }
        }
        self.reply().await.map(|_| ())
    }

    /// The two directions, for a conversation in both at once.
    #[must_use]
    pub fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.input, self.output)
    }
}
