//! The rollout policy.

use super::health::DAY;
use super::{At, Decoder};
use crate::keys;
use crate::tree::Node;
use landfall_model::{Millis, RolloutPolicy, Strategy};

/// The policy with the place of its deadline.
pub(crate) struct DraftRollout {
    pub(crate) policy: RolloutPolicy,
    /// The deadline that the file gives.
    pub(crate) deadline: Option<At<Millis>>,
}

const HOUR: Millis = Millis::from_secs(3600);
const STRATEGIES: [(&str, Strategy); 2] =
    [("blue-green", Strategy::BlueGreen), ("rolling", Strategy::Rolling)];
const DEFAULT: RolloutPolicy = RolloutPolicy {
    strategy: Strategy::BlueGreen,
    drain: Millis::from_secs(30),
    bake: Millis(0),
    deadline: Millis::from_secs(300),
};

impl Decoder<'_, '_> {
    /// `rollout`, with its defaults; nothing when it is wrong.
    pub(crate) fn rollout(&mut self, root: &Node) -> Option<DraftRollout> {
        let Some(entry) = root.get("rollout") else {
            return Some(DraftRollout { policy: DEFAULT, deadline: None });
        };
        if entry.value.is_null() {
            self.no_value(entry, "rollout");
            return None;
        }
        let what = "`rollout`".to_owned();
        let fields = self.fields(&entry.value, &keys::ROLLOUT, &entry.key_span, what)?;
        let strategy = match fields.get("strategy") {
            None => Some(DEFAULT.strategy),
            Some(entry) => self.word(&entry.value, &fields.of("strategy"), &STRATEGIES, &[]),
        };
        let drain = self.span_or(&fields, "drain", DEFAULT.drain, (Millis(0), HOUR));
        let bake = self.span_or(&fields, "bake", DEFAULT.bake, (Millis(0), DAY));
        let deadline = self.span_or(&fields, "deadline", DEFAULT.deadline, (Millis(1000), DAY));
        let policy =
            RolloutPolicy { strategy: strategy?, drain: drain?, bake: bake?, deadline: deadline? };
        let deadline = fields
            .get("deadline")
            .map(|entry| At { value: policy.deadline, span: entry.value.span.clone() });
        Some(DraftRollout { policy, deadline })
    }
}
