//! Whether what serves is as it should be: instances, listeners, certificates, drift.

use crate::agent::Shared;
use crate::objects::at_rest;
use crate::server::known;
use crate::{clock, stack::Stack};
use landfall_model::{
    Content, Difference, ExitCode, Fence, GroupId, ListenerName, Observed, Release, Revision,
    StackId, Timestamp,
};
use landfall_protocol::agent::{Check, Failure, Reply};
use landfall_rollout::{Record, State};
use landfall_store::seal::digest_of;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a listener may take to answer, and an engine to come as far as the journal.
const PATIENCE: Duration = Duration::from_secs(5);
/// A certificate that ends sooner than this is worth a word.
const SOON: u64 = 14 * 86_400_000;

pub(crate) async fn verify(shared: &Arc<Shared>, id: &StackId) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let observed = settled(shared, &stack).await;
    let Some(serving) = stack.serving() else {
        let check = Check { name: "serving".into(), good: false, message: "nothing serves".into() };
        return Ok(Reply::Verified { checks: vec![check], serving: None });
    };
    let content = &serving.release.content;
    let mut checks = instances(&observed);
    checks.push(drift(&stack, &observed));
    if stack.last().is_some_and(|last| last.state.ended().is_some()) {
        checks.extend(changed(shared, id, &serving.release).await?);
    }
    for name in content.listeners.keys() {
        checks.push(listener(content, name, &observed).await);
    }
    checks.extend(certificates(content, clock::now()));
    Ok(Reply::Verified { checks, serving: Some(serving.release.number) })
}

/// What the engine sees, once it has come as far as the journal: for a moment after a change, and
/// after the agent's own start, it is on its way there.
pub(crate) async fn settled(shared: &Shared, stack: &Stack) -> Observed {
    let mut reports = shared.engine.watch(&stack.id);
    let arrived = |report: &Observed| {
        stack.last().is_none_or(|last| {
            report.accepted >= fence(stack, &last) && report.traffic == last.state.shape.weights
        })
    };
    let arrives = async { reports.wait_for(arrived).await.map(|report| report.clone()) };
    match tokio::time::timeout(PATIENCE, arrives).await {
        Ok(Ok(report)) => report,
        _ => shared.engine.watch(&stack.id).borrow().clone(),
    }
}

fn fence(stack: &Stack, last: &Record) -> Fence {
    Fence { epoch: stack.epoch(), revision: Revision(last.sequence.0) }
}

fn instances(observed: &Observed) -> Vec<Check> {
    observed
        .groups
        .iter()
        .map(|(id, status)| Check {
            name: format!("instances of {id}"),
            good: status.ready >= status.wanted && !status.crash_loop,
            message: match &status.failing {
                Some(why) => format!("{} of {} healthy: {why}", status.ready, status.wanted),
                None => format!("{} of {} healthy", status.ready, status.wanted),
            },
        })
        .collect()
}

/// Each object that is not as it was written.
async fn changed(shared: &Shared, id: &StackId, serving: &Release) -> Result<Vec<Check>, Failure> {
    let wanted = at_rest(id, serving.clone());
    let found = shared.engine.differences(&wanted).await;
    let found = found.map_err(|error| Failure::new(ExitCode::Unexpected, error.to_string()))?;
    let mut of_objects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Difference { object, path, live, wanted, .. } in found {
        let words = match (live, wanted) {
            _ if path.is_empty() => "is missing, or should not be there".to_owned(),
            (Some(live), Some(wanted)) => format!("{path} is {live} and should be {wanted}"),
            (None, Some(wanted)) => format!("{path} should be {wanted}"),
            (Some(live), None) => format!("{path} is {live} and should not be there"),
            (None, None) => continue,
        };
        of_objects.entry(object).or_default().push(words);
    }
    let checks = of_objects.into_iter().map(|(name, words)| Check {
        name,
        good: false,
        message: words.join("; "),
    });
    Ok(checks.collect())
}

