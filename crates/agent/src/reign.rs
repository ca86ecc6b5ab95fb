//! A lease that is held: beaten while work goes on, let go at its end.

use crate::cluster::beat;
use landfall_model::{Epoch, StackId};
use landfall_store::lease::{Lease, LeaseError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long letting go may take.
const LETTING_GO: Duration = Duration::from_secs(5);

/// The right to write a stack of a cluster.
pub(crate) struct Reign {
    pub(crate) epoch: Epoch,
    end: Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
}

impl Reign {
    /// Beats until it is ended or lost. Losing it needs no telling: whoever took over has written
    /// the next entry of the journal, and the cluster refuses what carries an older fence.
    pub(crate) fn begin(lease: Lease) -> Arc<Self> {
        let (end, mut ended) = oneshot::channel::<oneshot::Sender<()>>();
        let epoch = lease.epoch();
        tokio::spawn(async move {
            let mut lease = lease;
            let mut wait = beat();
            loop {
                tokio::select! {
                    answer = &mut ended => {
                        if let Ok(answer) = answer {
                            if let Err(error) = lease.release().await {
                                tracing::debug!(%error, "the lease is left to end by itself");
                            }
                            let _ = answer.send(());
                        }
                        return;
                    }
                    () = tokio::time::sleep(wait) => match lease.renew().await {
                        Ok(()) => wait = beat(),
                        Err(error @ LeaseError::Lost { .. }) => {
                            tracing::warn!(%error, "the lease is lost");
                            return;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "cannot renew the lease yet");
                            wait = beat() / 5;
                        }
                    },
                }
            }
        });
        Arc::new(Self { epoch, end: Mutex::new(Some(end)) })
    }

    /// Lets go, and waits until it is written.
    pub(crate) async fn end(&self, stack: &StackId) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (answer, answered) = oneshot::channel();
        if end.is_some_and(|end| end.send(answer).is_ok())
            && tokio::time::timeout(LETTING_GO, answered).await.is_err()
        {
            tracing::warn!(%stack, "the lease could not be let go; it ends by itself");
        }
    }
}
