//! A registry that answers what a test says, for what a good one never does.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request: its first line, its headers in lower case, and its body.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn has(&self, text: &str) -> bool {
        self.head.contains(&text.to_lowercase())
    }
}

pub struct Stub {
    pub host: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

/// An answer: its status, its headers with `\r\n` behind each, and its body.
pub type Answer = (u16, String, Vec<u8>);

impl Stub {
    pub async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (keep, answer) = (seen.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (keep, answer) = (keep.clone(), answer.clone());
                tasks.spawn(async move {
                    serve(client, &*answer, &keep).await;
                });
            }
        });
        Self { host, seen, task }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    answer: &(dyn Fn(&Request) -> Answer + Send + Sync),
    keep: &Mutex<Vec<Request>>,
) {
    let mut text = Vec::new();
    let head = loop {
        if let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut buffer = [0; 4096];
        match client.read(&mut buffer).await {
            Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    };
    let headers = String::from_utf8_lossy(&text[..head]).to_string();
    let line = headers.lines().next().unwrap_or_default().to_owned();
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while text.len() < head + length {
        let mut buffer = [0; 4096];
        match client.read(&mut buffer).await {
            Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let body = String::from_utf8_lossy(&text[head..]).to_string();
    let request = Request { line, head: headers, body };
    keep.lock().expect("not poisoned").push(request.clone());
    let (status, headers, body) = answer(&request);
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = client.write_all(head.as_bytes()).await;
    let _ = client.write_all(&body).await;
}
