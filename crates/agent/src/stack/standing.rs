//! How a stack is found again: where the journal says it stands, and who may go on with it.

use super::Stack;
use crate::reign::Reign;
use landfall_model::{ExitCode, Outcome, ReleaseNumber};
use landfall_protocol::agent::Failure;
use landfall_rollout::{RECORD_FORMAT, Record, desired};
use landfall_store::seal::SealedRelease;
use std::sync::Arc;

/// Where the journal says that things stand.
struct Left {
    record: Record,
    from: Option<Arc<SealedRelease>>,
    to: Option<Arc<SealedRelease>>,
}

impl Stack {
    /// Finds out where things stood, tells the engine again, and goes on with what was running.
    pub(crate) async fn recover(self: &Arc<Self>) {
        if let Err(error) = self.take_up().await {
            tracing::error!(stack = %self.id, %error, "cannot take up a stack again");
            self.inner().trouble = Some(error);
        }
    }

    /// Finds out where things stand, and changes nothing.
    pub(crate) async fn look_up(&self) {
        let trouble = self.read_last().await.err();
        self.inner().trouble = trouble;
    }

    /// Makes the stack this process's own, as far as its place asks for it: on a host it is already;
    /// on a cluster the lease is taken, and what a predecessor left unfinished goes on.
    pub(crate) async fn rule(self: &Arc<Self>) -> Result<(), Failure> {
        let Some(cluster) = self.shared.ground.cluster() else { return Ok(()) };
        if self.inner().reign.is_some() {
            return Ok(());
        }
        let lease = cluster.lease(&self.id).await?;
        self.inner().reign = Some(Reign::begin(lease));
        // Somebody may have been here between the look and the lease.
        let left = self.read_last().await;
        match left {
            Err(trouble) => {
                self.abdicate().await;
                Err(Failure::new(ExitCode::Integrity, format!("{}: {trouble}", self.id)))
            }
            Ok(Some(Left { record, from, to })) if record.state.ended().is_none() => {
                self.spawn(record, from, to);
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Lets go of the lease.
    pub(crate) async fn abdicate(&self) {
        let reign = self.inner().reign.take();
        if let Some(reign) = reign {
            reign.end(&self.id).await;
        }
    }

    /// Goes on with a run that nobody drives any more, when there is one.
    pub(crate) async fn adopt(self: &Arc<Self>) {
        if self.run().is_some() {
            return;
        }
        self.look_up().await;
        let open = self.last().is_some_and(|last| last.state.ended().is_none());
        if open && let Err(failure) = self.rule().await {
            tracing::debug!(stack = %self.id, why = %failure.message, "somebody else drives it");
        }
    }

    async fn take_up(self: &Arc<Self>) -> Result<(), String> {
        let Some(Left { record, from, to }) = self.read_last().await? else { return Ok(()) };
        if record.state.ended().is_none() {
            self.spawn(record, from, to);
            return Ok(());
        }
        self.record_outcome(&record, None).await;
        let context = self.context(record.verb, from.as_ref(), to.as_ref());
        let wanted = desired(&context, &record.state, self.fence(record.sequence));
        let materials = Arc::clone(&self.shared.materials);
        self.shared.engine.apply(wanted, materials).await.map_err(|error| error.to_string())
    }

    /// The journal's last entry with its releases, which are kept at hand.
    async fn read_last(&self) -> Result<Option<Left>, String> {
        let last = self.shared.store.last_entry(&self.id).await.map_err(|it| it.to_string())?;
        let Some((_, bytes)) = last else { return Ok(None) };
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|error| format!("the last journal entry is not understood: {error}"))?;
        if record.format > RECORD_FORMAT {
            return Err(format!(
                "the journal has format {}: a newer landfall wrote it, use that one",
                record.format
            ));
        }
        if let Some(known) = self.known(&record) {
            return Ok(Some(known));
        }
        let from = self.release(record.from).await?;
        let to = self.release(record.to).await?;
        let serving = match record.state.ended() {
            Some(Outcome::Succeeded) => to.clone(),
            _ => from.clone(),
        };
        let mut inner = self.inner();
        inner.last = Some(record.clone());
        inner.serving = serving;
        inner.between = (from.clone(), to.clone());
        drop(inner);
        Ok(Some(Left { record, from, to }))
    }

    /// What is at hand already, when this is still the last entry.
    fn known(&self, record: &Record) -> Option<Left> {
        let inner = self.inner();
        let (from, to) = inner.between.clone();
        (inner.last.as_ref() == Some(record)).then(|| Left { record: record.clone(), from, to })
    }

    async fn release(
        &self,
        number: Option<ReleaseNumber>,
    ) -> Result<Option<Arc<SealedRelease>>, String> {
        let Some(number) = number else { return Ok(None) };
        match self.shared.store.release(&self.id, number).await {
            Ok(Some(release)) => Ok(Some(Arc::new(release))),
            Ok(None) => Err(format!("release {number} is not in the store")),
            Err(error) => Err(error.to_string()),
        }
    }
}
