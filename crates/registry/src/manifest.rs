//! What a registry keeps for an image: its manifest, or an index of manifests by platform.

use landfall_model::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What a registry is told that is understood here.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What an image runs on, written `linux/amd64` or `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The system, as Go names it: `linux`.
    pub os: String,
    /// The processor, as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// A variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether what is built for `self` runs where `wanted` is asked for. A variant counts only
    /// when both name one.
    pub(crate) fn suits(&self, wanted: &Self) -> bool {
        let variants = self.variant.as_ref().zip(wanted.variant.as_ref());
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variants.is_none_or(|(mine, theirs)| mine == theirs)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(formatter, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(format!("`{text}` is not a platform: write for example `linux/amd64`"));
        }
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

/// A blob or a manifest, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub schema_version: u32,
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image, or images by platform.
#[derive(Debug)]
pub(crate) enum Content {
    Image(Manifest),
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    manifests: Vec<Descriptor>,
}

/// An image that has no `mediaType` in its text takes it from the answer's header.
#[derive(Deserialize)]
struct Image {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: u32,
    media_type: Option<String>,
}

/// Reads a manifest. The error says what it is instead.
pub(crate) fn read(bytes: &[u8], header: Option<&str>) -> Result<(String, Content), String> {
    let kind: Kind = serde_json::from_slice(bytes)
        .map_err(|error| format!("its manifest is not understood: {error}"))?;
    let header = header.map(|it| it.split(';').next().unwrap_or(it).trim().to_owned());
    let media_type = kind.media_type.or(header).unwrap_or_default();
    let malformed = |error: serde_json::Error| format!("its manifest is not understood: {error}");
    match media_type.as_str() {
        OCI_INDEX | DOCKER_INDEX => {
            let index: Index = serde_json::from_slice(bytes).map_err(malformed)?;
            Ok((media_type, Content::Index(index.manifests)))
        }
        OCI_MANIFEST | DOCKER_MANIFEST => {
            let image: Image = serde_json::from_slice(bytes).map_err(malformed)?;
            let kind = &image.config.media_type;
            if kind != OCI_CONFIG && kind != DOCKER_CONFIG {
                return Err(format!("it holds `{kind}`, which is no image that can be run"));
            }
            let manifest = Manifest {
                schema_version: 2,
                media_type: media_type.clone(),
                config: image.config,
                layers: image.layers,
                annotations: BTreeMap::new(),
            };
            Ok((media_type, Content::Image(manifest)))
        }
        _ if kind.schema_version == 1 => {
            Err("its manifest is of schema 1, which no runtime takes any more: push it again with a newer tool".to_owned())
        }
        other => Err(format!("its manifest is `{other}`, which is neither an image nor an index")),
    }
}

/// The platforms of an index, without what only describes its images (attestations).
pub(crate) fn platforms(index: &[Descriptor]) -> Vec<Platform> {
    let known = index.iter().filter_map(|entry| entry.platform.clone());
    let mut platforms: Vec<Platform> = known.filter(|platform| platform.os != "unknown").collect();
    platforms.sort();
    platforms.dedup();
    platforms
}

/// The media type of a base's layer in a manifest of OCI's kind; none when it may not be copied.
pub(crate) fn layer_type(media_type: &str) -> Option<&str> {
    match media_type {
        DOCKER_LAYER => Some(OCI_LAYER),
        OCI_LAYER
        | "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.v1.tar+zstd" => Some(media_type),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_named() {
        for (text, header, part) in [
            ("[]", None, "not understood"),
            (r#"{"schemaVersion": 1}"#, None, "schema 1"),
            (r#"{"schemaVersion": 2}"#, Some("text/html"), "`text/html`"),
            (
                r#"{"schemaVersion": 2, "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json",
                "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "size": 2}, "layers": []}"#,
                Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
                "helm",
            ),
        ] {
            let error = read(text.as_bytes(), header).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn variants_count_when_both_name_one() {
        let platform = |text: &str| text.parse::<Platform>().expect("a platform");
        assert!(platform("linux/arm64/v8").suits(&platform("linux/arm64")));
        assert!(!platform("linux/arm/v6").suits(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").suits(&platform("linux/arm64")));
        assert_eq!(platform("linux/arm64/v8").to_string(), "linux/arm64/v8");
        "linux".parse::<Platform>().expect_err("no architecture");
    }
}
