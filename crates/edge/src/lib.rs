//! The load balancer on one machine: listeners, TLS, target groups, drain and hand-over.
