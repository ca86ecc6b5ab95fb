//! Carries bytes both ways until both sides have ended, keeping half-closes.

use crate::upstream::IDLE;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How much is read at once, in bytes.
const BUFFER: usize = 16 << 10;
/// How long a side may take to be told that it is over.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides were done.
    Closed,
    /// The client's connection broke.
    ClientBroke,
    /// The target's connection broke.
    TargetBroke,
    /// It had to end.
    Cut,
    /// Nothing came for too long.
    Idle,
}

/// Which end of a pump broke.
enum Broke {
    Reading,
    Writing,
}

/// Carries bytes between a client and a target until both are done, one breaks, nothing came for
/// [`IDLE`], or it is cut.
pub(crate) async fn relay<C, T>(client: C, target: T, cut: &CancellationToken) -> End
where
    C: AsyncRead + AsyncWrite,
    T: AsyncRead + AsyncWrite,
{
    let moved = AtomicU64::new(0);
    let (mut from_client, mut to_client) = split(client);
    let (mut from_target, mut to_target) = split(target);
    let end = {
        let up = async {
            pump(&mut from_client, &mut to_target, &moved).await.map_err(|broke| match broke {
                Broke::Reading => End::ClientBroke,
                Broke::Writing => End::TargetBroke,
            })
        };
        let down = async {
            pump(&mut from_target, &mut to_client, &moved).await.map_err(|broke| match broke {
                Broke::Reading => End::TargetBroke,
                Broke::Writing => End::ClientBroke,
            })
        };
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.err().unwrap_or(End::Closed),
            () = cut.cancelled() => End::Cut,
            () = idle(&moved) => End::Idle,
        }
    };
    if end != End::Closed {
        let farewell = async { tokio::join!(to_client.shutdown(), to_target.shutdown()) };
        drop(timeout(FAREWELL, farewell).await);
    }
    end
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &AtomicU64,
) -> Result<(), Broke> {
    let mut buffer = vec![0_u8; BUFFER];
    loop {
        let length = from.read(&mut buffer).await.map_err(|_| Broke::Reading)?;
        if length == 0 {
            return to.shutdown().await.map_err(|_| Broke::Writing);
        }
        to.write_all(&buffer[..length]).await.map_err(|_| Broke::Writing)?;
        to.flush().await.map_err(|_| Broke::Writing)?;
        moved.fetch_add(1, Relaxed);
    }
}

/// Ends when nothing moved for [`IDLE`].
async fn idle(moved: &AtomicU64) {
    loop {
        let before = moved.load(Relaxed);
        sleep(IDLE).await;
        if moved.load(Relaxed) == before {
            return;
        }
    }
}
