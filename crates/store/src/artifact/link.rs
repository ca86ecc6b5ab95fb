//! Which symbolic links stay inside.

use std::path::{Component, Path};

/// Whether a link at `place` (relative to the root) with this target stays inside the root.
///
/// `..` is good only at the target's start, where what it climbs are real folders: after a name it
/// could climb out of a link to elsewhere. From there only names follow, and each of them that is
/// a link stays inside by this very rule.
pub(super) fn stays_inside(place: &Path, target: &Path) -> bool {
    let depth = place.components().count().saturating_sub(1);
    let (mut climbed, mut named) = (0_usize, false);
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if named => return false,
            Component::ParentDir => climbed += 1,
            Component::Normal(_) => named = true,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    climbed <= depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_judged_by_where_they_could_lead() {
        for (place, target, fine) in [
            ("a", "b", true),
            ("a", ".", true),
            ("a/b/c", "../d", true),
            ("a/b/c", "../../d", true),
            ("a/b/c", "../../../d", false),
            ("a", "..", false),
            ("a", "/etc/passwd", false),
            ("a", "b/../c", false),
            ("a/b", "./../c", true),
        ] {
            assert_eq!(
                stays_inside(Path::new(place), Path::new(target)),
                fine,
                "{place} → {target}"
            );
        }
    }
}
