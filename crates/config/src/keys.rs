//! The keys of each part of the file, with what they say; parser, schema and help share them.

/// The keys that one kind of map may have.
pub(crate) struct Keys {
    /// The map, with its article.
    pub(crate) what: &'static str,
    /// The keys of today, with what they say.
    pub(crate) known: &'static [(&'static str, &'static str)],
    /// Keys of the design that this version cannot do, with the capability they belong to.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// The keys of today.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.known.iter().map(|(name, _)| *name)
    }

    /// The capability that a later key belongs to.
    pub(crate) fn capability(&self, key: &str) -> Option<&'static str> {
        find(self.later, key)
    }
}

/// Finds what a table says about a word.
pub(crate) fn find(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == word).map(|(_, says)| *says)
}

pub(crate) const TOP: Keys = Keys {
    what: "the file",
    known: &[
        ("landfall", "The version of the file format: `v1`."),
        ("app", "The name of the application."),
        (
            "options",
            "Typed options, which stacks, the environment and `--set` can change. Used as `${options.name}`.",
        ),
        ("services", "Groups of equal processes, by name."),
        ("hooks", "Commands that run once in a rollout."),
        ("certificates", "TLS certificates, by name. Their keys are never in the file."),
        ("listeners", "Ports that the load balancer listens on, by name."),
        ("rollout", "How to get from one release to the next."),
        (
            "stacks",
            "Places where the application runs, by name. Without it there is one stack, `local`.",
        ),
    ],
    later: &[
        ("secrets", "secrets"),
        ("monitors", "monitoring"),
        ("notify", "monitoring"),
        ("escalation", "monitoring"),
        ("tasks", "tasks"),
    ],
};

pub(crate) const OPTION: Keys = Keys {
    what: "an option",
    known: &[
        (
            "type",
            "What it holds: `string`, `integer`, `number`, `boolean`, `duration`, `size` or `url`.",
        ),
        ("default", "The value where nothing else is set. Without it each stack must set one."),
        ("min", "The smallest value, for an integer, number, duration or size."),
        ("max", "The largest value, for an integer, number, duration or size."),
        ("description", "What it is for."),
    ],
    later: &[("lookup", "look-ups")],
};

pub(crate) const SERVICE: Keys = Keys {
    what: "a service",
    known: &[
        (
            "artifact",
            "The folder, file or archive that is packed as a versioned artifact, relative to this file.",
        ),
        (
            "image",
            "The container image that the engine `kubernetes` runs. A tag is resolved to its digest when a release is made. Without `artifact` the service runs on clusters only; with one alone, an image is made of it.",
        ),
        (
            "base",
            "The image on which one is made of the artifact, for `kubernetes`. Default: nothing, for programs that bring all they need.",
        ),
        (
            "command",
            "The program and its arguments. A list; or text, which is split at spaces and not given to a shell. An image without an artifact may leave it out and run its own.",
        ),
        (
            "port",
            "The port it listens on in a container, given as `PORT`. Default 8080. On one machine each instance gets a port of its own.",
        ),
        ("replicas", "How many instances run, 0 to 500. Default 1."),
        (
            "env",
            "Environment variables. `HOST`, `PORT` and `LANDFALL_RELEASE` are given in addition.",
        ),
        (
            "env_file",
            "A file, or several, of `NAME=value` lines, read when a release is made. `env` wins over it.",
        ),
        (
            "health",
            "When an instance is ready for traffic. Default: its port takes a connection if a listener goes to it, otherwise the process runs.",
        ),
        ("stop", "How an instance is stopped."),
        ("overlap", "Whether two releases of it may run at once. Default true."),
        (
            "volumes",
            "Folders that outlive a release: a name, and the path inside the working folder.",
        ),
        ("resources", "Limits of each instance."),
    ],
    later: &[
        ("schedule", "scheduled services"),
        ("timezone", "scheduled services"),
        ("metrics", "monitoring"),
    ],
};

