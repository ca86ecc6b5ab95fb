//! Frames: one byte of kind, four bytes of length (big-endian), the payload.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest payload of a frame, in bytes. Larger things are sent in several.
pub const MAXIMUM: usize = 16 << 20;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message as JSON.
    Json(Vec<u8>),
    /// A piece of a byte stream; an empty one ends it.
    Bytes(Vec<u8>),
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection between two frames.
    #[error("the other side closed the connection")]
    Closed,
    /// Input or output failed.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// The length is larger than [`MAXIMUM`].
    #[error("a frame of {0} bytes is larger than {MAXIMUM}")]
    TooLarge(usize),
    /// A kind of frame that this version does not know, or not here.
    #[error("a frame of kind {0} was not expected here")]
    Kind(u8),
    /// The message is not what was expected.
    #[error("a message was not understood")]
    Json(#[from] serde_json::Error),
}

/// Reads one frame. Not cancellation safe: give it a task or a connection of its own.
///
/// # Errors
/// [`FrameError::Closed`] at a clean end, the others when something is wrong.
pub async fn read(input: &mut (impl AsyncRead + Unpin)) -> Result<Frame, FrameError> {
    let mut head = [0_u8; 5];
    let first = input.read(&mut head).await?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    input.read_exact(&mut head[first..]).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MAXIMUM {
        return Err(FrameError::TooLarge(length));
    }
    let mut payload = vec![0_u8; length];
    input.read_exact(&mut payload).await?;
    match head[0] {
        b'J' => Ok(Frame::Json(payload)),
        b'B' => Ok(Frame::Bytes(payload)),
        kind => Err(FrameError::Kind(kind)),
    }
}

/// Reads one message.
///
/// # Errors
/// As [`read`], and when the frame is not this message.
pub async fn read_json<T: DeserializeOwned>(
    input: &mut (impl AsyncRead + Unpin),
) -> Result<T, FrameError> {
    match read(input).await? {
        Frame::Json(payload) => Ok(serde_json::from_slice(&payload)?),
        Frame::Bytes(_) => Err(FrameError::Kind(b'B')),
    }
}

/// A message as the bytes of a frame.
///
/// # Errors
/// When it cannot be serialised or is larger than [`MAXIMUM`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    wrap(b'J', &serde_json::to_vec(message)?)
}

fn wrap(kind: u8, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    if payload.len() > MAXIMUM {
        return Err(FrameError::TooLarge(payload.len()));
    }
    let length = u32::try_from(payload.len()).map_err(|_| FrameError::TooLarge(payload.len()))?;
    let mut bytes = Vec::with_capacity(5 + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Writes one message.
///
/// # Errors
/// When it cannot be serialised, is too large, or the connection broke.
pub async fn write_json(
    output: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), FrameError> {
    output.write_all(&encode(message)?).await?;
    output.flush().await?;
    Ok(())
}

/// Writes a piece of a byte stream.
///
/// # Errors
/// When it is too large or the connection broke.
pub async fn write_bytes(
    output: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Result<(), FrameError> {
    output.write_all(&wrap(b'B', bytes)?).await?;
    output.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_the_wire() {
        let mut wire = Vec::new();
        write_json(&mut wire, &crate::Hello::ours()).await.expect("written");
        write_bytes(&mut wire, b"abc").await.expect("written");
        let mut input = wire.as_slice();
        assert_eq!(
            read_json::<crate::Hello>(&mut input).await.expect("read"),
            crate::Hello::ours()
        );
        assert_eq!(read(&mut input).await.expect("read"), Frame::Bytes(b"abc".to_vec()));
        assert!(matches!(read(&mut input).await, Err(FrameError::Closed)));
    }

    #[tokio::test]
    async fn a_huge_length_is_refused_before_it_is_allocated() {
        let mut input = &b"J\xff\xff\xff\xff"[..];
        assert!(matches!(read(&mut input).await, Err(FrameError::TooLarge(_))));
    }

    #[test]
    fn another_major_version_is_refused_in_words() {
        let newer = crate::Hello { major: crate::MAJOR + 1, ..crate::Hello::ours() };
        let error = newer.accept().expect_err("refused").to_string();
        assert!(error.contains("upgrade this program"), "{error}");
    }
}
