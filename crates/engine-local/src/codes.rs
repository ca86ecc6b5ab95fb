//! The codes of what this engine finds, with what they mean.

/// Code, title, explanation.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "LF0701",
        "services are not isolated",
        "As root, from a folder that others may pass through, each service of each stack runs as a user of its own and can read neither the agent's keys nor another service's environment. Otherwise all of them run as the agent's user.",
    ),
    (
        "LF0702",
        "limits are not enforced",
        "`resources` are set, and this host does not let the engine make control groups with them. Run the agent as root, or from a systemd unit with `Delegate=yes`.",
    ),
    (
        "LF0703",
        "port ranges overlap",
        "The range that instances get their ports from overlaps the one that the kernel takes local ports from, so a port may be taken at the wrong moment. Move `net.ipv4.ip_local_port_range`.",
    ),
    (
        "LF0704",
        "volume outside the working folder",
        "A volume's path has to lie inside the service's working folder.",
    ),
];
