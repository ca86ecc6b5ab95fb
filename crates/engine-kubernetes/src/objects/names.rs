//! Names of objects. They are short where they can be, and never longer than Kubernetes takes.

use landfall_model::{GroupId, StackId};
use std::hash::{Hash, Hasher};

/// Kubernetes takes 63 characters in a label's value and in a Service's name; a Deployment adds
/// up to 17 for its pods.
const LONGEST: usize = 45;

/// `app.stack`, as a label's value.
#[must_use]
pub fn stack_label(stack: &StackId) -> String {
    short(&format!("{}.{}", stack.app, stack.stack), '.', 63)
}

/// The ConfigMap that holds the fence.
#[must_use]
pub fn fence_name(stack: &StackId) -> String {
    short(&format!("landfall-{}-{}", stack.app, stack.stack), '-', 63)
}

/// The Deployment and ConfigMap of a group: `shop-web-r2`.
#[must_use]
pub fn group_name(stack: &StackId, group: &GroupId) -> String {
    short(&format!("{}-{}-r{}", stack.app, group.service, group.release), '-', LONGEST)
}

/// The group that labels of a pod or Deployment name.
#[must_use]
pub fn group_of(labels: &std::collections::BTreeMap<String, String>) -> Option<GroupId> {
    let service = labels.get(super::SERVICE)?.parse().ok()?;
    let release = labels.get(super::RELEASE)?.parse().ok()?;
    Some(GroupId { service, release })
}

/// The Service of a listener or the budget of a service: `shop-public`.
#[must_use]
pub fn part_name(stack: &StackId, part: &str) -> String {
    short(&format!("{}-{part}", stack.app), '-', LONGEST)
}

/// The Job of a hook: `shop-migrate-r2-1`.
#[must_use]
pub fn job_name(stack: &StackId, job: &landfall_model::JobId) -> String {
    part_name(stack, &job.0)
}

/// Cuts what is too long and adds a hash of all of it, so that different texts stay different.
fn short(text: &str, separator: char, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    text.hash(&mut hasher);
    let hash = format!("{:08x}", hasher.finish() & 0xffff_ffff);
    let kept: String = text.chars().take(longest - hash.len() - 1).collect();
    format!("{}{separator}{hash}", kept.trim_end_matches(['-', '.']))
}

/// FNV-1a: the same on every machine and in every version of this program.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash of a manifest, to see whether it is what was applied last.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(app: &str, stack: &str) -> StackId {
        StackId { app: app.parse().expect("a name"), stack: stack.parse().expect("a name") }
    }

    #[test]
    fn names_are_readable_and_never_too_long() {
        let shop = stack("shop", "prod");
        let group = |text: &str| text.parse::<GroupId>().expect("a group");
        assert_eq!(group_name(&shop, &group("web@2")), "shop-web-r2");
        let long = format!("{}@7", "w".repeat(40));
        let name = group_name(&stack("a-long-application", "prod"), &group(&long));
        assert!(name.len() <= LONGEST, "{name}");
        let other =
            group_name(&stack("a-long-application", "prod"), &group(&long.replace('7', "8")));
        assert_ne!(name, other, "releases of a service with a long name stay apart");
    }
}
