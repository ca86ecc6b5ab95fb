//! Metrics for Prometheus, in its text format.

use crate::count::{BOUNDS, ListenerCount};
use crate::edge::Edge;
use crate::table::RouteAction;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a scrape may take.
const SCRAPE: Duration = Duration::from_secs(10);
/// How long to wait for the address, which an older edge may still have.
const AGAIN: Duration = Duration::from_secs(1);
/// How many scrapes run at once.
const SCRAPES: usize = 16;

/// Serves metrics for ever, or does nothing for ever without an address.
pub(crate) async fn serve(edge: &Arc<Edge>, address: Option<SocketAddr>) {
    let Some(address) = address else { return std::future::pending().await };
    let listener = bind(address).await;
    let permits = Arc::new(Semaphore::new(SCRAPES));
    let mut scrapes = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let edge = Arc::clone(edge);
                scrapes.spawn(async move {
                    drop(timeout(SCRAPE, scrape(edge, stream)).await);
                    drop(permit);
                });
            }
            Err(_) => sleep(AGAIN).await,
        }
        while scrapes.try_join_next().is_some() {}
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !said => {
                tracing::warn!(%address, %error, "metrics wait for their address");
                said = true;
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

async fn scrape(edge: Arc<Edge>, stream: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(&edge, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a scrape broke off");
    }
}

fn answer(edge: &Edge, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if *request.method() == Method::GET {
        *response.body_mut() = Full::from(render(edge));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    } else {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    response
}

/// Writes the exposition.
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to a string cannot fail");
    }
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Counters of listeners by their labels.
type Listeners = Vec<(String, Arc<ListenerCount>)>;

fn render(edge: &Edge) -> String {
    const OPEN: &str = "landfall_edge_open_connections";
    let mut out = Exposition(String::new());
    let labelled = |((stack, name), count): ((String, String), _)| {
        (format!("stack=\"{}\",listener=\"{}\"", label(&stack), label(&name)), count)
    };
    let listeners: Listeners = edge.live.listeners().into_iter().map(labelled).collect();
    requests(&mut out, &listeners);
    latency(&mut out, &listeners);
    connections(&mut out, &listeners);
    out.family(
        "landfall_edge_hello_failures_total",
        "counter",
        "TLS connections that ended before their listener was known.",
    );
    let value = edge.failed_hellos.load(Relaxed);
    out.line(format_args!("landfall_edge_hello_failures_total {value}"));
    out.family(OPEN, "gauge", "Connections of clients that are served.");
    out.line(format_args!("{OPEN} {}", edge.open_connections()));
    stacks(&mut out, edge);
    targets(&mut out, edge);
    out.0
}

fn requests(out: &mut Exposition, listeners: &Listeners) {
    const NAME: &str = "landfall_edge_requests_total";
    out.family(NAME, "counter", "Answers by the class of their status.");
    for (labels, count) in listeners {
        for (index, counter) in count.answers.iter().enumerate() {
            let (class, value) = (index + 1, counter.load(Relaxed));
            out.line(format_args!("{NAME}{{{labels},code=\"{class}xx\"}} {value}"));
        }
    }
}

fn connections(out: &mut Exposition, listeners: &Listeners) {
    const TAKEN: &str = "landfall_edge_connections_total";
    const FAILED: &str = "landfall_edge_handshake_failures_total";
    out.family(TAKEN, "counter", "Connections taken from clients.");
    for (labels, count) in listeners {
        let value = count.connections.load(Relaxed);
        out.line(format_args!("{TAKEN}{{{labels}}} {value}"));
    }
    out.family(FAILED, "counter", "TLS handshakes that failed after the listener was known.");
    for (labels, count) in listeners {
        let value = count.handshake_failures.load(Relaxed);
        out.line(format_args!("{FAILED}{{{labels}}} {value}"));
    }
}

fn latency(out: &mut Exposition, listeners: &Listeners) {
    const NAME: &str = "landfall_edge_answer_seconds";
    out.family(NAME, "histogram", "From a request's head to its answer's head.");
    for (labels, count) in listeners {
        let mut total = 0;
        for (bound, counter) in BOUNDS.iter().zip(&count.latency) {
            total += counter.load(Relaxed);
            let (seconds, millis) = (bound / 1_000, bound % 1_000);
            out.line(format_args!(
                "{NAME}_bucket{{{labels},le=\"{seconds}.{millis:03}\"}} {total}"
            ));
        }
        total += count.latency[BOUNDS.len()].load(Relaxed);
        let micros = count.latency_micros.load(Relaxed);
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        out.line(format_args!("{NAME}_bucket{{{labels},le=\"+Inf\"}} {total}"));
        out.line(format_args!("{NAME}_sum{{{labels}}} {seconds}.{micros:06}"));
        out.line(format_args!("{NAME}_count{{{labels}}} {total}"));
    }
}

fn stacks(out: &mut Exposition, edge: &Edge) {
    let stats = edge.stats();
    out.family("landfall_edge_ended_total", "counter", "What did not go well, by how it ended.");
    for (stack, measured) in &stats.measured {
        let stack = label(stack);
        for (how, value) in [
            ("lost", measured.lost),
            ("cut", measured.cut),
            ("error", measured.errors),
            ("unavailable", measured.unavailable),
        ] {
            out.line(format_args!(
                "landfall_edge_ended_total{{stack=\"{stack}\",how=\"{how}\"}} {value}"
            ));
        }
    }
    out.family("landfall_edge_running", "gauge", "Running requests and opaque connections.");
    for (group, value) in &stats.connections {
        let group = label(group);
        out.line(format_args!("landfall_edge_running{{group=\"{group}\"}} {value}"));
    }
    out.family("landfall_edge_revision", "gauge", "The configuration in force.");
    out.line(format_args!("landfall_edge_revision {}", stats.revision));
}

fn targets(out: &mut Exposition, edge: &Edge) {
    const NAME: &str = "landfall_edge_targets_healthy";
    out.family(NAME, "gauge", "Targets that a listener may send something new to.");
    let table = edge.router.table();
    let mut seen = std::collections::BTreeMap::new();
    for at in table.addresses.values() {
        for route in at.exact.values().chain(at.wildcard.values()).chain(&at.default) {
            let RouteAction::Forward(shares) = &route.action else { continue };
            let healthy: usize = shares.iter().map(|share| share.targets.len()).sum();
            seen.insert(route.key.clone(), healthy);
        }
    }
    for ((stack, listener), healthy) in seen {
        let (stack, listener) = (label(&stack), label(&listener));
        out.line(format_args!("{NAME}{{stack=\"{stack}\",listener=\"{listener}\"}} {healthy}"));
    }
}
