//! Brings the objects of a stack into the desired state: makes, changes, then removes.
//!
//! Each change carries the resource version that was seen after the fence had been raised, so a
//! writer whose fence fell behind is refused for everything that its successor has touched; and a
//! successor touches everything once, because the first thing of a reign is to write its epoch on
//! every object.

use crate::error::{self, Refusal, refusal};
use crate::fence;
use crate::objects::{
    self, FENCE, HASH, Kind, MANAGED_BY, Made, Object, STACK, fence_name, group_name, stack_label,
};
use crate::ownership;
use crate::replace;
use crate::targets::Targets;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, Preconditions, PropagationPolicy,
};
use kube::{Api, Client, ResourceExt};
use landfall_engine::EngineError;
use landfall_model::{Desired, Fence, GroupId, StackId};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How often an object may change under one's hands before it is given up.
const TRIES: u32 = 20;

/// A namespace, as far as one stack goes.
pub(crate) struct Place<'a> {
    pub(crate) client: &'a Client,
    pub(crate) namespace: &'a str,
    pub(crate) stack: &'a StackId,
    pub(crate) fence: Fence,
    /// Take fields that another manager owns.
    pub(crate) take_ownership: bool,
}

/// What stands after an apply: each object with the hash of what was written, and what is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) there: BTreeMap<(Kind, String), String>,
    pub(crate) gone: BTreeSet<(Kind, String)>,
    /// Groups that are not made as they should be yet, and what they wait for.
    pub(crate) withheld: BTreeMap<GroupId, String>,
}

pub(crate) fn api(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    let (group, version) = match kind {
        Kind::ConfigMap | Kind::Service => ("", "v1"),
        Kind::PodDisruptionBudget => ("policy", "v1"),
        Kind::Job => ("batch", "v1"),
        Kind::Deployment => ("apps", "v1"),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.word()));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Objects as they stand.
pub(crate) type Listed = BTreeMap<(Kind, String), DynamicObject>;

/// Every object of a stack but its fence. What a listing gives does not say its kind.
pub(crate) async fn seen(
    client: &Client,
    namespace: &str,
    stack: &StackId,
) -> Result<Listed, EngineError> {
    let ours = ListParams::default().labels(&format!("{STACK}={}", stack_label(stack)));
    let lists = Kind::ALL.map(|kind| {
        let (api, ours) = (api(client, namespace, kind), ours.clone());
        async move {
            let list = api.list(&ours).await;
            list.map(|list| (kind, list.items)).map_err(|error| {
                error::failed(format!("list the {}s of {stack}", kind.word()), &error)
            })
        }
    });
    let mut seen = BTreeMap::new();
    for (kind, items) in futures::future::try_join_all(lists).await? {
        for item in items {
            seen.insert((kind, item.name_any()), item);
        }
    }
    seen.remove(&(Kind::ConfigMap, fence_name(stack)));
    Ok(seen)
}

/// Groups as their pods were made. They stay so: another drain would replace all of them.
pub(crate) fn as_made(desired: &Desired, seen: &Listed) -> BTreeMap<GroupId, Made> {
    let mut all = objects::made(desired);
    for (id, wanted) in &mut all {
        let key = (Kind::Deployment, group_name(&desired.stack, id));
        if let Some(said) = seen.get(&key).and_then(|old| Made::said(old.annotations())) {
            *wanted = said;
        }
    }
    all
}

