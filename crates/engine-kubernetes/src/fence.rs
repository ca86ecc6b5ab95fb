//! The fence of a stack: a ConfigMap that only moves upwards, because the API server refuses an
//! update of an older version of it.

use crate::error::{self, Refusal, refusal};
use crate::objects::{STACK, fence_name, stack_label};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use landfall_engine::EngineError;
use landfall_model::{Fence, StackId};
use std::collections::BTreeMap;

const KEY: &str = "fence";
/// The fence under which everything was written, to the last answer: nothing of it is on its way
/// any more.
const SETTLED: &str = "settled";
/// How often somebody else may be quicker before it is given up.
const TRIES: u32 = 20;

/// The fence that a ConfigMap holds.
#[must_use]
pub fn of(map: &ConfigMap) -> Option<Fence> {
    map.data.as_ref()?.get(KEY)?.parse().ok()
}

/// A fence that was raised.
pub(crate) struct Raised {
    map: ConfigMap,
    /// The writer before came to its end: no write of it can arrive any more, so what it left need
    /// not be marked as another writer's.
    pub(crate) after_settled: bool,
}

/// Raises the fence to what is offered, or keeps it when it is just that.
///
/// # Errors
/// [`EngineError::Superseded`] when a newer one was accepted.
pub(crate) async fn raise(
    maps: &Api<ConfigMap>,
    stack: &StackId,
    offered: Fence,
) -> Result<Raised, EngineError> {
    let name = fence_name(stack);
    let failed = |error: &kube::Error| error::failed(format!("move the fence of {stack}"), error);
    for _ in 0..TRIES {
        let seen = maps.get_opt(&name).await.map_err(|error| failed(&error))?;
        let wanted = fence_map(stack, &name, offered, seen.as_ref(), false);
        let after_settled = seen.as_ref().is_some_and(is_settled);
        let params =
            PostParams { field_manager: Some(crate::objects::MANAGED_BY.into()), dry_run: false };
        let written = match seen.as_ref().map(of) {
            None => maps.create(&params, &wanted).await,
            Some(Some(accepted)) if accepted > offered => {
                return Err(EngineError::Superseded { accepted, offered });
            }
            // An earlier try of the same state may have been cut off half-way.
            Some(Some(accepted)) if accepted == offered => {
                let map = seen.unwrap_or_default();
                return Ok(Raised { map, after_settled });
            }
            Some(_) => maps.replace(&name, &params, &wanted).await,
        };
        match written {
            Ok(map) => return Ok(Raised { map, after_settled }),
            Err(error) if matches!(refusal(&error), Refusal::Exists | Refusal::Changed) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(EngineError::Failed {
        operation: format!("move the fence of {stack}"),
        why: format!("somebody else changed it {TRIES} times in a row"),
    })
}

fn is_settled(map: &ConfigMap) -> bool {
    let data = map.data.as_ref();
    data.is_some_and(|data| data.contains_key(SETTLED) && data.get(SETTLED) == data.get(KEY))
}

/// Says that everything was written, and finds out whether nobody newer was here since.
///
/// # Errors
/// [`EngineError::Superseded`] when somebody was.
pub(crate) async fn settle(
    maps: &Api<ConfigMap>,
    stack: &StackId,
    ours: Fence,
    raised: Raised,
) -> Result<(), EngineError> {
    if is_settled(&raised.map) {
        return still(maps, stack, ours).await;
    }
    let name = fence_name(stack);
    let wanted = fence_map(stack, &name, ours, Some(&raised.map), true);
    let params =
        PostParams { field_manager: Some(crate::objects::MANAGED_BY.into()), dry_run: false };
    match maps.replace(&name, &params, &wanted).await {
        Ok(_) => Ok(()),
        // Somebody newer, or the same state once more.
        Err(error) if matches!(refusal(&error), Refusal::Changed) => still(maps, stack, ours).await,
        Err(error) => {
            Err(error::failed(format!("say that everything of {stack} is written"), &error))
        }
    }
}

/// Whether nobody newer was here since.
///
/// # Errors
/// [`EngineError::Superseded`] when somebody was.
pub(crate) async fn still(
    maps: &Api<ConfigMap>,
    stack: &StackId,
    ours: Fence,
) -> Result<(), EngineError> {
    let seen = maps.get_opt(&fence_name(stack)).await;
    let seen = seen.map_err(|error| error::failed(format!("read the fence of {stack}"), &error))?;
    match seen.as_ref().and_then(of) {
        Some(accepted) if accepted > ours => {
            Err(EngineError::Superseded { accepted, offered: ours })
        }
        _ => Ok(()),
    }
}

fn fence_map(
    stack: &StackId,
    name: &str,
    fence: Fence,
    seen: Option<&ConfigMap>,
    settled: bool,
) -> ConfigMap {
    let mut data = BTreeMap::from([(KEY.to_owned(), fence.to_string())]);
    if settled {
        data.insert(SETTLED.to_owned(), fence.to_string());
    }
    let labels = [
        ("app.kubernetes.io/managed-by".to_owned(), crate::objects::MANAGED_BY.to_owned()),
        (STACK.to_owned(), stack_label(stack)),
    ];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.into()),
            resource_version: seen.and_then(|seen| seen.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}
