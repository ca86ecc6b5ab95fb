//! A connection to a target that knows whether anything of the current request was written.

use rustix::net::{RecvFlags, recv};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is known about a connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    sent: AtomicBool,
    moved: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Wire {
    /// A new request begins: nothing of it was sent.
    pub(crate) fn arm(&self) {
        self.sent.store(false, Ordering::SeqCst);
    }

    /// Whether something of the current request was sent.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent.load(Ordering::SeqCst)
    }

    /// Changes whenever bytes move.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Ready once something of the current request was sent.
    pub(crate) fn poll_sent(&self, context: &Context<'_>) -> Poll<()> {
        if self.was_sent() {
            return Poll::Ready(());
        }
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(context.waker().clone());
        if self.was_sent() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn wrote(&self, length: usize) {
        self.moved.fetch_add(length as u64, Ordering::Relaxed);
        if length > 0 && !self.sent.swap(true, Ordering::SeqCst) {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waiting {
                waker.wake();
            }
        }
    }
}

/// The stream under hyper's client.
pub(crate) struct WireStream {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl WireStream {
    /// Wraps a connected stream.
    pub(crate) fn new(stream: TcpStream) -> (Self, Arc<Wire>) {
        let wire = Arc::new(Wire::default());
        (Self { stream, wire: Arc::clone(&wire) }, wire)
    }

    /// Fails when the target has already closed, or has said something unasked, and nothing of the
    /// request was written yet.
    fn check_open(&self) -> Result<()> {
        if self.wire.was_sent() {
            return Ok(());
        }
        let mut byte = [0_u8; 1];
        match recv(&self.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(Error::new(ErrorKind::ConnectionAborted, "the target has closed")),
        }
    }
}

impl AsyncRead for WireStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.wire.moved.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.check_open()?;
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = polled {
            self.wire.wrote(length);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.check_open()?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(length)) = polled {
            self.wire.wrote(length);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (WireStream, Arc<Wire>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).await.expect("connected");
        let (target, _) = listener.accept().await.expect("accepted");
        let (stream, wire) = WireStream::new(stream);
        (stream, wire, target)
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_target_that_has_closed() {
        let (mut stream, wire, mut target) = pair().await;
        wire.arm();
        stream.write_all(b"one").await.expect("written");
        assert!(wire.was_sent());
        // What is unread would make the kernel send a reset, which the next write would notice.
        target.read_exact(&mut [0; 3]).await.expect("read");
        wire.arm();
        drop(target);
        let mut byte = [0_u8; 1];
        while recv(&stream.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT)
            .is_err_and(|error| error == rustix::io::Errno::AGAIN)
        {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"two").await.expect_err("not written");
        assert!(!wire.was_sent(), "so the request may go elsewhere");
    }

    #[tokio::test]
    async fn what_was_begun_goes_on_although_the_target_talks() {
        let (mut stream, wire, mut target) = pair().await;
        wire.arm();
        stream.write_all(b"one").await.expect("written");
        target.write_all(b"early").await.expect("written");
        stream.write_all(b"two").await.expect("written");
        assert!(wire.was_sent());
    }
}
