//! The agent's and the edge's counters in Prometheus's text format, on a local address.

use crate::agent::Shared;
use landfall_model::{Measured, StackId};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long somebody who scrapes may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `/metrics`; on another port of the same address when the wanted one is taken.
pub(crate) async fn serve(shared: &Arc<Shared>, address: SocketAddr) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((address.ip(), 0)).await,
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%address, %error, "no metrics");
            return;
        }
    };
    if let Ok(address) = listener.local_addr() {
        if let Ok(host) = shared.ground.host() {
            let _ = host.metrics.set(address);
        }
        tracing::info!(%address, "metrics");
    }
    let shared = Arc::clone(shared);
    shared.clone().tasks.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let shared = Arc::clone(&shared);
            shared.clone().tasks.spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, answer(&shared, stream)).await;
            });
        }
    });
}

async fn answer(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0_u8; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 16_384 {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let found = request.starts_with(b"GET /metrics ");
    let (status, body) =
        if found { ("200 OK", text(shared).await) } else { ("404 Not Found", String::new()) };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
}

fn family(text: &mut String, family: &Family<'_>, samples: &[(String, u64)]) {
    let Family { name, kind, help } = family;
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}

async fn text(shared: &Shared) -> String {
    let mut text = String::new();
    let stacks = shared.stacks();
    let label = |id: &StackId| format!("app=\"{}\",stack=\"{}\"", id.app, id.stack);
    let mut serving = Vec::new();
    let mut running = Vec::new();
    let mut instances = Vec::new();
    let mut measured = Vec::new();
    let mut expiry = Vec::new();
    for stack in &stacks {
        let base = label(&stack.id);
        let release = stack.serving();
        serving.push((base.clone(), release.as_ref().map_or(0, |it| it.release.number.0)));
        running.push((base.clone(), u64::from(stack.run().is_some())));
        let observed = shared.engine.watch(&stack.id).borrow().clone();
        measured.push((base.clone(), observed.measured));
        for (id, status) in &observed.groups {
            for (state, count) in
                [("wanted", status.wanted), ("running", status.running), ("ready", status.ready)]
            {
                instances.push((
                    format!(
                        "{base},service=\"{}\",release=\"{}\",state=\"{state}\"",
                        id.service, id.release
                    ),
                    u64::from(count),
                ));
            }
        }
        for (name, certificate) in release.iter().flat_map(|it| &it.release.content.certificates) {
            expiry.push((format!("{base},certificate=\"{name}\""), certificate.not_after.0 / 1000));
        }
    }
    let gauge = |name, help| Family { name, kind: "gauge", help };
    let counter = |name, help| Family { name, kind: "counter", help };
    family(
        &mut text,
        &gauge("landfall_serving_release", "Number of the release that serves; 0 when none does."),
        &serving,
    );
    family(
        &mut text,
        &gauge("landfall_run_in_progress", "1 while the stack is being changed."),
        &running,
    );
    family(
        &mut text,
        &gauge("landfall_instances", "Instances by service, release and state."),
        &instances,
    );
    family(
        &mut text,
        &gauge(
            "landfall_certificate_expiry_timestamp_seconds",
            "End of validity of the certificates that serve.",
        ),
        &expiry,
    );
    let of = |value: fn(&Measured) -> u64| -> Vec<(String, u64)> {
        measured.iter().map(|(labels, it)| (labels.clone(), value(it))).collect()
    };
    family(
        &mut text,
        &counter("landfall_requests_total", "Requests taken from clients."),
        &of(|it| it.requests),
    );
    family(
        &mut text,
        &counter("landfall_connections_total", "Connections taken from clients."),
        &of(|it| it.connections),
    );
    family(
        &mut text,
        &counter("landfall_lost_total", "Requests or connections lost because of a change."),
        &of(|it| it.lost),
    );
    family(
        &mut text,
        &counter("landfall_cut_total", "Connections cut at the end of a drain."),
        &of(|it| it.cut),
    );
    family(
        &mut text,
        &counter("landfall_application_errors_total", "Answers of 500 to 599 by the application."),
        &of(|it| it.errors),
    );
    family(
        &mut text,
        &counter(
            "landfall_unavailable_total",
            "Requests answered with 503 because nobody was healthy.",
        ),
        &of(|it| it.unavailable),
    );
    let edge = match shared.ground.host() {
        Ok(host) => host.edge.state().await.is_some_and(|(_, answers)| answers),
        Err(_) => false,
    };
    let edge = u64::from(edge);
    let _ = writeln!(
        text,
        "# HELP landfall_edge_up 1 when the edge answers.\n# TYPE landfall_edge_up gauge\nlandfall_edge_up {edge}"
    );
    text
}
