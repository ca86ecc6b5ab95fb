//! `landfall agent`, and the hidden verbs under which the program is agent, edge and shim.

use crate::arguments::AgentCommand;
use crate::failure::{Failure, Result, unexpected};
use crate::output::Output;
use crate::project::app_and_stack;
use crate::target::{Target, program};
use landfall_agent::{AgentError, Home, Options, client};
use landfall_engine_kubernetes::Address;
use landfall_model::ExitCode;
use landfall_protocol::agent::{Reply, Request};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where metrics are unless `LANDFALL_METRICS` says otherwise.
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 7464);
/// How long an agent may take to end.
const STOP: Duration = Duration::from_secs(20);

pub async fn run(command: AgentCommand, output: &Output) -> Result<ExitCode> {
    let home = Home::find();
    let message = match command {
        AgentCommand::Start => {
            let (_, started) = client::connect_or_start(&home, &program()?).await?;
            let word = if started { "started" } else { "runs already" };
            format!("the agent for {} {word}", home.path().display())
        }
        AgentCommand::Stop => {
            stop(&home).await?;
            "the agent is stopped; what serves goes on serving".into()
        }
        AgentCommand::Restart => {
            stop(&home).await?;
            client::start(&home, &program()?).await?;
            format!("landfall {} took over", env!("CARGO_PKG_VERSION"))
        }
        AgentCommand::Unit => {
            output.text("unit", &unit(&program()?, &home));
            return Ok(ExitCode::Done);
        }
        AgentCommand::Run { in_cluster: Some(stack), namespace, .. } => {
            return in_cluster(&stack, namespace).await;
        }
        AgentCommand::Run { session, .. } => return be(session),
    };
    output.answer("agent", &serde_json::json!({ "message": message }), || message.clone());
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

/// Goes on with what nobody drives any more, until it is told to stop.
async fn in_cluster(stack: &str, namespace: Option<String>) -> Result<ExitCode> {
    log();
    let id = app_and_stack(stack)?;
    let target = Target::cluster(id, Address { namespace, ..Address::default() }, None);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| unexpected("listen for signals", &error))?;
    tokio::select! {
        stayed = target.stay() => stayed?,
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    target.leave().await;
    Ok(ExitCode::Done)
}

/// Ends the agent and waits until it is gone.
async fn stop(home: &Home) -> Result<()> {
    let connection = match client::connect(home).await {
        Ok(connection) => connection,
        Err(failure) if failure.exit == ExitCode::NotFound => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let Reply::Doctor(doctor) = connection.request(&Request::Doctor).await? else {
        return Err(crate::target::odd());
    };
    client::connect(home).await?.request(&Request::Stop).await?;
    let deadline = tokio::time::Instant::now() + STOP;
    let process = PathBuf::from(format!("/proc/{}", doctor.pid));
    while running(&process) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if running(&process) {
        return Err(Failure::new(
            ExitCode::Unknown,
            format!("the agent (pid {}) does not end", doctor.pid),
        ));
    }
    Ok(())
}

/// Whether a process is there and no zombie.
fn running(process: &Path) -> bool {
    std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

fn metrics() -> Result<Option<SocketAddr>> {
    match std::env::var("LANDFALL_METRICS").as_deref() {
        Ok("off") => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|_| {
            crate::failure::usage(format!("LANDFALL_METRICS is `{text}`"))
                .help("write an address and port, or `off`")
        }),
        Err(_) => Ok(Some(METRICS.into())),
    }
}

fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("LANDFALL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Is the agent.
pub fn be(session: bool) -> Result<ExitCode> {
    if session {
        // A session of its own, so that it outlives the shell it was started from. It fails only
        // for a process that leads a group already, which then has what it needs.
        let _ = rustix::process::setsid();
    }
    log();
    let options = Options { home: Home::find(), program: program()?, metrics: metrics()? };
    super::runtime(true)?.block_on(async {
        landfall_agent::serve(options).await.map(|()| ExitCode::Done).map_err(|error| {
            let exit = match &error {
                AgentError::Running(_) => ExitCode::Locked,
                AgentError::Store(landfall_store::StoreError::Corrupt { .. }) => {
                    ExitCode::Integrity
                }
                _ => ExitCode::Unexpected,
            };
            Failure::new(exit, error.to_string())
        })
    })
}

/// Is the edge.
pub fn edge(socket: PathBuf, metrics: Option<SocketAddr>) -> std::process::ExitCode {
    log();
    let mut options = landfall_edge::EdgeOptions::new(socket);
    options.metrics = metrics;
    match landfall_edge::run(options) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the edge ends");
            std::process::ExitCode::from(ExitCode::Unexpected.code())
        }
    }
}

fn unit(program: &Path, home: &Home) -> String {
    let root = rustix::process::geteuid().is_root();
    let (place, target) = if root {
        ("/etc/systemd/system/landfall.service", "multi-user.target")
    } else {
        ("~/.config/systemd/user/landfall.service", "default.target")
    };
    let capability = if root {
        ""
    } else {
        "# For ports below 1024 use a system unit with User= and:\n# AmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    };
    format!(
        "# {place}\n[Unit]\nDescription=Landfall agent\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nExecStart={} agent run\nEnvironment=LANDFALL_HOME={}\nRestart=always\nRestartSec=1\n# Instances and the edge outlive the agent.\nKillMode=process\nDelegate=yes\nDelegateSubgroup=agent\nLimitNOFILE=1048576\nTasksMax=infinity\n{capability}\n[Install]\nWantedBy={target}\n",
        program.display(),
        home.path().display()
    )
}
