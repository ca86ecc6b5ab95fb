//! For tests: the hidden verbs of the shim, and a small service that can misbehave.

use landfall_engine::conformance::NoMaterials;
use landfall_engine::{Engine as _, EngineError};
use landfall_engine_local::{
    Isolation, LoadBalancer, LocalEngine, LocalEngineOptions, StackPart, StackStats,
};
use landfall_model::{ListenerName, StackId};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    match verb.to_str() {
        Some("shim") if rest.len() == 1 => landfall_engine_local::shim::run(Path::new(&rest[0])),
        Some("shim-exec") => landfall_engine_local::shim::exec(rest),
        Some("engine") => engine(&texts(&rest)),
        Some("serve") => serve(&texts(&rest)),
        Some("spam") => spam(&texts(&rest)),
        _ => ExitCode::from(2),
    }
}

fn texts(arguments: &[std::ffi::OsString]) -> Vec<String> {
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// `engine FOLDER DESIRED PORT`: an engine that brings about one desired state until it is killed.
fn engine(arguments: &[String]) -> ExitCode {
    let run = async {
        let text = std::fs::read_to_string(&arguments[1]).map_err(|error| error.to_string())?;
        let desired = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let first: u16 = arguments[2].parse().map_err(|_| "a port".to_owned())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut options = LocalEngineOptions::new(
            (&arguments[0]).into(),
            program,
            "boot-1".to_owned(),
            Arc::new(|_: &Path, _: &Path| Err("nothing can be unpacked".to_owned())),
        );
        options.ports = first..=first + 59;
        options.isolate = Isolation::None;
        let engine =
            LocalEngine::open(options, Arc::new(Nobody)).await.map_err(|e| e.to_string())?;
        engine.apply(desired, Arc::new(NoMaterials)).await.map_err(|error| error.to_string())?;
        std::future::pending::<Result<(), String>>().await
    };
    let ended = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(run));
    eprintln!("{ended:?}");
    ExitCode::FAILURE
}

/// A load balancer without clients, and a store without parts.
struct Nobody;

#[async_trait::async_trait]
impl LoadBalancer for Nobody {
    async fn configure(
        &self,
        _: &StackId,
        _: StackPart,
    ) -> Result<BTreeMap<ListenerName, String>, EngineError> {
        Ok(BTreeMap::new())
    }

    async fn stats(&self, _: &StackId) -> Result<StackStats, EngineError> {
        Ok(StackStats::default())
    }
}

/// `serve [after MILLIS] [status CODE]`: answers on `HOST:PORT` with what it knows of itself.
fn serve(arguments: &[String]) -> ExitCode {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    std::thread::sleep(Duration::from_millis(value("after").unwrap_or(0)));
    let address = format!(
        "{}:{}",
        std::env::var("HOST").unwrap_or_default(),
        std::env::var("PORT").unwrap_or_default()
    );
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on {address}");
    let status = value("status").unwrap_or(200);
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream, status));
    }
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream, status: u64) {
    let Ok(copy) = stream.try_clone() else { return };
    let mut line = String::new();
    if BufReader::new(copy.take(8192)).read_line(&mut line).is_err() {
        return;
    }
    // Unhealthy for as long as a file is there.
    let sick = Path::new(&std::env::var("SICK").unwrap_or_default()).exists();
    let status = if sick { 500 } else { status };
    let body = match line.split(' ').nth(1) {
        Some("/pid") => std::process::id().to_string(),
        Some("/folder") => format!("{:?}", std::env::current_dir()),
        Some("/env") => std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect(),
        _ => "fine".to_owned(),
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// `spam LINES LENGTH MILLIS`: numbered lines, evenly over a time.
fn spam(arguments: &[String]) -> ExitCode {
    let number =
        |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (lines, length, millis) = (number(0), number(1), number(2));
    let filler = "x".repeat(usize::try_from(length).unwrap_or(0).saturating_sub(10));
    let begin = Instant::now();
    let mut out = std::io::stdout().lock();
    for line in 0..lines {
        if writeln!(out, "{line:09} {filler}").is_err() {
            return ExitCode::FAILURE;
        }
        let due = Duration::from_millis(millis * line / lines.max(1));
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            std::thread::sleep(early);
        }
    }
    ExitCode::SUCCESS
}
