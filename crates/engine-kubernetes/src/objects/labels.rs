//! Labels and annotations: how objects are found, owned and fenced.

use super::names::stack_label;
use landfall_model::{GroupId, ServiceName, StackId};
use std::collections::BTreeMap;

/// The label of everything of one stack: `app.stack`.
pub const STACK: &str = "landfall.dev/stack";
/// The label with the service.
pub const SERVICE: &str = "landfall.dev/service";
/// The label with the release's number.
pub const RELEASE: &str = "landfall.dev/release";
/// The label that Services select, of pods that take traffic; hooks have none.
pub const GROUP: &str = "landfall.dev/group";
/// The annotation with the fence under which an object was written last.
pub const FENCE: &str = "landfall.dev/fence";
/// The annotation with a hash of what was written last.
pub const HASH: &str = "landfall.dev/hash";
/// The annotation with the shares of a listener's traffic, as JSON.
pub const WEIGHTS: &str = "landfall.dev/weights";
/// The label, and the field manager, that say who manages an object.
pub const MANAGED_BY: &str = "landfall";

/// Labels of an object of a stack. `app.kubernetes.io/*` are the ones that Kubernetes recommends,
/// by which its own tools find things.
pub(super) fn of_stack(stack: &StackId) -> BTreeMap<String, String> {
    labels([
        ("app.kubernetes.io/managed-by", MANAGED_BY.to_owned()),
        ("app.kubernetes.io/part-of", stack.app.to_string()),
        ("app.kubernetes.io/instance", stack_label(stack)),
        (STACK, stack_label(stack)),
    ])
}

/// Labels of an object of a service.
pub(super) fn of_service(stack: &StackId, service: &ServiceName) -> BTreeMap<String, String> {
    let mut all = of_stack(stack);
    all.extend(labels([
        ("app.kubernetes.io/name", service.to_string()),
        (SERVICE, service.to_string()),
    ]));
    all
}

/// Labels of an object of a service of a release.
pub(super) fn of_group(stack: &StackId, group: &GroupId) -> BTreeMap<String, String> {
    let mut all = of_service(stack, &group.service);
    all.extend(labels([
        ("app.kubernetes.io/version", group.release.to_string()),
        (RELEASE, group.release.to_string()),
    ]));
    all
}

/// What the pods of a service are found by, and only those of one release when it is given.
#[must_use]
pub fn selector(
    stack: &StackId,
    service: &ServiceName,
    release: Option<String>,
) -> BTreeMap<String, String> {
    let mut all = labels([
        (STACK, stack_label(stack)),
        (SERVICE, service.to_string()),
        (GROUP, "serves".to_owned()),
    ]);
    all.extend(release.map(|release| (RELEASE.to_owned(), release)));
    all
}

pub(super) fn labels<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
