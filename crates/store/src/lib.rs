//! Blobs, releases, journal, lease and signatures over a folder or object storage.
