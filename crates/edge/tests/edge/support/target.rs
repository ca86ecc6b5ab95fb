//! Servers behind the edge.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What a target does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers requests, and keeps connections.
    Serves,
    /// Answers one request a connection and then closes without a word.
    ClosesQuietly,
    /// Closes each connection before anything is sent.
    Refuses,
    /// Reads something and closes without an answer.
    Swallows,
    /// Sends bytes back.
    Echoes,
}

/// A target on a port of its own. Dropping it kills it.
pub struct TestTarget {
    pub name: String,
    pub address: SocketAddr,
    pub requests: Arc<AtomicU64>,
    pub connections: Arc<AtomicU64>,
    killed: CancellationToken,
}

impl TestTarget {
    pub async fn start(name: &str) -> Self {
        Self::start_as(name, Behaviour::Serves).await
    }

    pub async fn start_as(name: &str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let target = Self {
            name: name.to_owned(),
            address: listener.local_addr().expect("bound"),
            requests: Arc::default(),
            connections: Arc::default(),
            killed: CancellationToken::new(),
        };
        tokio::spawn(accept(listener, target.serving(behaviour), target.killed.clone()));
        target
    }

    fn serving(&self, behaviour: Behaviour) -> Serving {
        Serving {
            behaviour,
            name: self.name.clone(),
            requests: Arc::clone(&self.requests),
            connections: Arc::clone(&self.connections),
        }
    }

    /// Ends it at once, with all its connections.
    pub fn kill(&self) {
        self.killed.cancel();
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for TestTarget {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Clone)]
struct Serving {
    behaviour: Behaviour,
    name: String,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, serving: Serving, killed: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = killed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        serving.connections.fetch_add(1, Ordering::SeqCst);
        let (serving, killed) = (serving.clone(), killed.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = killed.cancelled() => {}
                () = serving.connection(stream) => {}
            }
        });
    }
}

impl Serving {
    async fn connection(self, mut stream: TcpStream) {
        match self.behaviour {
            Behaviour::Refuses => {}
            Behaviour::Swallows => {
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
            }
            Behaviour::Echoes => {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            }
            Behaviour::Serves | Behaviour::ClosesQuietly => self.http(stream).await,
        }
    }

    async fn http(self, stream: TcpStream) {
        let quietly = self.behaviour == Behaviour::ClosesQuietly;
        let done = CancellationToken::new();
        let service = {
            let (serving, done) = (self.clone(), done.clone());
            service_fn(move |request| {
                let (serving, done) = (serving.clone(), done.clone());
                async move {
                    let response = serving.answer(request).await;
                    if quietly {
                        tokio::spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            done.cancel();
                        });
                    }
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            _ = serving => {}
            () = done.cancelled() => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let name = ("x-target", self.name.clone());
        let path = request.uri().path().to_owned();
        let pause = path.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0);
        let respond = Response::builder().header(name.0, &name.1);
        if path.starts_with("/headers") {
            let mut text = format!("{} {}\n", request.method(), request.uri());
            for (field, value) in request.headers() {
                text += &format!("{field}: {}\n", value.to_str().unwrap_or("?"));
            }
            return respond.body(whole(text)).expect("built");
        }
        if path.starts_with("/upgrade") {
            return upgrade(request, respond);
        }
        if path.starts_with("/fail") {
            return respond.status(500).body(whole("sorry")).expect("built");
        }
        if path.starts_with("/hops") {
            let respond = respond.header("connection", "x-hop").header("x-hop", "1");
            return respond.header("keep-alive", "timeout=9").body(whole("hops")).expect("built");
        }
        if path.starts_with("/stream") {
            return respond.body(stream(pause)).expect("built");
        }
        if path.starts_with("/echo") {
            return respond.body(request.into_body().boxed()).expect("built");
        }
        sleep(Duration::from_millis(pause)).await;
        match request.into_body().collect().await {
            Ok(body) => respond.body(whole(format!("{}", body.to_bytes().len()))).expect("built"),
            Err(_) => respond.status(400).body(whole("broken")).expect("built"),
        }
    }
}

fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, hyper::Error> {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// Ten pieces of 1000 bytes with pauses.
fn stream(pause: u64) -> BoxBody<Bytes, hyper::Error> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for _ in 0..10 {
            sleep(Duration::from_millis(pause)).await;
            if sender.send(Ok(Frame::data(Bytes::from(vec![b'x'; 1000])))).await.is_err() {
                return;
            }
        }
    });
    BodyExt::boxed(StreamBody::new(Receiving(receiver)))
}

struct Receiving(tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, hyper::Error>>);

impl futures::Stream for Receiving {
    type Item = Result<Frame<Bytes>, hyper::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

fn upgrade(
    mut request: Request<Incoming>,
    respond: hyper::http::response::Builder,
) -> Response<BoxBody<Bytes, hyper::Error>> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    respond
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(whole(""))
        .expect("built")
}
