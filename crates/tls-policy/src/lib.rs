//! Pure: the load balancer's named TLS policies, and which of them this edge can serve exactly.
