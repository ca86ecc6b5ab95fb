//! The composition root on a host: owns the store, drives rollouts, supervises, starts the edge.
