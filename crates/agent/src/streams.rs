//! What is longer than one answer: blobs, log lines, a command beside an instance.

use crate::agent::Shared;
use crate::server::{known, store_failure, within};
use crate::stack::Stack;
use futures::StreamExt;
use landfall_engine::{EngineError, ExecRequest, LogQuery, SessionOutput};
use landfall_model::{ExitCode, ServiceName};
use landfall_protocol::agent::{Failure, Reply};
use landfall_protocol::frame::{self, Frame, FrameError};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// How long a client may take for one piece of a blob.
const PIECE: Duration = Duration::from_secs(60);

pub(crate) async fn put_blob(
    shared: &Arc<Shared>,
    digest: &landfall_model::Digest,
    input: &mut OwnedReadHalf,
) -> Result<Reply, FrameError> {
    use tokio::io::AsyncWriteExt;
    let folder = shared.uploads.clone();
    crate::durable::private_folder(&folder)?;
    let file = folder.join(format!("{}.{}", digest.hex(), shared.upload()));
    let mut output = tokio::fs::File::create(&file).await?;
    let received = loop {
        match within(PIECE, frame::read(input)).await {
            Ok(Frame::Bytes(bytes)) if bytes.is_empty() => break Ok(()),
            Ok(Frame::Bytes(bytes)) => {
                if let Err(error) = output.write_all(&bytes).await {
                    break Err(error.into());
                }
            }
            Ok(Frame::Json(_)) => break Err(FrameError::Kind(b'J')),
            Err(error) => break Err(error),
        }
    };
    let received = match received {
        Ok(()) => output.flush().await.map_err(FrameError::from),
        Err(error) => Err(error),
    };
    drop(output);
    let stored = match received {
        Ok(()) => shared.store.put_blob_file(&file).await,
        Err(error) => {
            let _ = tokio::fs::remove_file(&file).await;
            return Err(error);
        }
    };
    let _ = tokio::fs::remove_file(&file).await;
    Ok(match stored {
        Ok((found, _)) if found == *digest => Reply::End,
        Ok((found, _)) => Reply::Failed(Failure::new(
            ExitCode::Integrity,
            format!("the blob that arrived is {found}, not {digest}"),
        )),
        Err(error) => Reply::Failed(store_failure(error)),
    })
}

pub(crate) async fn logs(
    shared: &Arc<Shared>,
    query: LogQuery,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, &query.stack)?;
    let stranger = query.service.clone().filter(|service| !runs(shared, &stack, service));
    let follow = query.follow && stranger.is_none();
    let mut lines = shared.engine.logs(LogQuery { follow, ..query });
    let mut none = true;
    while let Some(line) = lines.next().await {
        none = false;
        let line = line.map_err(engine_failure)?;
        let reply = Reply::Log {
            at: line.at,
            group: line.group,
            instance: line.instance,
            error: line.error,
            text: line.text,
        };
        if replies.send(reply).await.is_err() {
            return Ok(());
        }
    }
    if let (Some(service), true) = (stranger, none) {
        let message = format!("{} has no service {service}, and no lines of one", stack.id);
        return Err(Failure::new(ExitCode::NotFound, message)
            .help("`landfall status` names what runs; without a name come the lines of all"));
    }
    let _ = replies.send(Reply::End).await;
    Ok(())
}

/// Whether a service runs, or is about to.
fn runs(shared: &Shared, stack: &Stack, service: &ServiceName) -> bool {
    let serves =
        stack.serving().is_some_and(|it| it.release.content.services.contains_key(service));
    serves || shared.engine.watch(&stack.id).borrow().groups.keys().any(|it| it.service == *service)
}

fn engine_failure(error: EngineError) -> Failure {
    let exit = match &error {
        EngineError::NotFound(_) => ExitCode::NotFound,
        _ => ExitCode::Unexpected,
    };
    Failure::new(exit, error.to_string())
}

pub(crate) async fn exec(
    shared: &Arc<Shared>,
    request: ExecRequest,
    mut input: OwnedReadHalf,
    mut output: OwnedWriteHalf,
) -> Result<(), FrameError> {
    let known = known(shared, &request.stack);
    let session = match known {
        Ok(_) => shared.engine.exec(request).await.map_err(engine_failure),
        Err(failure) => Err(failure),
    };
    let mut session = match session {
        Ok(session) => session,
        Err(failure) => return frame::write_json(&mut output, &Reply::Failed(failure)).await,
    };
    let keyboard = session.input;
    let typing = async move {
        loop {
            match frame::read(&mut input).await {
                Ok(Frame::Bytes(bytes)) if bytes.is_empty() => return true,
                Ok(Frame::Bytes(bytes)) => {
                    let _ = keyboard.send(bytes).await;
                }
                _ => return false,
            }
        }
    };
    tokio::pin!(typing);
    let mut typed = false;
    loop {
        tokio::select! {
            ended = &mut typing, if !typed => {
                if !ended {
                    return Ok(());
                }
                typed = true;
            }
            event = session.output.recv() => match event {
                Some(SessionOutput::Stdout(bytes)) => write_output(&mut output, false, &bytes).await?,
                Some(SessionOutput::Stderr(bytes)) => write_output(&mut output, true, &bytes).await?,
                Some(SessionOutput::Exit(code)) => {
                    return frame::write_json(&mut output, &Reply::Exit { code }).await;
                }
                None => {
                    let failure = Failure::new(ExitCode::Unknown, "the command is gone");
                    return frame::write_json(&mut output, &Reply::Failed(failure)).await;
                }
            },
        }
    }
}

async fn write_output(
    output: &mut OwnedWriteHalf,
    error: bool,
    bytes: &[u8],
) -> Result<(), FrameError> {
    frame::write_json(output, &Reply::Output { error }).await?;
    frame::write_bytes(output, bytes).await
}
