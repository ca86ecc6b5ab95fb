//! Groups of processes on this machine: shims, ports, health, logs, jobs.
