//! The edge with real sockets: controlled over its Unix socket with descriptors beside frames, with
//! real TLS clients on one side and real servers on the other.

mod handover;
mod limits;
mod opaque;
mod outside;
mod retry;
mod routing;
mod seams;
mod support;
mod tls;
mod upgrade;
