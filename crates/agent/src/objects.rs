//! The objects of a release, for whoever wants to see them before or after.

use crate::agent::Shared;
use crate::clock;
use crate::stack::Stack;
use landfall_model::{
    Content, Desired, ExitCode, FORMAT, Fence, Outcome, Release, ReleaseNumber, Source, StackId,
    Verb,
};
use landfall_protocol::agent::{Failure, Reply};
use landfall_rollout::{Context, Phase, State, desired};
use std::sync::Arc;

/// What a content becomes, or what serves; and how what stands there differs.
pub(crate) async fn objects(
    shared: &Arc<Shared>,
    id: &StackId,
    content: Option<(Box<Content>, ReleaseNumber)>,
    live: bool,
) -> Result<Reply, Failure> {
    let release = match content {
        Some((content, number)) => Some(unsealed(id, *content, number)),
        None => shared
            .stack(id)
            .and_then(|stack: Arc<Stack>| stack.serving())
            .map(|sealed| sealed.release.clone()),
    };
    let Some(release) = release else {
        return Ok(Reply::Objects { objects: Vec::new(), differences: Vec::new(), release: None });
    };
    let number = release.number;
    let wanted = at_rest(id, release);
    let differences = if live {
        shared
            .engine
            .differences(&wanted)
            .await
            .map_err(|error| Failure::new(ExitCode::Unexpected, error.to_string()))?
    } else {
        Vec::new()
    };
    let objects = shared.engine.render(&wanted);
    Ok(Reply::Objects { objects, differences, release: Some(number) })
}

/// What is wanted once a release serves and nothing else does.
pub(crate) fn at_rest(id: &StackId, release: Release) -> Desired {
    let context =
        Context { stack: id.clone(), verb: Verb::Up, from: None, to: Some(Arc::new(release)) };
    let shape = context.transition().settled(true);
    let phase = Phase::Ended { outcome: Outcome::Succeeded, why: None };
    desired(&context, &State { phase, shape, entered: clock::now() }, Fence::default())
}

fn unsealed(id: &StackId, content: Content, number: ReleaseNumber) -> Release {
    Release {
        format: FORMAT,
        app: id.app.clone(),
        stack: id.stack.clone(),
        number,
        restores: None,
        substitutions: Vec::new(),
        sealed_at: clock::now(),
        sealed_by: String::new(),
        source: Source::default(),
        content,
    }
}
