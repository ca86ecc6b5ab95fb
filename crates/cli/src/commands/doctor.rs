//! `landfall doctor`: what runs, what is missing, what to do.

use crate::failure::Result;
use crate::output::Output;
use crate::render;
use crate::target::{ask_running_host, odd};
use landfall_agent::{Home, now};
use landfall_model::{ExitCode, Severity};
use landfall_protocol::agent::{Reply, Request};

pub async fn run(output: &Output) -> Result<ExitCode> {
    let reply = ask_running_host(&Request::Doctor).await;
    let doctor = match reply {
        Ok(Reply::Doctor(doctor)) => doctor,
        Ok(_) => return Err(odd()),
        Err(failure) if failure.exit == ExitCode::NotFound => {
            let home = Home::find();
            output.answer("doctor", &serde_json::json!({ "running": false, "home": home.path() }), || {
                format!("no agent runs for {}; `landfall agent start` starts it, as does `landfall up`", home.path().display())
            });
            output.done(ExitCode::Done);
            return Ok(ExitCode::Done);
        }
        Err(failure) => return Err(failure),
    };
    output.answer("doctor", &doctor, || {
        let edge = match doctor.edge {
            Some((pid, true)) => format!("pid {pid}, answers"),
            Some((pid, false)) => format!("pid {pid}, does not answer"),
            None => "not needed yet".into(),
        };
        let metrics =
            doctor.metrics.map_or_else(|| "none".into(), |address| format!("http://{address}/metrics"));
        format!(
            "agent    landfall {}, pid {}, since {}\nfolder   {}\nedge     {edge}\nmetrics  {metrics}",
            doctor.version,
            doctor.pid,
            render::ago(doctor.since, now()),
            doctor.home
        )
    });
    for finding in &doctor.findings {
        output.finding(finding);
    }
    let bad = doctor.findings.iter().any(|finding| finding.severity == Severity::Error);
    let code = if bad { ExitCode::Degraded } else { ExitCode::Done };
    output.done(code);
    Ok(code)
}
