//! Closes a connection such that its last answer arrives.
//!
//! Closing a socket that still has something unread makes the kernel send a reset, which can destroy
//! the answer on its way to the client. So shutting down says goodbye first, and then reads and
//! discards what the client had already sent, for a moment. A client that takes nothing for too long
//! is given up.

use crate::upstream::IDLE;
use std::io::{ErrorKind, IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the client has to close its side.
const MOMENT: Duration = Duration::from_secs(1);
/// How much of what it had sent is discarded, in bytes.
const MOST: usize = 4 << 20;

/// A stream that lingers when it is shut down.
pub(crate) struct Lingering<S> {
    stream: S,
    client_closed: bool,
    farewell: Option<Farewell>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Farewell {
    moment: Pin<Box<Sleep>>,
    discarded: usize,
}

impl<S> Lingering<S> {
    /// Wraps a stream.
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, client_closed: false, farewell: None, stalled: None }
    }
}

impl<S> Lingering<S> {
    /// Passes on what a write came to, unless the client has taken nothing for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<Result<T>>) -> Poll<Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(IDLE)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(farewell) = self.farewell.as_mut() else { return Poll::Ready(()) };
        let mut space = [MaybeUninit::uninit(); 4 << 10];
        while farewell.discarded < MOST && farewell.moment.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    farewell.discarded += buffer.filled().len();
                }
                _ => break,
            }
        }
        self.client_closed = true;
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.client_closed |= result.is_err() || buffer.filled().len() == before;
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.farewell.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.farewell = Some(Farewell { moment: Box::pin(sleep(MOMENT)), discarded: 0 });
        }
        if !self.client_closed {
            ready!(self.poll_discard(context));
        }
        Poll::Ready(Ok(()))
    }
}
