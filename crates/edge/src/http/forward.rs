//! One request: its listener, its target, and its answer.

use super::answer::{AnswerBody, Streaming, own, redirect, unavailable};
use super::connection::{Client, HEAD_FIELDS};
use super::headers::{Origin, prepare, remove_hop_by_hop};
use super::upgrade;
use crate::count::add;
use crate::edge::Edge;
use crate::host;
use crate::router::Pick;
use crate::table::Route;
use crate::target::Running;
use crate::upstream::{Attempt, BodySlot, Connection, Template, send};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use landfall_model::ListenerProtocol;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a request that was never sent looks for somebody who takes it, as long as somebody is
/// healthy.
const SEARCH: Duration = Duration::from_secs(1);
/// How long it waits once it has tried all.
const PAUSE: Duration = Duration::from_millis(25);

/// Answers one request.
pub(super) async fn handle(
    edge: &Arc<Edge>,
    client: &Arc<Client>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let version = request.version();
    let mut exchange = Exchange { edge, client, route: None };
    let mut response = exchange.answer(request).await;
    if let Some(route) = &exchange.route {
        route.count.answered(response.status(), started.elapsed());
    }
    let served = exchange.route.is_some() || edge.router.kind(client.address).is_some();
    let ends = edge.retiring.is_cancelled() || !served;
    let stays = version >= Version::HTTP_2 || response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if ends && !stays {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What is known about a request while it is answered.
struct Exchange<'a> {
    edge: &'a Arc<Edge>,
    client: &'a Arc<Client>,
    /// The listener, once known; the request is counted then.
    route: Option<Arc<Route>>,
}

/// What a request is about, before its parts are changed for the target.
struct Asked {
    authority: Option<Authority>,
    host: Option<String>,
    upgrade: Option<(HeaderValue, OnUpgrade)>,
}

impl Exchange<'_> {
    async fn answer(&mut self, mut request: Request<Incoming>) -> Response<AnswerBody> {
        if let Some(refusal) = refused(&request) {
            return refusal;
        }
        let authority = match authority(&request) {
            Ok(authority) => authority,
            Err(why) => return own(StatusCode::BAD_REQUEST, why),
        };
        let protocol = upgrade::wanted(request.method(), request.version(), request.headers());
        let asked = Asked {
            host: authority.as_ref().map(|found| host::plain(found.host())),
            authority,
            upgrade: protocol.map(|protocol| (protocol, hyper::upgrade::on(&mut request))),
        };
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let origin = Origin {
            peer: self.client.peer,
            scheme: if self.client.shown.is_some() { "https" } else { "http" },
            authority: asked.authority.as_ref().map(Authority::as_str),
            fallback: self.client.address,
            upgrade: asked.upgrade.as_ref().map(|(protocol, _)| protocol.clone()),
        };
        prepare(&mut parts.headers, origin);
        parts.uri = path.parse::<Uri>().unwrap_or_else(|_| Uri::from_static("/"));
        let template = Template { parts, body: Arc::new(BodySlot::new(body)) };
        self.forward(asked, &template, &path).await
    }

    async fn forward(
        &mut self,
        asked: Asked,
        template: &Template,
        path: &str,
    ) -> Response<AnswerBody> {
        let until = Instant::now() + SEARCH;
        let host = asked.host.as_deref();
        let mut tried = Vec::new();
        loop {
            match self.edge.router.pick(self.client.address, host, &tried) {
                Pick::NoListener => return self.nobody(),
                Pick::Redirect(route, port) => {
                    self.found(&route);
                    return redirect(host, port, path);
                }
                Pick::Unavailable(route) => {
                    self.found(&route);
                    if tried.is_empty() || Instant::now() >= until {
                        add(&route.stack.unavailable);
                        return unavailable();
                    }
                    sleep(PAUSE).await;
                    tried.clear();
                }
                Pick::Target(route, running) => {
                    if !self.covered(&route, host) {
                        return misdirected();
                    }
                    self.found(&route);
                    match send(&running, template, &self.edge.drivers).await {
                        Attempt::NeverSent => tried.push(running.target.address),
                        Attempt::Answered(response, connection) => {
                            let held = (running, connection);
                            return self.answered(*response, held, asked, template);
                        }
                        broken => return failed(broken, &running, template),
                    }
                }
            }
        }
    }

    /// Counts the request for its listener, once.
    fn found(&mut self, route: &Arc<Route>) {
        if self.route.is_none() {
            if !self.client.counted.swap(true, Relaxed) {
                add(&route.stack.connections);
                add(&route.count.connections);
            }
            add(&route.stack.requests);
            self.route = Some(Arc::clone(route));
        }
    }

    fn nobody(&self) -> Response<AnswerBody> {
        if self.client.shown.is_some() {
            misdirected()
        } else {
            own(StatusCode::NOT_FOUND, "nothing is served under this name")
        }
    }

    /// Whether a request on this connection may go to the listener: with TLS it must understand
    /// requests, and the certificate that the client saw must be its own or be for the host.
    fn covered(&self, route: &Route, host: Option<&str>) -> bool {
        match &self.client.shown {
            None => true,
            Some(_) if route.protocol != ListenerProtocol::Https => false,
            Some((key, identity)) => {
                *key == route.key || host.is_some_and(|host| identity.covers(host))
            }
        }
    }

    fn answered(
        &self,
        mut response: Response<Incoming>,
        held: (Running, Connection),
        asked: Asked,
        template: &Template,
    ) -> Response<AnswerBody> {
        let stack = Arc::clone(&held.0.stack);
        if response.status().is_server_error() {
            add(&stack.errors);
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            remove_hop_by_hop(response.headers_mut());
            return Streaming::response(response, held, &template.body, &self.edge.drivers);
        }
        let Some((_, client)) = asked.upgrade else {
            held.0.broke();
            return own(StatusCode::BAD_GATEWAY, "the instance changed the protocol unasked");
        };
        let target = hyper::upgrade::on(&mut response);
        let protocol = response.headers().get(UPGRADE).cloned();
        remove_hop_by_hop(response.headers_mut());
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            headers.insert(UPGRADE, protocol);
        }
        let permit = Arc::clone(&self.client.permit);
        upgrade::carry(self.edge, (client, target), held.0, permit);
        response.map(|_| AnswerBody::Own(http_body_util::Full::default()))
    }
}