pub(crate) const IMAGE: Keys = Keys {
    what: "an image",
    known: &[
        ("name", "The image, like `registry.example/shop:1.2`."),
        (
            "pull",
            "`missing` (the default): nodes fetch it by the digest that a release pins. `never`: it is on every node already, no registry is asked, and its name is taken as it is.",
        ),
    ],
    later: &[],
};

pub(crate) const ARTIFACT: Keys = Keys {
    what: "an artifact",
    known: &[
        ("path", "The folder, file or archive, relative to this file."),
        (
            "include",
            "Patterns, as in a `.gitignore`, of what is packed although a `.gitignore` leaves it out.",
        ),
        (
            "exclude",
            "Patterns, as in a `.gitignore`, of what is left out; they win over `include`.",
        ),
    ],
    later: &[],
};

pub(crate) const HEALTH: Keys = Keys {
    what: "a health check",
    known: &[
        ("http", "Ask for this path: a status from 200 to 399 is good."),
        ("tcp", "`true`: the port takes a connection."),
        ("process", "`true`: the process runs."),
        ("every", "Time between two checks. Default 1s."),
        ("timeout", "Time within which an answer must come, up to ten times `every`. Default 1s."),
        ("healthy", "Good answers in a row that make an instance healthy. Default 2."),
        ("unhealthy", "Bad answers in a row that make it unhealthy. Default 3."),
    ],
    later: &[],
};

pub(crate) const STOP: Keys = Keys {
    what: "`stop`",
    known: &[
        (
            "signal",
            "The signal that asks an instance to end: `TERM`, `INT`, `QUIT`, `HUP`, `USR1` or `USR2`. Default `TERM`.",
        ),
        ("grace", "How long it may take before it is killed, up to 1h. Default 10s."),
    ],
    later: &[],
};

pub(crate) const RESOURCES: Keys = Keys {
    what: "`resources`",
    known: &[
        ("cpu", "At most this share of processors: `500m`, `2`."),
        ("memory", "At most this much memory: `256Mi`, `2Gi`."),
    ],
    later: &[],
};

pub(crate) const HOOKS: Keys = Keys {
    what: "`hooks`",
    known: &[("before", "Commands that run before traffic moves, in the order of the file.")],
    later: &[("after", "hooks after a rollout")],
};

pub(crate) const HOOK: Keys = Keys {
    what: "a hook",
    known: &[
        ("service", "The service whose artifact and environment it uses."),
        ("command", "The program and its arguments, as in a service."),
        ("timeout", "How long it may take, up to 24h. Default 5m."),
        ("on", "The verbs it runs on: `up`, `rollback`, `forward`. Default: `up`."),
        ("retry", "`safe`: it may be started again when its outcome is unknown after a crash."),
    ],
    later: &[],
};

pub(crate) const CERTIFICATE: Keys = Keys {
    what: "a certificate",
    known: &[
        ("names", "The host names, wildcards and IP addresses it must be good for."),
        ("arn", "The certificate in AWS's certificate manager, for `provider: aws-nlb`."),
    ],
    later: &[("acme", "ACME certificates")],
};

