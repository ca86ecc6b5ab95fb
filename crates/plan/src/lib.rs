//! Pure: the difference between two releases, the steps to get there, and why.
