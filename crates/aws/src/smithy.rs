//! Lends our HTTP client to `aws-config`, so that there is one, with one TLS stack.

use crate::http::{Http, HttpError, Sent};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::time::Duration;

/// How long credentials may take to come when their source sets no limit.
const USUAL: Duration = Duration::from_secs(5);

/// The client as `aws-config` wants it.
#[derive(Debug, Clone)]
pub struct Lent(pub Http);

/// The same with the limit of one request.
#[derive(Debug, Clone)]
struct Limited {
    http: Http,
    limit: Duration,
}

impl HttpClient for Lent {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limit = match (settings.connect_timeout(), settings.read_timeout()) {
            (connect, Some(read)) => connect.unwrap_or_default() + read,
            // Instance metadata is tried with a short limit: most machines have none.
            (Some(connect), None) => connect.max(Duration::from_secs(1)),
            (None, None) => USUAL,
        };
        SharedHttpConnector::new(Limited { http: self.0.clone(), limit })
    }
}

impl HttpConnector for Limited {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { http, limit } = self.clone();
        HttpConnectorFuture::new(async move {
            let sent = translate(request).map_err(|why| ConnectorError::user(why.into()))?;
            let answered = tokio::time::timeout(limit, http.send(sent)).await;
            let answer = match answered {
                Err(late) => return Err(ConnectorError::timeout(late.into())),
                Ok(Err(error @ HttpError::TooLong)) => {
                    return Err(ConnectorError::other(error.into(), None));
                }
                Ok(Err(error)) => return Err(ConnectorError::io(error.into())),
                Ok(Ok(answer)) => answer,
            };
            let mut response = http::Response::new(SdkBody::from(answer.body));
            *response.status_mut() = http::StatusCode::from_u16(answer.status)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
            *response.headers_mut() = answer.headers;
            HttpResponse::try_from(response)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn translate(request: HttpRequest) -> Result<Sent, String> {
    let request = request.try_into_http1x().map_err(|error| error.to_string())?;
    let (parts, body) = request.into_parts();
    let body = body.bytes().ok_or("a request for credentials has its body at hand")?;
    Ok(Sent {
        method: parts.method,
        url: parts.uri.to_string(),
        headers: parts.headers,
        body: Bytes::copy_from_slice(body),
    })
}
