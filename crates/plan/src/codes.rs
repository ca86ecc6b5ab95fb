//! The codes of what a plan finds, with what they mean.

/// Code, title, explanation.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "LF0901",
        "unknown TLS policy",
        "The policy is none of the load balancer's named policies. Their names are AWS's, such as `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`.",
    ),
    (
        "LF0902",
        "TLS policy that cannot be served here",
        "The edge serves the policies that it can express exactly: the same protocol versions and the same cipher suites, no more and no fewer. Policies with TLS 1.0 or 1.1, CBC suites or RSA key exchange are not among them.",
    ),
    (
        "LF0903",
        "certificate without a version",
        "A listener names a certificate of which no version is known on the host. Certificates for local names are issued by the local CA at `up`; any other has to be imported with `landfall cert import`.",
    ),
    (
        "LF0904",
        "expired certificate",
        "The version of the certificate that would be used has expired. No release with it is made; import a newer version.",
    ),
    (
        "LF0905",
        "certificate that expires soon",
        "The certificate is valid for less than fourteen days. Import a newer version and run `landfall up`: the change loses no connection.",
    ),
    (
        "LF0906",
        "certificate that is not valid yet",
        "The validity of the certificate starts in the future, or the clock of this machine is wrong.",
    ),
    (
        "LF0907",
        "certificate that does not cover a host",
        "A host of the listener is none of the certificate's names. A wildcard stands for exactly one label.",
    ),
    (
        "LF0908",
        "listener to a service without replicas",
        "Every request gets 503 until the service has replicas.",
    ),
    (
        "LF0909",
        "listener to a service that may not overlap",
        "With `overlap: false` the old instances stop before the new ones start; between the two, requests get 503 with `Retry-After`.",
    ),
    (
        "LF1101",
        "unknown TLS policy of an NLB",
        "The policy is none of AWS's named policies. Its controller does not check the name: AWS refuses it, the NLB keeps what it has, and the Service looks as before.",
    ),
    (
        "LF1102",
        "TLS policy of an NLB that takes old versions",
        "The policy takes TLS 1.0 or 1.1. It is used because the file asks for it by name; a listener that names none gets `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`, never AWS's own default of 2016.",
    ),
    (
        "LF1103",
        "certificate of an NLB without an ARN",
        "An NLB ends TLS with certificates of AWS's certificate manager (ACM), which the file names by their ARN.",
    ),
    (
        "LF1104",
        "expired certificate of an NLB",
        "The certificate has expired. Import a newer one under an ARN of its own: ACM cannot go back to what an ARN had before, so a rollback would find the new one.",
    ),
    (
        "LF1105",
        "certificate of an NLB that expires soon",
        "The certificate is valid for less than fourteen days, and imported certificates never renew by themselves. Another ARN is taken over in place.",
    ),
    (
        "LF1106",
        "certificate of an NLB that is not valid yet",
        "The validity of the certificate starts in the future, or the clock of this machine is wrong.",
    ),
    (
        "LF1107",
        "certificate of an NLB that does not cover a host",
        "A host of the listener is none of the certificate's names. A wildcard stands for exactly one label.",
    ),
    (
        "LF1108",
        "certificate of an NLB in another region",
        "An NLB takes certificates of its own region only, and the ARN names another one than the cluster's.",
    ),
    (
        "LF1109",
        "key that an NLB cannot use",
        "An NLB uses RSA keys of up to 3072 bits and ECDSA P-256, P-384 and P-521. ACM also takes RSA 4096, and the listener then does not work.",
    ),
    (
        "LF1110",
        "certificate of an NLB that was not asked about",
        "AWS's certificate manager could not be asked, so neither key nor names nor dates of the certificate are known.",
    ),
    (
        "LF1111",
        "TLS settings of a `tcp` listener",
        "A `tcp` listener of an NLB passes bytes on, so it has no certificate, policy or ALPN.",
    ),
    (
        "LF1112",
        "protocol that an NLB does not speak",
        "An NLB ends TLS (`tls`) or passes bytes on (`tcp`). It does not understand requests, so neither `http` and `https` nor redirects are possible.",
    ),
    (
        "LF1113",
        "NLBs told apart by host",
        "Each listener is an NLB of its own, and none of them looks at host names.",
    ),
    (
        "LF1114",
        "address that an NLB cannot listen on",
        "An NLB has addresses of its own; only the port is chosen, from 1 to 65535.",
    ),
    (
        "LF1115",
        "fewer than two instances behind an NLB",
        "A new target takes minutes until an NLB sends to it. With one instance, nothing serves meanwhile when a node goes.",
    ),
    (
        "LF1116",
        "health check that an NLB does not do like that",
        "AWS takes 5 to 300 s between checks, 2 to 120 s for an answer, and 2 to 10 answers in a row. The nearest is used; Kubernetes asks as the file says.",
    ),
    (
        "LF1117",
        "service behind an NLB that may not overlap",
        "With `overlap: false` the old instances stop before the new ones start, and new targets take minutes.",
    ),
    (
        "LF1118",
        "blue-green behind an NLB",
        "An NLB takes minutes to send to new targets, and what is deregistered goes at once, so a switch would lose what comes in between. Only `strategy: rolling` is possible.",
    ),
    (
        "LF1119",
        "drain behind an NLB",
        "New connections come to a target for about two minutes after it was deregistered. So an instance serves on for at least 180 s, or two minutes and the drain that the file asks for; AWS ends what is open after an hour at most.",
    ),
    (
        "LF1120",
        "connections that an NLB does not end",
        "With `deregistration_delay.connection_termination.enabled=false` connections outlive the drain and break when their instance ends.",
    ),
    (
        "LF1121",
        "annotation that says what the file says",
        "The annotation is one that Landfall writes from the file. Write the file's own key; anything else in `annotations` is passed on.",
    ),
    (
        "LF1122",
        "attribute that AWS keeps",
        "AWS's controller never resets an attribute that is no longer named. Name it with the value that it should go back to.",
    ),
    (
        "LF1123",
        "name of an NLB",
        "AWS takes names of up to 32 letters, digits and hyphens, not at the ends and not beginning with `internal-`, and does not change them later.",
    ),
    (
        "LF1124",
        "deadline shorter than an NLB takes",
        "A target is registered within about three minutes, then has to pass its health checks, and the controller registers four targets in a second. With a shorter deadline a rollout that would go well is given up.",
    ),
    (
        "LF1125",
        "proxy protocol and health checks",
        "With the proxy protocol the health checks of an NLB begin with its header too, so a service that does not speak it is never healthy.",
    ),
];
