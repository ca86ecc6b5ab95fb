//! Following a run: its events, Ctrl-C, how it ended, and what a client left when it died.

use crate::arguments::RunArguments;
use crate::deploy::{base, who};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Interrupts;
use crate::target::{Target, odd};
use landfall_model::{ExitCode, Summary};
use landfall_protocol::agent::{Base, Reply, Request};

/// On a cluster, whoever asks drives, so what a client left when it died goes on before anything
/// else does.
///
/// Says whether there was something, so that the world is another one now.
pub async fn finish_what_was_left(target: &Target, base: &Base, output: &Output) -> Result<bool> {
    let Some(run) = base.run.as_ref().filter(|_| target.is_driven_here()) else {
        return Ok(false);
    };
    output.note(&format!(
        "· the {} by {} did not come to its end; going on with it, unless somebody does",
        run.verb, run.by
    ));
    let request = Request::Resume { stack: target.id.clone(), done: None, hook: None };
    let summary = watch(target, &request, output).await?;
    match summary.exit_code {
        code if code == ExitCode::Unknown.code() => {
            let message = summary.message.unwrap_or_else(|| "it waits for an answer".into());
            Err(Failure::new(ExitCode::Unknown, message)
                .help("`landfall resume --hook NAME=done` or `NAME=again` answers it"))
        }
        _ => {
            output.note(&crate::render::summary(&summary, output));
            Ok(true)
        }
    }
}

/// What a change starts from, once nothing is in progress that nobody drives.
pub async fn settled_base(target: &Target, output: &Output) -> Result<Base> {
    let found = base(output, target).await?;
    if finish_what_was_left(target, &found, output).await? {
        return base(output, target).await;
    }
    Ok(found)
}

/// The same request once more, by its key: its run is followed, or its end told again.
pub async fn repeated(
    target: &Target,
    run: &RunArguments,
    base: &Base,
    output: &Output,
) -> Result<Option<ExitCode>> {
    if run.idempotency_key.is_none() || run.idempotency_key != base.idempotency_key {
        return Ok(None);
    }
    output.note("· this was asked for before, by its idempotency key");
    let attach = Request::Attach { stack: target.id.clone() };
    follow(target, &attach, output).await.map(Some)
}

/// Asks for something that is answered with events and a summary, follows it, and says how it
/// ended.
pub async fn follow(target: &Target, request: &Request, output: &Output) -> Result<ExitCode> {
    Ok(conclude(&watch(target, request, output).await?, output))
}

/// Asks for something that is answered with events and a summary, and follows it to its end.
pub async fn watch(target: &Target, request: &Request, output: &Output) -> Result<Summary> {
    let mut interrupts = Interrupts::listen();
    let mut connection = target.agent(output).await?;
    connection.ask(request).await?;
    if target.is_driven_here() {
        output.working("making sure that nobody else changes it");
    }
    let mut asked = false;
    loop {
        tokio::select! {
            reply = connection.reply() => match reply? {
                Reply::Event(event) => output.event(&event),
                Reply::Summary(summary) => return Ok(*summary),
                _ => return Err(odd()),
            },
            () = interrupts.next() => {
                if asked {
                    return Err(left(target).await);
                }
                asked = true;
                output.note(if target.is_driven_here() {
                    "! cancelling; again to leave it where it is"
                } else {
                    "! cancelling; again to leave it to the agent"
                });
                cancel(target).await;
            }
        }
    }
}

/// Whoever asked goes away before the end.
async fn left(target: &Target) -> Failure {
    if target.is_driven_here() {
        target.leave().await;
        return Failure::new(ExitCode::Cancelled, "left: the next command goes on with it")
            .help("`landfall resume` goes on at once, `landfall status` says what serves");
    }
    Failure::new(ExitCode::Cancelled, "left: the agent goes on with it")
        .help("`landfall resume` follows it, `landfall status` says what serves")
}

async fn cancel(target: &Target) {
    let request = Request::Cancel { stack: target.id.clone(), why: format!("by {}", who()) };
    // It may be over already; its summary then says so.
    let _ = target.ask_running(&request).await;
}

/// Says how a run ended.
pub fn conclude(summary: &Summary, output: &Output) -> ExitCode {
    output.summary(summary, || crate::render::summary(summary, output));
    ExitCode::ALL
        .iter()
        .copied()
        .find(|code| code.code() == summary.exit_code)
        .unwrap_or(ExitCode::Unexpected)
}
