//! `landfall exec`: a command beside an instance.

use crate::arguments::{Global, StackOption};
use crate::failure::{Failure, Result, unexpected, usage};
use crate::output::Output;
use crate::project::target_here;
use crate::target::odd;
use landfall_model::{ExitCode, Summary};
use landfall_protocol::agent::{Reply, Request};
use landfall_protocol::frame::{self, Frame};
use std::io::Write;
use tokio::io::AsyncReadExt;

pub async fn run(
    global: &Global,
    stack: &StackOption,
    service: &str,
    command: Vec<String>,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let service =
        service.parse().map_err(|error: landfall_model::NameError| usage(error.to_string()))?;
    let mut connection = target.running().await?;
    connection.ask(&Request::Exec { stack: target.id.clone(), service, command }).await?;
    let (mut input, mut sender) = connection.split();
    let typing = tokio::spawn(async move {
        let mut keyboard = tokio::io::stdin();
        let mut piece = vec![0_u8; 65_536];
        loop {
            let read = keyboard.read(&mut piece).await.unwrap_or(0);
            if frame::write_bytes(&mut sender, &piece[..read]).await.is_err() || read == 0 {
                // The connection stays open for the answer.
                return sender;
            }
        }
    });
    let ended = answers(&mut input, output).await;
    typing.abort();
    let code = ended? & 0xff;
    if output.json() {
        let mut summary = Summary::new(ExitCode::Done, None);
        summary.exit_code = u8::try_from(code).unwrap_or(u8::MAX);
        "exited".clone_into(&mut summary.outcome);
        output.summary(&summary, String::new);
    }
    // The exit code is the command's own; for people nothing of ours is printed. A reading thread
    // may still wait for the terminal, so the process ends here.
    let _ = std::io::stdout().flush();
    std::process::exit(code);
}

async fn answers(input: &mut (impl tokio::io::AsyncRead + Unpin), output: &Output) -> Result<i32> {
    let broken = |error: frame::FrameError| unexpected("follow the command", &error);
    loop {
        let reply: Reply = frame::read_json(input).await.map_err(broken)?;
        match reply {
            Reply::Output { error } => {
                let Frame::Bytes(bytes) = frame::read(input).await.map_err(broken)? else {
                    return Err(odd());
                };
                let written = if output.json() {
                    let text = String::from_utf8_lossy(&bytes);
                    let value = serde_json::json!({ "error": error, "text": text });
                    output.answer("output", &value, String::new);
                    Ok(())
                } else if error {
                    std::io::stderr().write_all(&bytes)
                } else {
                    std::io::stdout().write_all(&bytes)
                };
                if written.is_err() {
                    return Err(Failure::new(ExitCode::Unexpected, "nobody reads the output"));
                }
            }
            Reply::Exit { code } => return Ok(code),
            Reply::Failed(failure) => return Err(failure),
            _ => return Err(odd()),
        }
    }
}
