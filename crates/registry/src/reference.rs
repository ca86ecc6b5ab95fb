//! Names of images.

use landfall_model::Digest;
use std::fmt;
use std::str::FromStr;

/// What a name without a host means, as everywhere.
const DEFAULT_HOST: &str = "docker.io";
const EXAMPLE: &str = "registry.example/shop/web:1.4";

/// A text that is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the name of an image: {why}; write for example `{EXAMPLE}`")]
pub struct ReferenceError {
    text: String,
    why: String,
}

/// A place for images: a registry's host and a path there, `registry.example:5000/shop/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// The registry as it is written, with its port if it has one; `docker.io` if none was.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path in the registry, such as `shop/web` or `library/nginx`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The image in this place with this digest.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Reference {
        Reference { repository: self.clone(), version: Version::Digest(digest) }
    }

    /// The image in this place that has this tag now.
    #[must_use]
    pub fn tagged(&self, tag: Tag) -> Reference {
        Reference { repository: self.clone(), version: Version::Tag(tag) }
    }

    /// The host that answers the protocol; only `docker.io` is not itself.
    pub(crate) fn endpoint(&self) -> &str {
        if self.host == DEFAULT_HOST { "registry-1.docker.io" } else { &self.host }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.path)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |why: String| ReferenceError { text: text.to_owned(), why };
        let reference: Reference = text.parse()?;
        if reference.to_string().ends_with(":latest") && !text.ends_with(":latest") {
            return Ok(reference.repository);
        }
        Err(wrong("a place to push to has neither a tag nor a digest".to_owned()))
    }
}

/// A tag: up to 128 letters, digits, `_`, `.` and `-`. A push can move it to another image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let good = text.starts_with(word)
            && text.len() <= 128
            && text.chars().all(|c| word(c) || c == '.' || c == '-');
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(ReferenceError {
            text: text.to_owned(),
            why: format!(
                "the tag `{text}` has to be 1 to 128 letters, digits, `_`, `.` and `-`, and to start with neither `.` nor `-`"
            ),
        })
    }
}

/// Which image of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Whatever has this tag now.
    Tag(Tag),
    /// This one, for ever.
    Digest(Digest),
}

/// The name of an image. A tag beside a digest is dropped, since the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    version: Version,
}

impl Reference {
    /// Where it is.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Which one it is there.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Its digest, if it is named by one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self.version {
            Version::Digest(digest) => Some(digest),
            Version::Tag(_) => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(formatter, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(formatter, "{}@{digest}", self.repository),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads `[HOST[:PORT]/]PATH[:TAG][@sha256:…]`. Without a host it is `docker.io`, and a path of
    /// one segment there is below `library/`; without a tag it is `latest`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains("://") {
        return Err("it is written without `http://` or `https://`".to_owned());
    }
    if let Some(space) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("it has {space:?} in it"));
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => {
            (name, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to the host's port.
    let start = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[start..].find(':') {
        Some(at) => (&name[..start + at], Some(name[start + at + 1..].parse::<Tag>())),
        None => (name, None),
    };
    let tag = tag.transpose().map_err(|error| error.why)?;
    let repository = repository(name)?;
    let version = match (digest, tag) {
        (Some(digest), _) => Version::Digest(digest),
        (None, Some(tag)) => Version::Tag(tag),
        (None, None) => Version::Tag(Tag("latest".to_owned())),
    };
    Ok(Reference { repository, version })
}

fn repository(name: &str) -> Result<Repository, String> {
    let is_host = |text: &str| {
        text.contains(['.', ':', '[']) || text == "localhost" || text.contains(char::is_uppercase)
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (good_host(host)?, path),
        _ => (DEFAULT_HOST, name),
    };
    if path.is_empty() {
        return Err(format!("after the registry `{host}` there is no path"));
    }
    for segment in path.split('/') {
        good_segment(segment)?;
    }
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_HOST,
        other => other,
    };
    let path = match host == DEFAULT_HOST && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    if host.len() + 1 + path.len() > 255 {
        return Err("registry and path have more than 255 characters".to_owned());
    }
    Ok(Repository { host: host.to_owned(), path })
}

fn good_host(host: &str) -> Result<&str, String> {
    let wrong = |why: &str| Err(format!("the registry `{host}` {why}"));
    let (name, port) = match (host.find(']'), host.rsplit_once(':')) {
        (Some(end), _) => match host[end + 1..].strip_prefix(':') {
            Some(port) => (&host[..=end], Some(port)),
            None if end + 1 == host.len() => (host, None),
            None => return wrong("has something between `]` and its end that is no port"),
        },
        (None, Some((name, port))) => (name, Some(port)),
        (None, None) => (host, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return wrong("has a port that is no number from 1 to 65535");
    }
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    };
    if good { Ok(host) } else { wrong("is no host name and no address") }
}

fn good_segment(segment: &str) -> Result<(), String> {
    if segment.is_empty() {
        return Err("its path has two slashes in a row, or starts or ends with one".to_owned());
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(other) = segment.chars().find(|&c| !plain(c) && !matches!(c, '.' | '_' | '-')) {
        return Err(match other.is_uppercase() {
            true => format!("`{segment}` has the capital letter `{other}`: paths are lower-case"),
            false => format!(
                "`{segment}` has `{other}` in it: paths have lower-case letters, digits, `.`, `_` and `-`"
            ),
        });
    }
    let separators = segment.split(plain).filter(|run| !run.is_empty());
    let good = segment.starts_with(plain)
        && segment.ends_with(plain)
        && separators.into_iter().all(|run| {
            matches!(run, "." | "_" | "__") || run.chars().all(|separator| separator == '-')
        });
    match good {
        true => Ok(()),
        false => Err(format!(
            "in `{segment}`, each `.`, `_`, `__` or run of `-` has to stand between letters or digits"
        )),
    }
}

#[cfg(test)]
mod tests;
