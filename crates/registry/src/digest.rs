//! SHA-256 of what passes.

use aws_lc_rs::digest::{Context, SHA256, digest};
use landfall_model::Digest;
use std::io::{self, Write};

/// The digest of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    wrap(digest(&SHA256, bytes).as_ref())
}

fn wrap(hash: &[u8]) -> Digest {
    Digest::from_bytes(hash.try_into().expect("a SHA-256 has 32 bytes"))
}

/// Hashes and counts what is written through it.
pub(crate) struct Measured<W> {
    inner: W,
    context: Context,
    size: u64,
}

impl<W> Measured<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, context: Context::new(&SHA256), size: 0 }
    }

    /// What it wrote to, the digest, and the size in bytes.
    pub(crate) fn finish(self) -> (W, Digest, u64) {
        (self.inner, wrap(self.context.finish().as_ref()), self.size)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.context.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
