//! `landfall verify`: whether what serves is as it should be.

use crate::arguments::{Global, StackArgument};
use crate::failure::Result;
use crate::output::Output;
use crate::project::target_here;
use crate::target::odd;
use landfall_model::{ExitCode, Summary};
use landfall_protocol::agent::{Reply, Request};
use std::fmt::Write as _;

pub async fn run(global: &Global, stack: &StackArgument, output: &Output) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let Reply::Verified { checks, serving } =
        target.ask_running(&Request::Verify { stack: target.id.clone() }).await?
    else {
        return Err(odd());
    };
    let good = checks.iter().all(|check| check.good);
    let code = match (good, serving) {
        (true, _) => ExitCode::Done,
        (false, None) => ExitCode::Failed,
        (false, Some(_)) => ExitCode::Degraded,
    };
    output.answer("verification", &serde_json::json!({ "checks": checks }), || {
        let mut text = String::new();
        for check in &checks {
            let mark =
                if check.good { output.paint("✓", "32") } else { output.paint("✗", "31") };
            let _ =
                writeln!(text, "{mark} {}: {}", check.name, check.message.replace('\n', "\n  "));
        }
        text
    });
    output.summary(&Summary::new(code, serving), String::new);
    Ok(code)
}
