//! Answers to clients: the edge's own, and those of targets as they stream by.

use crate::count::add;
use crate::target::Running;
use crate::upstream::{BodySlot, Connection, IDLE, kept};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::TaskTracker;

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// The edge's own.
    Own(Full<Bytes>),
    /// A target's.
    Target(Box<Streaming>),
}

/// Why an answer ends in the middle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Truncated {
    #[error("the target broke off")]
    Target(#[from] hyper::Error),
    #[error("the target's time is over")]
    Cut,
    #[error("nothing came for too long")]
    Idle,
}

/// The edge's own answer, with one line of text.
pub(super) fn own(status: StatusCode, text: &str) -> Response<AnswerBody> {
    let body = AnswerBody::Own(Full::from(Bytes::from(format!("{text}\n"))));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Nobody can take the request now.
pub(super) fn unavailable() -> Response<AnswerBody> {
    let mut response = own(StatusCode::SERVICE_UNAVAILABLE, "no instance is healthy");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Back to the client with the `https` address.
pub(super) fn redirect(host: Option<&str>, port: u16, path: &str) -> Response<AnswerBody> {
    let Some(host) = host else {
        return own(StatusCode::BAD_REQUEST, "without a host there is no https address");
    };
    let path = if path.starts_with('/') { path } else { "/" };
    let location = if port == 443 {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    };
    let Ok(location) = HeaderValue::try_from(location) else {
        return own(StatusCode::BAD_REQUEST, "this address cannot be redirected");
    };
    let mut response = own(StatusCode::PERMANENT_REDIRECT, "use https");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A target's body as it streams by. It ends early when the target's time is over, and gives the
/// connection back when it is complete.
pub(crate) struct Streaming {
    body: Incoming,
    idle: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    course: Option<Course>,
}

/// What is held while a body streams.
struct Course {
    running: Running,
    request: Arc<BodySlot>,
    connection: Connection,
    kept: Duration,
    tasks: TaskTracker,
}

impl Streaming {
    /// Lets a target's answer stream by.
    pub(super) fn response(
        response: Response<Incoming>,
        (running, connection): (Running, Connection),
        request: &Arc<BodySlot>,
        tasks: &TaskTracker,
    ) -> Response<AnswerBody> {
        let kept = kept(response.headers());
        let (parts, body) = response.into_parts();
        let cut = Box::pin(running.cut.clone().cancelled_owned());
        let course = Course {
            running,
            request: Arc::clone(request),
            connection,
            kept,
            tasks: tasks.clone(),
        };
        let mut streaming = Self { body, idle: Box::pin(sleep(IDLE)), cut, course: Some(course) };
        if streaming.body.is_end_stream() {
            streaming.complete();
        }
        Response::from_parts(parts, AnswerBody::Target(Box::new(streaming)))
    }

    /// The answer is whole: the connection can be used again once hyper has finished with it.
    fn complete(&mut self) {
        let Some(Course { running, mut connection, kept, tasks, .. }) = self.course.take() else {
            return;
        };
        let target = Arc::clone(&running.target);
        drop(running);
        tasks.spawn(async move {
            if connection.sender.ready().await.is_ok() {
                target.pool.put(connection, kept);
            }
        });
    }

    fn truncate(&mut self, why: Truncated) -> Truncated {
        if let Some(course) = self.course.take() {
            match why {
                Truncated::Cut => add(&course.running.stack.cut),
                Truncated::Target(_) if course.request.client_broke() => {}
                Truncated::Target(_) | Truncated::Idle => course.running.broke(),
            }
        }
        why
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.as_mut().reset(Instant::now() + IDLE);
                if self.body.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(self.truncate(Truncated::Target(error)))))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Pending if self.course.is_none() => Poll::Pending,
            Poll::Pending if self.cut.as_mut().poll(context).is_ready() => {
                Poll::Ready(Some(Err(self.truncate(Truncated::Cut))))
            }
            Poll::Pending if self.idle.as_mut().poll(context).is_ready() => {
                Poll::Ready(Some(Err(self.truncate(Truncated::Idle))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.course.as_ref().is_some_and(|course| course.running.cut.is_cancelled()) {
            self.truncate(Truncated::Cut);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never: std::convert::Infallible| match never {}),
            Self::Target(streaming) => streaming.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Target(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Target(streaming) => streaming.body.size_hint(),
        }
    }
}
