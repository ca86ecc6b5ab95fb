//! What stands between a store and its API server in these tests: it counts, and it disturbs.

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this code and reason, and not passed on.
    Refuse(u16, &'static str),
    /// It is passed on, and its answer is lost.
    Lose,
}

type Rule = Box<dyn FnMut(&Method, &str) -> Option<Fault> + Send>;

/// How much was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub requests: usize,
    pub bytes: usize,
}

#[derive(Default)]
pub struct Front {
    cost: Mutex<Cost>,
    rule: Mutex<Option<Rule>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with it")
}

impl Front {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What was asked since the last call.
    pub fn take(&self) -> Cost {
        std::mem::take(&mut locked(&self.cost))
    }

    /// From now on requests are judged by this: their method, and path with query.
    pub fn disturb(&self, rule: impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static) {
        *locked(&self.rule) = Some(Box::new(rule));
    }

    /// From now on all requests pass.
    pub fn calm(&self) {
        *locked(&self.rule) = None;
    }

    fn judge(&self, request: &Request<Body>) -> Option<Fault> {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        locked(&self.rule).as_mut().and_then(|rule| rule(request.method(), path))
    }

    /// A client whose requests come through here.
    pub fn before(self: &Arc<Self>, inner: Client, namespace: &str) -> Client {
        let front = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (front, inner) = (Arc::clone(&front), inner.clone());
            async move { front.pass(&inner, request).await }
        });
        Client::new(service, namespace)
    }

    async fn pass(
        &self,
        inner: &Client,
        request: Request<Body>,
    ) -> Result<Response<Body>, tower::BoxError> {
        locked(&self.cost).requests += 1;
        let fault = self.judge(&request);
        if let Some(Fault::Refuse(code, reason)) = fault {
            return Ok(refusal(code, reason));
        }
        let response = inner.send(request).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect_bytes().await?;
        if fault == Some(Fault::Lose) {
            return Err(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        locked(&self.cost).bytes += bytes.len();
        Ok(Response::from_parts(head, Body::from(bytes)))
    }
}

/// As an API server says it.
fn refusal(code: u16, reason: &str) -> Response<Body> {
    let details = if code == 429 { r#","details":{"retryAfterSeconds":1}"# } else { "" };
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"a test wants it","reason":"{reason}","code":{code}{details}}}"#
    );
    let mut response = Response::new(Body::from(body.into_bytes()));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code");
    let json = "application/json".parse().expect("a value");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    if code == 429 {
        response.headers_mut().insert(http::header::RETRY_AFTER, 1.into());
    }
    response
}
