//! Every diagnostic that the file can cause: its stable code, its title, and what is behind it.
//!
//! The reference documentation is generated from [`ALL`]; a test keeps a bad file for each entry.

use std::fmt;

/// A stable diagnostic code. Codes are never reused for another meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The code as people see it, `LF0201`.
    pub id: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is an error and what to do, for the reference.
    pub explanation: &'static str,
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id)
    }
}

impl Code {
    /// Finds a code by its id, for `landfall explain LF0201`.
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        ALL.iter().copied().find(|code| code.id.eq_ignore_ascii_case(id))
    }
}

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!($id, ": ", $title, ".")]
        pub const $name: Code = Code { id: $id, title: $title, explanation: $explanation };)*
        /// Every code, in the order of the reference.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    TOO_LARGE = "LF0101", "the file is too large",
        "A `landfall.yaml` may have up to 1 MiB. Move generated data into a file that the artifact carries, or into an `env_file`.";
    SYNTAX = "LF0102", "not valid YAML",
        "The text could not be read as YAML, so nothing after this place was checked. The usual reasons are a tab in the indentation, a `: ` or a leading `*`, `&`, `@` inside text without quotes, and a bracket or quote that is not closed.";
    TOO_DEEP = "LF0103", "nested too deep",
        "Nothing in the file needs more than 32 levels of nesting.";
    ALIAS = "LF0104", "anchors and aliases are not used here",
        "Anchors (`&name`) and aliases (`*name`) make a value depend on a far place and can multiply a small file into a huge one. Use `options` with `${options.name}` for a shared value, and `stacks` with `extends` for shared settings. Text that starts with `*` or `&` needs quotes.";
    TAG = "LF0105", "tags are not used here",
        "A YAML tag (`!!str`, `!Name`) changes what a value means. Every key has one fixed type here, so a tag has nothing to say. Text that starts with `!` needs quotes.";
    SEVERAL_DOCUMENTS = "LF0106", "more than one document",
        "A file holds one application: a `---` that starts a second document is an error. Use one folder and one `landfall.yaml` for each application.";
    DUPLICATE_KEY = "LF0107", "a key is written twice",
        "YAML readers differ in which of the two they keep, so neither is taken.";
    MERGE_KEY = "LF0108", "merge keys are not used here",
        "`<<` is an extension of YAML 1.1. Use `stacks` with `extends`, or `options`.";
    KEY_NOT_TEXT = "LF0109", "a key is not text",
        "Every key is a word. Lists, maps and nothing at all cannot be keys.";
    NO_MAP = "LF0110", "the file is not a map of keys",
        "The file starts with `landfall: v1` and `app: NAME`. An empty file, a list or a single text is no application.";

    UNKNOWN_KEY = "LF0201", "unknown key",
        "The key does not exist at this place. It is an error and not ignored, because a misspelled key would otherwise silently have no effect.";
    MISSING_KEY = "LF0202", "a key is missing",
        "The key is needed here and has no sensible default.";
    WRONG_TYPE = "LF0203", "wrong type",
        "The value has another type than the key wants: for example a list where text stands, or text in quotes where a number stands.";
    OLD_BOOLEAN = "LF0204", "not a boolean",
        "`yes`, `no`, `on`, `off`, `True` are booleans in some YAML readers and text in others. Write `true` or `false`.";
    UNKNOWN_WORD = "LF0205", "not one of the possible words",
        "The key takes one of a few words, and this is none of them.";
    BAD_NAME = "LF0206", "not a name",
        "Names have up to 40 lower-case letters, digits and `-` (`_` for options) and start with a letter. They become part of paths, host names and environment variables, and are safe in all of them.";
    OUT_OF_RANGE = "LF0207", "a number is out of range",
        "The number is too small or too large for its key.";
    BAD_QUANTITY = "LF0208", "not a quantity",
        "Durations are written `500ms`, `10s`, `5m`, `1h30m`; sizes `256Mi`, `2Gi`, `500M`; shares of processors `500m` or `2`. A bare number has no unit and is not taken for a duration.";
    NO_VALUE = "LF0209", "a key has no value",
        "The key stands there without a value, or with `null`. Only a stack may write `null`, to take something away that it inherits.";
    EMPTY = "LF0210", "nothing in it",
        "An empty list, map or text has no meaning here.";
    UNKNOWN_FORMAT = "LF0211", "an unknown version of the file format",
        "The file must begin with `landfall: v1`. A newer version needs a newer Landfall.";
    NOT_YET = "LF0212", "not part of this version",
        "The key or word belongs to the design of Landfall, but this version cannot do it yet. It is an error, because ignoring it would promise something that does not happen.";
    EXCLUSIVE = "LF0213", "keys that exclude each other",
        "Only one of the keys can be given: each is a different answer to the same question.";
    NOT_HERE = "LF0214", "a key that has no meaning here",
        "The key exists, but not together with what else is said here: for example a `certificate` on a `tcp` listener, where TLS does not end.";
    BAD_ANNOTATION = "LF0215", "not an annotation",
        "Annotations of a listener's Service are named as Kubernetes names them: an optional domain and `/`, then up to 63 letters, digits, `-`, `_` and `.`. Those of `landfall.dev/` are written by Landfall itself.";
    BAD_ARN = "LF0216", "not the ARN of a certificate",
        "`arn` of a certificate names one in AWS's certificate manager: `arn:aws:acm:REGION:ACCOUNT:certificate/ID`. An NLB only takes one of its own region.";
    BAD_IMAGE = "LF0217", "not a container image",
        "`image` names a container image as registries do: `registry.example/shop:1.2`, or with a digest, `registry.example/shop@sha256:…`.";
    BAD_NAMESPACE = "LF0218", "not a namespace",
        "A namespace of Kubernetes has up to 63 lower-case letters, digits and `-`, and begins and ends with a letter or digit.";
    WRONG_ENGINE = "LF0219", "not on this engine",
        "The stack's engine cannot do this. Processes on one machine run from an `artifact`; a cluster's Services forward bytes (`tcp`) and an NLB also ends TLS (`tls`), but neither understands requests.";

    UNKNOWN_OPTION = "LF0301", "no such option",
        "An option must be declared under `options` with its type before it can be used, or set by a stack, by `--set`, or by `LANDFALL_OPTION_NAME`.";
    OPTION_WITHOUT_VALUE = "LF0302", "an option has no value",
        "The option has no `default`, and neither the stack, nor the environment, nor `--set` gives it a value.";
    OPTION_WRONG_TYPE = "LF0303", "the value does not fit the option's type",
        "Options are typed, so that a mistake is found where the value is written and not where it is used.";
    OPTION_OUT_OF_RANGE = "LF0304", "the value is outside the option's range",
        "The option declares a `min` or `max`.";
    BAD_REFERENCE = "LF0305", "a reference that cannot be read",
        "A reference is written `${options.name}`, without spaces or expressions. Text that really contains `${` is written `$${`.";
    UNKNOWN_REFERENCE = "LF0306", "a reference to something unknown",
        "References are made to options: `${options.name}`. The environment of the machine that deploys is deliberately not readable from the file; declare an option and set it with `LANDFALL_OPTION_NAME`.";
    REFERENCE_WRONG_TYPE = "LF0307", "the option's type does not fit here",
        "A reference that is the whole value keeps the option's type, and the key wants another one. Change the option's `type`.";
    BAD_RANGE = "LF0308", "an impossible range",
        "`min` must not be larger than `max`, and both need a type that has an order: integer, number, duration or size.";
    REFERENCE_NOT_HERE = "LF0309", "no reference can stand here",
        "What decides which options exist, and their values, cannot itself depend on options: `landfall`, `app`, `options`, names, and a stack's `engine`, `extends`, `confirm` and `set` are literal.";
    UNUSED_OPTION = "LF0310", "an option is never used",
        "A warning: nothing in the file refers to the option. Is the reference misspelled, or can the option go?";

    UNKNOWN_SERVICE = "LF0401", "no such service",
        "A listener or hook names a service that is not under `services`.";
    UNKNOWN_CERTIFICATE = "LF0402", "no such certificate",
        "A listener names a certificate that is not under `certificates`.";
    NOTHING_TO_CHANGE = "LF0403", "a stack changes something that is not there",
        "A stack's `services`, and a `null` or an incomplete entry under its `listeners` and `certificates`, change what the file or an extended stack has declared. What is not declared cannot be changed.";
    UNKNOWN_STACK = "LF0404", "no such stack",
        "`extends`, or the stack that was asked for, names a stack that is not under `stacks`.";
    EXTENDS_CYCLE = "LF0405", "stacks extend each other in a circle",
        "A stack takes everything from the one that it extends, so the chain must end.";
    SAME_ADDRESS = "LF0406", "two listeners for the same traffic",
        "Listeners may share an address when their `hosts` differ; at most one of them may be without `hosts` and takes the rest. Beside that, a port can be bound once: `[::]:8443` takes the port on every address, so `127.0.0.1:8443` cannot be had as well.";
    MIXED_ADDRESS = "LF0407", "protocols that cannot share an address",
        "`tls` and `https` can share an address, told apart by the host name in the TLS handshake; `http` shares with `http`. `tcp` carries no host name and needs an address of its own.";
    REDIRECT_TARGET = "LF0408", "a redirect without a clear target",
        "`redirect: https` goes to the port of the only `https` or `tls` listener. When there is none, or several ports, write the port: `redirect: { https: 8443 }`.";
    SHARED_VOLUME = "LF0409", "two volumes at one path",
        "Each volume of a service has a path of its own, and none lies inside another.";

    IMPOSSIBLE_DURATION = "LF0501", "an impossible duration",
        "The duration is zero where time must pass, longer than its limit, or contradicts another one. A health check's `every` is 10ms to 1h; its `timeout` 1ms to 1h, and at most ten times `every`, because more checks would wait at once. `grace` and `drain` are up to 1h, `bake` up to 24h, a rollout's `deadline` and a hook's `timeout` 1s to 24h. The deadline must leave time for the good answers that make an instance healthy: `healthy` times `every`.";
    BAD_COMMAND = "LF0502", "a command that needs a shell",
        "A command given as text is split at spaces, with quotes as a shell reads them, and nothing is expanded. When it needs a pipe, a variable or a pattern, say so: `[sh, -c, \"…\"]`.";
    BAD_VARIABLE = "LF0503", "not the name of an environment variable",
        "Names of environment variables have letters, digits and `_`, and do not start with a digit.";
    RESERVED_VARIABLE = "LF0504", "a variable that Landfall sets",
        "`HOST`, `PORT` and everything that starts with `LANDFALL_` is given by Landfall to each instance. Two instances of a service run at once in a rollout, so they cannot have one fixed port.";
    BAD_PATH = "LF0505", "not a path that can be used here",
        "The path of an env_file is relative to the folder of the file, that of a volume to the working folder of the service, and both stay inside. An artifact may lie anywhere. `~` and `\\` have no meaning here.";
    ENV_FILE_MISSING = "LF0506", "an env_file cannot be read",
        "The file is read from the folder of `landfall.yaml` when a stack is resolved, and must exist, be text, and have up to 256 KiB.";
    ENV_FILE_SYNTAX = "LF0507", "an env_file has a line that cannot be read",
        "Each line is `NAME=value`, a comment, or empty. Values may be in single or double quotes; nothing is expanded.";
    BAD_ADDRESS = "LF0508", "not an address to listen on",
        "Write a port (`8443`, on all interfaces) or an IP address with a port (`127.0.0.1:8443`, `[::1]:8443`). Names are not looked up.";
    BAD_HOST = "LF0509", "not a host name",
        "Host names have labels of letters, digits and `-`, separated by dots; `*.` may stand in front. Certificates may also be for IP addresses.";
    BAD_HEALTH_PATH = "LF0510", "not a path to ask for",
        "The path of an HTTP health check begins with `/` and has neither spaces nor a fragment.";
    UNUSED_CERTIFICATE = "LF0511", "a certificate is never used",
        "A warning: no listener of any stack uses the certificate.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(Code::find("lf0201"), Some(UNKNOWN_KEY));
        assert_eq!(Code::find("LF9999"), None);
    }
}
