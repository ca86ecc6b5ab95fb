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
];
