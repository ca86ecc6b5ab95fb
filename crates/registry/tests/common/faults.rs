//! A proxy before a registry whose first connections go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to a connection.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is answered with this status and these headers.
    Answer(u16, &'static str),
    /// It is closed by a reset before anything is answered.
    Reset,
    /// It works until so many bytes came from the client, then it is reset.
    CutAfter(usize),
    /// Nothing is answered.
    Silence,
}

pub struct Faulty {
    pub host: String,
    /// How many connections there were.
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Faulty {
    /// A proxy to `registry`: its first connections have these faults, and all others none.
    pub async fn before(registry: &str, faults: &'static [Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, registry) = (connections.clone(), registry.to_owned());
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let fault = faults.get(count.fetch_add(1, Ordering::SeqCst)).copied();
                tasks.spawn(serve(client, registry.clone(), fault));
            }
        });
        Self { host, connections, task }
    }

    pub fn seen(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, registry: String, fault: Option<Fault>) {
    let mut buffer = vec![0; 16 * 1024];
    match fault {
        Some(Fault::Answer(status, headers)) => {
            let _ = client.read(&mut buffer).await;
            let text = format!(
                "HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = client.write_all(text.as_bytes()).await;
        }
        Some(Fault::Reset) => {
            let _ = client.read(&mut buffer).await;
            let _ = client.set_zero_linger();
        }
        Some(Fault::Silence) => {
            while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        }
        Some(Fault::CutAfter(most)) => {
            let mut server = TcpStream::connect(&registry).await.expect("the registry");
            let mut back = vec![0; 16 * 1024];
            let mut passed = 0;
            while passed < most {
                tokio::select! {
                    read = client.read(&mut buffer) => match read {
                        Ok(count) if count > 0 => {
                            passed += count;
                            if server.write_all(&buffer[..count]).await.is_err() { break; }
                        }
                        _ => break,
                    },
                    read = server.read(&mut back) => match read {
                        Ok(count) if count > 0 => {
                            if client.write_all(&back[..count]).await.is_err() { break; }
                        }
                        _ => break,
                    },
                }
            }
            let _ = client.set_zero_linger();
        }
        None => {
            let mut server = TcpStream::connect(&registry).await.expect("the registry");
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    }
}
