//! For tests: the hidden verbs of the shim, and a small service that can misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    match verb.to_str() {
        Some("shim") if rest.len() == 1 => landfall_engine_local::shim::run(Path::new(&rest[0])),
        Some("shim-exec") => landfall_engine_local::shim::exec(rest),
        Some("serve") => serve(&texts(&rest)),
        Some("spam") => spam(&texts(&rest)),
        _ => ExitCode::from(2),
    }
}

fn texts(arguments: &[std::ffi::OsString]) -> Vec<String> {
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
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
