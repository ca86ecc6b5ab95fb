//! Clients: one request a connection, with and without TLS; and a load of them.

use landfall_testkit::client::{connect, trusting};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The whole answer to one request, head and body.
pub fn get(port: u16, path: &str) -> Result<String> {
    ask(&mut connect(port)?, path)
}

/// The same over TLS, trusting the authority in this file and nobody else.
pub fn get_tls(authority: &Path, port: u16, path: &str) -> Result<String> {
    let session = trusting(&std::fs::read_to_string(authority)?)?;
    ask(&mut rustls::StreamOwned::new(session, connect(port)?), path)
}

fn ask(stream: &mut (impl Read + Write), path: &str) -> Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(answer),
        false => Err(Error::new(ErrorKind::InvalidData, format!("no 200: {answer:?}"))),
    }
}

/// A client that asks again and again, a connection each time, and forgives nothing.
pub struct Load {
    enough: Arc<AtomicBool>,
    asking: JoinHandle<(u64, Vec<String>)>,
}

impl Load {
    /// Asks for this path, and wants an answer that says this.
    pub fn start(port: u16, path: &'static str, says: &'static str) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let asking = std::thread::spawn(move || {
            let (mut asked, mut lost) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                asked += 1;
                match get(port, path) {
                    Ok(answer) if answer.contains(says) => {}
                    Ok(answer) => lost.push(answer),
                    Err(error) => lost.push(error.to_string()),
                }
            }
            (asked, lost)
        });
        Self { enough, asking }
    }

    /// Stops, and panics when a request was not answered.
    #[track_caller]
    pub fn assert_nothing_lost(self) {
        self.enough.store(true, Ordering::Relaxed);
        let (asked, lost) = self.asking.join().expect("the load ends");
        assert_eq!(lost, Vec::<String>::new(), "of {asked}");
        assert!(asked > 10, "only {asked} requests");
        eprintln!("{asked} requests, each answered");
    }
}