/// The answer to a request that was sent and will not be answered, which is counted.
fn failed(attempt: Attempt, running: &Running, template: &Template) -> Response<AnswerBody> {
    let address = running.target.address;
    match attempt {
        Attempt::Cut => {
            add(&running.stack.cut);
            own(StatusCode::SERVICE_UNAVAILABLE, "the instance's time is over")
        }
        Attempt::TimedOut => {
            running.broke();
            own(StatusCode::GATEWAY_TIMEOUT, "the instance did not answer in time")
        }
        _ if template.body.client_broke() => own(StatusCode::BAD_REQUEST, "the request broke off"),
        Attempt::Broken(error) => {
            running.broke();
            tracing::warn!(target = %address, %error, "a request was sent and not answered");
            own(StatusCode::BAD_GATEWAY, "the instance broke off")
        }
        Attempt::Answered(..) | Attempt::NeverSent => {
            own(StatusCode::INTERNAL_SERVER_ERROR, "the edge has lost its way")
        }
    }
}

fn misdirected() -> Response<AnswerBody> {
    own(StatusCode::MISDIRECTED_REQUEST, "this connection does not serve this name")
}

/// The answer to a request that is not even looked at.
fn refused(request: &Request<Incoming>) -> Option<Response<AnswerBody>> {
    if *request.method() == Method::CONNECT {
        return Some(own(StatusCode::NOT_IMPLEMENTED, "this is not a forward proxy"));
    }
    (request.headers().len() > HEAD_FIELDS).then(|| {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        own(status, "there are too many header fields")
    })
}

/// The host that a request is for: from its target when that is absolute (RFC 9112, 3.2.2) or HTTP/2's
/// `:authority`, or else from its one `Host` field.
fn authority(request: &Request<Incoming>) -> Result<Option<Authority>, &'static str> {
    const UNCLEAR: &str = "the host is not clear";
    let mut fields = request.headers().get_all(HOST).into_iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(UNCLEAR);
    }
    let text = match (request.uri().authority(), field) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(field)) => field.to_str().map_err(|_| UNCLEAR)?,
        (None, None) if request.version() < Version::HTTP_11 => return Ok(None),
        (None, None) => return Err(UNCLEAR),
    };
    host::authority(text).map(Some).ok_or(UNCLEAR)
}