pub(crate) const LISTENER: Keys = Keys {
    what: "a listener",
    known: &[
        ("listen", "A port on all interfaces, or an IP address with a port."),
        (
            "protocol",
            "`tls` (ends TLS, forwards bytes), `tcp` (forwards bytes), `https` and `http` (understand requests).",
        ),
        ("certificate", "The certificate, for `tls` and `https`."),
        ("policy", "The named TLS policy, for `tls` and `https`."),
        (
            "hosts",
            "The host names it answers to. Default: all that no other listener on the address names.",
        ),
        ("to", "The service that gets the traffic."),
        ("redirect", "`https`, or `{ https: PORT }`: send clients there. For `http` only."),
        (
            "provider",
            "What listens on a cluster: `service` (Kubernetes' own) or `aws-nlb`. Default `aws-nlb` for `tls`, otherwise `service`. This key and those after it are for the engine `kubernetes`.",
        ),
        (
            "type",
            "The type of a `service`: `ClusterIP`, `NodePort` or `LoadBalancer`. Default `LoadBalancer`, and `NodePort` with `node_port`.",
        ),
        ("node_port", "The port of a `service` on every node. Default: the cluster chooses."),
        (
            "scheme",
            "Who reaches an `aws-nlb`: `internet-facing` (the default) or `internal` (the VPC). A change replaces it.",
        ),
        (
            "alpn",
            "The ALPN policy of an `aws-nlb`: `None`, `HTTP1Only`, `HTTP2Only`, `HTTP2Optional` or `HTTP2Preferred`. Default `None`.",
        ),
        (
            "class",
            "What makes an `aws-nlb`: `controller` (the AWS Load Balancer Controller, the default) or `auto-mode` (EKS Auto Mode).",
        ),
        ("annotations", "Annotations of your own for the Service: a name, and text."),
    ],
    later: &[],
};

pub(crate) const REDIRECT: Keys = Keys {
    what: "`redirect`",
    known: &[("https", "The port of the `https` address that clients are sent to.")],
    later: &[],
};

pub(crate) const ROLLOUT: Keys = Keys {
    what: "`rollout`",
    known: &[
        (
            "strategy",
            "`blue-green` (all new instances, then one switch) or `rolling` (one by one). Default `blue-green`.",
        ),
        ("drain", "How long connections to the old instances may finish, up to 1h. Default 30s."),
        (
            "bake",
            "How long the new release is watched before the old one goes, up to 24h. Default 0s.",
        ),
        ("deadline", "How long new instances may take to become healthy, up to 24h. Default 5m."),
    ],
    later: &[],
};

pub(crate) const STACK: Keys = Keys {
    what: "a stack",
    known: &[
        ("engine", "What runs it: `local` (this machine, the default) or `kubernetes`."),
        ("context", "The context of the kubeconfig, for `kubernetes`. Default: the current one."),
        (
            "kubeconfig",
            "The kubeconfig, for `kubernetes`, relative to this file. Default: `KUBECONFIG`, or `~/.kube/config`; inside a cluster the pod's own account.",
        ),
        (
            "registry",
            "The repository to which images that are made of artifacts are pushed, for `kubernetes`: `registry.example/shop`.",
        ),
        (
            "namespace",
            "The namespace, for `kubernetes`. Default: the one of the context, or `default`.",
        ),
        ("extends", "The stack from which it takes everything that it does not say itself."),
        ("set", "Values of options."),
        ("confirm", "Whether a person must confirm what is done to it. Default false."),
        ("services", "Changes to services: `replicas`, `resources`, `env`."),
        ("listeners", "Changes to listeners; `null` takes one away."),
        ("certificates", "Changes to certificates; `null` takes one away."),
        ("rollout", "Changes to the rollout."),
    ],
    later: &[
        ("store", "stores elsewhere"),
        ("host", "servers over SSH"),
        ("secrets", "secrets"),
        ("monitors", "monitoring"),
        ("notify", "monitoring"),
        ("escalation", "monitoring"),
    ],
};

pub(crate) const STACK_SERVICE: Keys = Keys {
    what: "a service of a stack",
    known: &[
        ("replicas", "How many instances run here."),
        ("env", "Environment variables to add or replace; `null` takes one away."),
        ("resources", "Limits to add or replace; `null` takes one away."),
    ],
    later: &[],
};

/// Types of options that this version does not have, with their capability.
pub(crate) const LATER_TYPES: &[(&str, &str)] = &[
    ("image", "container images"),
    ("arn", "the AWS engines"),
    ("list", "options with structure"),
    ("map", "options with structure"),
];

/// What references may name in the design, with the capability it belongs to.
pub(crate) const LATER_REFERENCES: &[(&str, &str)] = &[
    ("secrets", "secrets"),
    ("certificates", "references to certificates"),
    ("release", "references to the release"),
];
