//! The fence of a stack: a ConfigMap that only moves upwards, because the API server refuses an
//! update of an older version of it.

use crate::error::{self, Refusal, refusal};
use crate::objects::{STACK, fence_name, stack_label};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use landfall_engine::EngineError;
use landfall_model::{Fence, StackId};

const KEY: &str = "fence";
/// How often somebody else may be quicker before it is given up.
const TRIES: u32 = 20;

/// The fence that a ConfigMap holds.
#[must_use]
pub fn of(map: &ConfigMap) -> Option<Fence> {
    map.data.as_ref()?.get(KEY)?.parse().ok()
}

/// Raises the fence to what is offered, or keeps it when it is just that.
///
/// # Errors
/// [`EngineError::Superseded`] when a newer one was accepted.
pub(crate) async fn raise(
    maps: &Api<ConfigMap>,
    stack: &StackId,
    offered: Fence,
) -> Result<(), EngineError> {
    let name = fence_name(stack);
    let failed = |error: &kube::Error| error::failed(format!("move the fence of {stack}"), error);
    for _ in 0..TRIES {
        let seen = maps.get_opt(&name).await.map_err(|error| failed(&error))?;
        let wanted = fence_map(stack, &name, offered, seen.as_ref());
        let params =
            PostParams { field_manager: Some(crate::objects::MANAGED_BY.into()), dry_run: false };
        let written = match seen.as_ref().map(of) {
            None => maps.create(&params, &wanted).await,
            Some(Some(accepted)) if accepted > offered => {
                return Err(EngineError::Superseded { accepted, offered });
            }
            Some(Some(accepted)) if accepted == offered => return Ok(()),
            Some(_) => maps.replace(&name, &params, &wanted).await,
        };
        match written {
            Ok(_) => return Ok(()),
            Err(error) if matches!(refusal(&error), Refusal::Exists | Refusal::Changed) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(EngineError::Failed {
        operation: format!("move the fence of {stack}"),
        why: format!("somebody else changed it {TRIES} times in a row"),
    })
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

fn fence_map(stack: &StackId, name: &str, fence: Fence, seen: Option<&ConfigMap>) -> ConfigMap {
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
        data: Some([(KEY.to_owned(), fence.to_string())].into()),
        ..ConfigMap::default()
    }
}
