//! A request's body on its way to a target, untouched until the request's head is on the wire.

use super::wire::Wire;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// Where a request's body waits, and what became of it.
#[derive(Debug)]
pub(crate) struct BodySlot {
    body: Mutex<Option<Incoming>>,
    hint: SizeHint,
    empty: bool,
    client_broke: AtomicBool,
}

impl BodySlot {
    /// A slot with a client's body.
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            hint: body.size_hint(),
            empty: body.is_end_stream(),
            body: Mutex::new(Some(body)),
            client_broke: AtomicBool::new(false),
        }
    }

    /// Whether the client broke off in the middle of its body.
    pub(crate) fn client_broke(&self) -> bool {
        self.client_broke.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Incoming> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body that hyper's client reads: it takes the client's body out of its slot when the first byte
/// of the request was written.
#[derive(Debug)]
pub(crate) struct Gate {
    wire: Arc<Wire>,
    slot: Arc<BodySlot>,
    taken: Option<Incoming>,
}

impl Gate {
    /// A body for one attempt on one connection.
    pub(crate) const fn new(wire: Arc<Wire>, slot: Arc<BodySlot>) -> Self {
        Self { wire, slot, taken: None }
    }
}

impl Body for Gate {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.taken.is_none() {
            ready!(self.wire.poll_sent(context));
            self.taken = self.slot.take();
        }
        let Some(body) = self.taken.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.slot.client_broke.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.taken.as_ref().map_or(self.slot.empty, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or(self.slot.hint, Body::size_hint)
    }
}
