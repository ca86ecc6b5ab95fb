//! Ctrl-C and its relatives, counted.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM: a pipeline that is cancelled gets the one, then the other.
pub struct Interrupts {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Interrupts {
    /// Listens from now on.
    pub fn listen() -> Self {
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    /// The next one.
    pub async fn next(&mut self) {
        let wait = async |signal: &mut Option<Signal>| match signal {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        };
        tokio::select! {
            () = wait(&mut self.interrupt) => {}
            () = wait(&mut self.terminate) => {}
        }
    }
}
