//! The rollout as a pure state machine, and the one loop that drives it.
