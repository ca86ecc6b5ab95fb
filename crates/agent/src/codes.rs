//! The codes of what the doctor and the engine find, with what they mean.

/// Code, title, explanation.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "LF0801",
        "the edge does not answer",
        "The load balancer's process is gone or stuck. The agent starts another one with the same listening sockets within a second; connections wait in the sockets' queues meanwhile.",
    ),
    (
        "LF0802",
        "no unit",
        "Nothing starts the agent after a reboot. `landfall agent unit` prints a systemd unit that does; until then any landfall command brings everything back.",
    ),
    (
        "LF0803",
        "a stack that cannot be taken up",
        "What the store says about a stack cannot be used: a damaged object, or one that a newer program wrote. Nothing of it is touched until that is mended.",
    ),
    (
        "LF0804",
        "something stands in the way",
        "The engine or the load balancer cannot bring about what is desired: a port that somebody else has, a disk that is full. It is tried again by itself.",
    ),
    (
        "LF0805",
        "a port that cannot be had",
        "A listener's port belongs to another program, or is below 1024 and this user may not bind it. The message names the ways out.",
    ),
    (
        "LF0806",
        "a listener that another stack has",
        "Two stacks of this host want the same address for the same host name. The message names the owner; choose another port or `hosts`.",
    ),
];
