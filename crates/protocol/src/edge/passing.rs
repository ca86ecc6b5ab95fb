//! Frames with open files beside them, over a Unix socket.
//!
//! The descriptors travel as `SCM_RIGHTS` with the first bytes of their frame. The reader never asks
//! for bytes beyond its frame, so what arrives with a frame belongs to it. Received descriptors are
//! closed on `exec`.

use crate::frame::{self, FrameError, MAXIMUM};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How many descriptors go beside one piece of a frame; Linux takes 253 at most (`SCM_MAX_FD`).
const AT_ONCE: usize = 200;
/// How many descriptors a frame may bring.
const MOST: usize = 1_000;

/// Writes one message with these descriptors beside it. Not cancellation safe.
///
/// # Errors
/// When the message is too large, there are more than a thousand descriptors, or the connection broke.
pub async fn send(
    stream: &UnixStream,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), FrameError> {
    if descriptors.len() > MOST {
        return Err(Error::new(ErrorKind::InvalidInput, "too many descriptors for a frame").into());
    }
    let bytes = frame::encode(message)?;
    let mut written = 0;
    for some in descriptors.chunks(AT_ONCE) {
        written += send_beside(stream, &bytes[written..=written], some).await?;
    }
    while written < bytes.len() {
        written += send_beside(stream, &bytes[written..], &[]).await?;
    }
    Ok(())
}

async fn send_beside(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Error> {
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
                debug_assert!(fits, "the space is made for so many");
            }
            Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
        })
        .await
}

/// Reads one message and the descriptors beside it. Not cancellation safe.
///
/// # Errors
/// [`FrameError::Closed`] at a clean end, the others when something is wrong.
pub async fn receive<T: DeserializeOwned>(
    stream: &UnixStream,
) -> Result<(T, Vec<OwnedFd>), FrameError> {
    let mut descriptors = Vec::new();
    let mut head = [0_u8; 5];
    if fill(stream, &mut head, &mut descriptors).await? == 0 {
        return Err(FrameError::Closed);
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if head[0] != b'J' {
        return Err(FrameError::Kind(head[0]));
    }
    if length > MAXIMUM {
        return Err(FrameError::TooLarge(length));
    }
    let mut payload = vec![0_u8; length];
    if fill(stream, &mut payload, &mut descriptors).await? < length {
        return Err(Error::from(ErrorKind::UnexpectedEof).into());
    }
    Ok((serde_json::from_slice(&payload)?, descriptors))
}

/// Fills the buffer. Nothing at all is a clean end, less than all is an error.
async fn fill(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        let read =
            stream.async_io(Interest::READABLE, || receive_some(stream, rest, descriptors)).await?;
        match (read, filled) {
            (0, 0) => return Ok(0),
            (0, _) => return Err(ErrorKind::UnexpectedEof.into()),
            _ => filled += read,
        }
        if descriptors.len() > MOST {
            return Err(Error::new(ErrorKind::InvalidData, "too many descriptors in a frame"));
        }
    }
    Ok(filled)
}

fn receive_some(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Error::other("some descriptors were lost, probably for want of free ones"));
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[tokio::test]
    async fn descriptors_arrive_with_their_frame_and_not_with_another() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let file = std::fs::File::open("/dev/null").expect("opened");
        let many = vec![file.as_fd(); 450];
        let sending = async {
            send(&ours, &"first", &[]).await.expect("sent");
            send(&ours, &"second", &many).await.expect("sent");
            send(&ours, &"third", &many[..1]).await.expect("sent");
            drop(ours);
        };
        let receiving = async {
            for (text, count) in [("first", 0), ("second", 450), ("third", 1)] {
                let (message, descriptors) = receive::<String>(&theirs).await.expect("received");
                assert_eq!((message.as_str(), descriptors.len()), (text, count));
            }
            assert!(matches!(receive::<String>(&theirs).await, Err(FrameError::Closed)));
        };
        tokio::join!(sending, receiving);
    }

    #[tokio::test]
    async fn a_frame_cut_short_is_an_error_and_not_an_end() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.try_write(b"J\0\0").expect("written");
        drop(ours);
        let error = receive::<String>(&theirs).await.expect_err("cut short");
        assert!(matches!(error, FrameError::Io(_)), "{error}");
    }
}