impl Place<'_> {
    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        api(self.client, self.namespace, kind)
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Raises the fence, then makes everything as it is desired. Who is overtaken on the way takes
    /// back what nobody has touched since.
    pub(crate) async fn apply(&self, desired: &Desired) -> Result<Standing, EngineError> {
        let mut made = Vec::new();
        let applied = self.bring_about_all(desired, &mut made).await;
        if let Err(EngineError::Superseded { .. }) = &applied {
            // A job stays: taken back and made again it would run twice. So does an environment,
            // which a job may be about to read. Their successor removes what it does not want.
            made.retain(|(kind, _)| !matches!(kind, Kind::Job | Kind::ConfigMap));
            for (kind, object) in made.into_iter().rev() {
                if let Err(error) = self.take_back(kind, object).await {
                    tracing::warn!(%error, "cannot take back what an overtaken writer made");
                }
            }
        }
        applied
    }

    async fn bring_about_all(
        &self,
        desired: &Desired,
        made: &mut Vec<(Kind, DynamicObject)>,
    ) -> Result<Standing, EngineError> {
        let raised = fence::raise(&self.maps(), self.stack, self.fence).await?;
        let marked = !raised.after_settled;
        let mut seen = seen(self.client, self.namespace, self.stack).await?;
        let objects = objects::objects_as(desired, &as_made(desired, &seen));
        let mut standing = Standing::default();
        let mut targets = Targets::default();
        for object in &objects {
            let key = (object.kind, object.name.clone());
            let old = seen.remove(&key);
            let (object, waits) = targets.ready(self, object, old.as_ref()).await;
            standing.withheld.extend(waits);
            let Some(object) = object.as_deref() else { continue };
            let hash = objects::hash_of(object);
            let new = self.bring_about(object, &hash, old, marked).await?;
            made.extend(new.map(|new| (object.kind, new)));
            standing.there.insert(key, hash);
        }
        // What is left belongs to the stack and is not desired: last made, first gone.
        for ((kind, name), old) in seen.into_iter().rev() {
            self.remove(kind, &name, old).await?;
            standing.gone.insert((kind, name));
        }
        if standing.withheld.is_empty() {
            fence::settle(&self.maps(), self.stack, self.fence, raised).await?;
        } else {
            fence::still(&self.maps(), self.stack, self.fence).await?;
        }
        Ok(standing)
    }

    async fn bring_about(
        &self,
        object: &Object,
        hash: &str,
        mut seen: Option<DynamicObject>,
        marked: bool,
    ) -> Result<Option<DynamicObject>, EngineError> {
        for _ in 0..TRIES {
            let written = match &seen {
                None => self.make(object, hash).await.map(Some),
                Some(old) => {
                    self.ours(object.kind, old)?;
                    self.newer(old)?;
                    if self.is_settled(object.kind, hash, old, marked) {
                        return Ok(None);
                    }
                    if replace::is_another_balancer(object, old) {
                        self.replace(object, old).await?;
                        seen = None;
                        continue;
                    }
                    match self.change(object, hash, old).await {
                        // Only the mark is new, so what others own of it stays theirs.
                        Err(error) if refusal(&error) == Refusal::Owned && same(old, hash) => {
                            let left = ownership::without(object, &error);
                            self.change(&left, hash, old).await.map(|()| None)
                        }
                        changed => changed.map(|()| None),
                    }
                }
            };
            match written {
                Ok(new) => return Ok(new),
                Err(error) => match refusal(&error) {
                    Refusal::Exists | Refusal::Changed | Refusal::NotFound => {}
                    Refusal::Owned => return Err(self.owned(object, &error)),
                    Refusal::Other => return Err(self.failed("write", object, &error)),
                },
            }
            fence::still(&self.maps(), self.stack, self.fence).await?;
            let again = self.api(object.kind).get_opt(&object.name).await;
            seen = again.map_err(|error| self.failed("read", object, &error))?;
        }
        Err(EngineError::Failed {
            operation: format!("write the {} {}", object.kind.word(), object.name),
            why: format!("it changed {TRIES} times in a row; is something else writing it?"),
        })
    }

    /// Whether nothing has to be written. A job is never written twice; what was written in
    /// another reign is written once more, unless its writer is known to have come to its end.
    fn is_settled(&self, kind: Kind, hash: &str, old: &DynamicObject, marked: bool) -> bool {
        let reign = fence_of(old);
        let own = reign.is_some_and(|reign| reign.epoch == self.fence.epoch);
        kind == Kind::Job || (same(old, hash) && (own || !marked))
    }

    async fn make(&self, object: &Object, hash: &str) -> Result<DynamicObject, kube::Error> {
        let params = PostParams { field_manager: Some(MANAGED_BY.into()), dry_run: false };
        let wanted = dynamic(&self.marked(object, hash))?;
        self.api(object.kind).create(&params, &wanted).await
    }

    async fn change(
        &self,
        object: &Object,
        hash: &str,
        old: &DynamicObject,
    ) -> Result<(), kube::Error> {
        let params = PatchParams {
            field_manager: Some(MANAGED_BY.into()),
            force: self.take_ownership,
            ..PatchParams::default()
        };
        let old = self.adopted(object, old).await?;
        let mut wanted = self.marked(object, hash);
        wanted["metadata"]["resourceVersion"] = json!(old.resource_version());
        self.api(object.kind).patch(&object.name, &params, &Patch::Apply(&wanted)).await.map(drop)
    }

    /// What was made by `create`, which fails where something is and so cannot overwrite, counts as
    /// written by an update. Its fields are first given to the server-side apply of the same
    /// manager, so that a field that is no longer applied goes away. This is what kubectl does.
    async fn adopted<'o>(
        &self,
        object: &Object,
        old: &'o DynamicObject,
    ) -> Result<Cow<'o, DynamicObject>, kube::Error> {
        let mut managers = old.managed_fields().to_vec();
        let ours = |entry: &ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(MANAGED_BY) && entry.subresource.is_none()
        };
        let operation =
            |entry: &ManagedFieldsEntry, word: &str| entry.operation.as_deref() == Some(word);
        let made = managers.iter_mut().find(|entry| ours(entry) && operation(entry, "Update"));
        let Some(made) = made else { return Ok(Cow::Borrowed(old)) };
        made.operation = Some("Apply".into());
        let patch = json!({"metadata": {
            "resourceVersion": old.resource_version(),
            "managedFields": managers,
        }});
        let params = PatchParams::default();
        self.api(object.kind)
            .patch(&object.name, &params, &Patch::Merge(&patch))
            .await
            .map(Cow::Owned)
    }

    /// The manifest with the marks of this writing.
    fn marked(&self, object: &Object, hash: &str) -> Value {
        let mut manifest = object.manifest.clone();
        let annotations = &mut manifest["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = json!({});
        }
        annotations[FENCE] = json!(self.fence.to_string());
        annotations[HASH] = json!(hash);
        manifest["metadata"]["namespace"] = json!(self.namespace);
        manifest
    }

    async fn remove(&self, kind: Kind, name: &str, old: DynamicObject) -> Result<(), EngineError> {
        let mut seen = Some(old);
        for _ in 0..TRIES {
            let Some(old) = seen.filter(|old| old.metadata.deletion_timestamp.is_none()) else {
                return Ok(());
            };
            self.newer(&old)?;
            if self.delete(kind, &old).await? {
                return Ok(());
            }
            fence::still(&self.maps(), self.stack, self.fence).await?;
            seen = self.again(kind, &old).await?;
        }
        Err(EngineError::Failed {
            operation: format!("remove the {} {name}", kind.word()),
            why: format!("it changed {TRIES} times in a row; is something else writing it?"),
        })
    }

    /// Removes what this writer made, unless another one has written to it since.
    async fn take_back(&self, kind: Kind, made: DynamicObject) -> Result<(), EngineError> {
        let mark = self.fence.to_string();
        let mut seen = Some(made);
        for _ in 0..TRIES {
            let own = seen.filter(|old| {
                old.metadata.deletion_timestamp.is_none()
                    && old.annotations().get(FENCE) == Some(&mark)
            });
            let Some(own) = own else { return Ok(()) };
            if self.delete(kind, &own).await? {
                return Ok(());
            }
            seen = self.again(kind, &own).await?;
        }
        Ok(())
    }

    /// Removes an object just as it was seen; `false` when it has changed since.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        old: &DynamicObject,
    ) -> Result<bool, EngineError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: old.uid(),
                resource_version: old.resource_version(),
            }),
            ..DeleteParams::default()
        };
        match self.api(kind).delete(&old.name_any(), &params).await {
            Ok(_) => Ok(true),
            Err(error) => match refusal(&error) {
                Refusal::NotFound => Ok(true),
                Refusal::Changed => Ok(false),
                _ => Err(error::failed(
                    format!("remove the {} {}", kind.word(), old.name_any()),
                    &error,
                )),
            },
        }
    }

    /// The same object as it is now. One of the same name that took its place is another one.
    async fn again(
        &self,
        kind: Kind,
        old: &DynamicObject,
    ) -> Result<Option<DynamicObject>, EngineError> {
        let found = self.api(kind).get_opt(&old.name_any()).await.map_err(|error| {
            error::failed(format!("read the {} {}", kind.word(), old.name_any()), &error)
        })?;
        Ok(found.filter(|now| now.uid() == old.uid()))
    }

    /// What is not of this stack is never touched.
    fn ours(&self, kind: Kind, old: &DynamicObject) -> Result<(), EngineError> {
        let stack = old.labels().get(STACK);
        if stack == Some(&stack_label(self.stack)) {
            return Ok(());
        }
        let owner = match (stack, old.labels().get("app.kubernetes.io/managed-by")) {
            (Some(stack), _) => format!("belongs to the stack {stack}"),
            (None, Some(manager)) => format!("is managed by {manager}"),
            (None, None) => "was made by somebody else".to_owned(),
        };
        Err(EngineError::Refused {
            operation: format!("write the {} {}", kind.word(), old.name_any()),
            why: format!(
                "there is one in the namespace {} already, which {owner}; choose another namespace, or remove it",
                self.namespace
            ),
        })
    }

    fn newer(&self, old: &DynamicObject) -> Result<(), EngineError> {
        match fence_of(old) {
            Some(accepted) if accepted > self.fence => {
                Err(EngineError::Superseded { accepted, offered: self.fence })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn failed(&self, verb: &str, object: &Object, error: &kube::Error) -> EngineError {
        error::failed(format!("{verb} the {} {}", object.kind.word(), object.name), error)
    }

    fn owned(&self, object: &Object, error: &kube::Error) -> EngineError {
        let kube::Error::Api(status) = error else { return self.failed("write", object, error) };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let fields: Vec<String> =
            causes.map(|cause| format!("{} ({})", cause.field, cause.message)).collect();
        EngineError::Refused {
            operation: format!("write the {} {}", object.kind.word(), object.name),
            why: format!(
                "somebody else owns {}; `--take-ownership` takes it over",
                fields.join(", ")
            ),
        }
    }
}

/// Whether an object was last written with just this.
fn same(old: &DynamicObject, hash: &str) -> bool {
    old.annotations().get(HASH).is_some_and(|it| it == hash)
}

/// The fence under which an object was written last.
fn fence_of(object: &DynamicObject) -> Option<Fence> {
    object.annotations().get(FENCE)?.parse().ok()
}

fn dynamic(manifest: &Value) -> Result<DynamicObject, kube::Error> {
    serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)
}

/// Removes the fence of a stack of which nothing else is left.
pub(crate) async fn forget(
    client: &Client,
    namespace: &str,
    stack: &StackId,
) -> Result<(), EngineError> {
    let fence = Fence::default();
    let place = Place { client, namespace, stack, fence, take_ownership: false };
    if let Some((kind, name)) = seen(client, namespace, stack).await?.into_keys().next() {
        return Err(EngineError::Failed {
            operation: format!("forget {stack}"),
            why: format!("its {} {name} is still there", kind.word()),
        });
    }
    match place.maps().delete(&fence_name(stack), &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if refusal(&error) == Refusal::NotFound => Ok(()),
        Err(error) => Err(error::failed(format!("remove the fence of {stack}"), &error)),
    }
}