/// What was told is what is in force.
fn drift(stack: &Stack, observed: &Observed) -> Check {
    let name = "drift".to_owned();
    let Some(last) = stack.last() else {
        return Check { name, good: false, message: "there is no journal".into() };
    };
    let fence = fence(stack, &last);
    let State { shape, .. } = &last.state;
    let message = if observed.accepted != fence {
        Some(format!("the engine is at {}, the journal at {fence}", observed.accepted))
    } else if observed.traffic != shape.weights {
        Some("traffic does not go where the journal says".into())
    } else if !observed.problems.is_empty() {
        Some(observed.problems.join("; "))
    } else {
        let unknown: Vec<String> = observed
            .groups
            .keys()
            .filter(|id| !shape.groups.contains_key(*id))
            .map(ToString::to_string)
            .collect();
        (!unknown.is_empty()).then(|| format!("{} should not run", unknown.join(", ")))
    };
    Check { name, good: message.is_none(), message: message.unwrap_or_else(|| "none".into()) }
}

async fn listener(content: &Content, name: &ListenerName, observed: &Observed) -> Check {
    let title = format!("listener {name}");
    let bad = |message: String| Check { name: title.clone(), good: false, message };
    let Some(listener) = content.listeners.get(name) else { return bad("unknown".into()) };
    if !observed.traffic.contains_key(name) {
        return bad("it is not open".into());
    }
    let elsewhere = observed.reached.get(name);
    if let Some(words) = elsewhere.filter(|_| listener.balancer.is_some()) {
        return on_a_cluster(title, words, observed.traffic.get(name)).await;
    }
    let address = reachable(listener.listen);
    let connect = tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await;
    let stream = match connect {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return bad(format!("{address}: {error}")),
        Err(_) => return bad(format!("{address} does not answer")),
    };
    if !listener.protocol.terminates_tls() {
        return Check { name: title, good: true, message: format!("{address} answers") };
    }
    let pinned = listener.certificate.as_ref().and_then(|it| content.certificates.get(it));
    let host = listener.hosts.iter().chain(pinned.iter().flat_map(|it| &it.names)).next().cloned();
    let host = host.unwrap_or_else(|| "localhost".into()).replace("*.", "any.");
    let shown = tokio::time::timeout(PATIENCE, leaf(stream, &host)).await;
    match (shown, pinned) {
        (Ok(Ok(leaf)), Some(pinned)) if digest_of(&leaf) == pinned.fingerprint => Check {
            name: title,
            good: true,
            message: format!(
                "{address} answers with version {} of its certificate",
                pinned.version
            ),
        },
        (Ok(Ok(_)), _) => bad(format!("{address} shows another certificate than the release's")),
        (Ok(Err(error)), _) => bad(format!("{address}: the handshake failed: {error}")),
        (Err(_), _) => bad(format!("{address}: the handshake takes too long")),
    }
}

/// A listener of a cluster: it takes traffic to somebody, and where it has an address for this
/// machine it answers there.
async fn on_a_cluster(name: String, words: &str, shares: Option<&BTreeMap<GroupId, u16>>) -> Check {
    if shares.is_none_or(BTreeMap::is_empty) {
        let message = format!("{words}: no instance gets its traffic");
        return Check { name, good: false, message };
    }
    if words.contains(' ') {
        return Check { name, good: true, message: words.to_owned() };
    }
    let connect = tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(words)).await;
    let (good, message) = match connect {
        Ok(Ok(_)) => (true, format!("{words} answers")),
        Ok(Err(error)) => (false, format!("{words}: {error}")),
        Err(_) => (false, format!("{words} does not answer")),
    };
    Check { name, good, message }
}

/// The address on which this machine reaches its own listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The leaf that a TLS server shows, whoever issued it: it is compared with the pinned one.
async fn leaf(stream: tokio::net::TcpStream, host: &str) -> std::io::Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Shown(Arc::clone(&provider)));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.as_ref().to_vec())
        .ok_or_else(|| std::io::Error::other("no certificate was shown"))
}

/// Takes whatever certificate is shown; the handshake's signature is still checked.
#[derive(Debug)]
struct Shown(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(content: &Content, now: Timestamp) -> Vec<Check> {
    content
        .certificates
        .iter()
        .map(|(name, certificate)| {
            let left = certificate.not_after.since(now).0;
            let days = left / 86_400_000;
            Check {
                name: format!("certificate {name}"),
                good: left > 0,
                message: match left {
                    0 => format!("version {} has expired", certificate.version),
                    left if left < SOON => {
                        format!("version {} expires soon: in {days} days", certificate.version)
                    }
                    _ => format!("version {} is valid for {days} more days", certificate.version),
                },
            }
        })
        .collect()
}
