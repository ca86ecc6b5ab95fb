//! From a packed artifact to an image, without Docker.
//!
//! The image is a base's layers, if there is a base, and one more: the artifact below the working
//! folder, with entries in the order of their names' bytes, owned by root, modes 0644 or 0755, no
//! times. It is compressed with gzip, which every version of containerd takes. So the same archive,
//! base and configuration give the same bytes with the same program; an upgrade of its compressor
//! may give a layer another digest once, which costs one upload.
//!
//! The image says neither what is started nor how it is looked at: that is the release's business.

mod config;
mod layer;

use crate::digest::digest_of;
use crate::manifest::{
    Descriptor, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Platform, layer_type,
};
use crate::reference::Reference;
use config::ImageFile;
use landfall_model::Digest;
use layer::Layer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it runs on.
    pub platform: Platform,
    /// Where the artifact is, and where its process starts: an absolute path.
    pub workdir: String,
    /// As whom it runs, `USER:GROUP`. Numbers, since an image from nothing knows no names.
    pub user: String,
    /// Variables of its environment, over those of the base.
    pub environment: BTreeMap<String, String>,
    /// Labels, over those of the base.
    pub labels: BTreeMap<String, String>,
    /// The TCP port that it listens on; only told, nothing is opened by it.
    pub port: Option<u16>,
    /// The signal that asks it to stop, such as `SIGINT`; without one it is the base's or `SIGTERM`.
    pub stop_signal: Option<String>,
}

impl ImageConfig {
    /// With `/app` as the working folder and `10001:10001` as the user.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            workdir: "/app".to_owned(),
            user: "10001:10001".to_owned(),
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            port: None,
            stop_signal: None,
        }
    }
}

/// What an image is built on.
#[derive(Debug, Clone)]
pub enum Base {
    /// Nothing: the artifact has to bring all that it needs.
    Scratch,
    /// Another image, read by [`crate::Client::base()`].
    Image(Box<BaseImage>),
}

/// An image that others are built on. Its layers stay where they are until a push needs them.
#[derive(Debug, Clone)]
pub struct BaseImage {
    reference: Reference,
    layers: Vec<Descriptor>,
    file: ImageFile,
}

impl BaseImage {
    pub(crate) fn new(
        reference: Reference,
        manifest: Manifest,
        configuration: &[u8],
        platform: &Platform,
    ) -> Result<Self, String> {
        let file = ImageFile::read(configuration)?;
        let built_for = file.platform();
        if !built_for.suits(platform) {
            return Err(format!("it is built for {built_for}, and {platform} is asked for"));
        }
        if file.layers() != manifest.layers.len() {
            return Err("its configuration and its manifest do not have the same layers".to_owned());
        }
        let layers = manifest.layers.into_iter().map(|layer| match layer_type(&layer.media_type) {
            Some(kind) => Ok(Descriptor { media_type: kind.to_owned(), ..layer }),
            None => Err(format!(
                "its layer {} is `{}`, which may not be copied",
                layer.digest, layer.media_type
            )),
        });
        Ok(Self { reference, layers: layers.collect::<Result<_, _>>()?, file })
    }

    /// The base by the digest of its manifest for the platform.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }
}

/// What an image is built of.
#[derive(Debug, Clone)]
pub struct Build {
    /// A packed artifact: a tar archive, compressed with zstd.
    pub archive: PathBuf,
    /// What is below it.
    pub base: Base,
    /// What it says of itself.
    pub config: ImageConfig,
    /// A folder for temporary files: the unpacked artifact's size, and the layer's until it is
    /// dropped.
    pub work: PathBuf,
}

/// A built image: its layer is in a temporary file that goes with it.
#[derive(Debug)]
pub struct Built {
    digest: Digest,
    manifest: Vec<u8>,
    config_digest: Digest,
    config: Vec<u8>,
    layer: Layer,
    base: Option<Box<BaseImage>>,
}

impl Built {
    /// The digest of its manifest: its name in any registry.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Its manifest, as JSON.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Its configuration, as JSON, and the digest of it.
    #[must_use]
    pub fn config(&self) -> (&[u8], Digest) {
        (&self.config, self.config_digest)
    }

    /// The digest of the artifact's layer as it is stored.
    #[must_use]
    pub const fn layer_digest(&self) -> Digest {
        self.layer.digest
    }

    /// The size of the artifact's layer as it is stored, in bytes.
    #[must_use]
    pub const fn layer_size(&self) -> u64 {
        self.layer.size
    }

    pub(crate) fn layer_file(&self) -> &Path {
        self.layer.file.path()
    }

    /// The base, and what of it has to be in a registry beside the image.
    pub(crate) fn base(&self) -> Option<(&Reference, &[Descriptor])> {
        self.base.as_ref().map(|base| (&base.reference, base.layers.as_slice()))
    }
}

/// Why an image cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive cannot be read, or is damaged.
    #[error("the artifact {path} cannot be made an image: {why}")]
    Archive {
        /// The archive.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An entry of the archive cannot be in an image.
    #[error("the artifact has the entry `{entry}`, which {why}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// The archive is larger than allowed.
    #[error("the artifact holds more than {0}: no image is made of it")]
    TooLarge(String),
    /// A temporary file cannot be written.
    #[error("cannot write the image's layer in {folder}: {why}")]
    Write {
        /// The folder for temporary files.
        folder: String,
        /// Why not.
        why: String,
    },
    /// The configuration makes no sense.
    #[error("the image's {0}")]
    Config(String),
}

/// Builds an image, off this thread, since it compresses. At most the names of the artifact's files
/// are held in memory.
///
/// # Errors
/// When the archive cannot be read or has something in it that no image can have, when the
/// configuration makes no sense or is for another platform than the base, or the disk is full.
pub async fn build_image(build: Build) -> Result<Built, ImageError> {
    let archive = build.archive.display().to_string();
    let built = tokio::task::spawn_blocking(move || build_now(build)).await;
    built.unwrap_or_else(|error| Err(ImageError::Archive { path: archive, why: error.to_string() }))
}

fn build_now(build: Build) -> Result<Built, ImageError> {
    config::check(&build.config)?;
    let base = match build.base {
        Base::Scratch => None,
        Base::Image(base) => Some(base),
    };
    if let Some(base) = &base {
        let (theirs, ours) = (base.file.platform(), &build.config.platform);
        if !theirs.suits(ours) {
            return Err(ImageError::Config(format!(
                "platform is {ours}, and its base {} is for {theirs}",
                base.reference
            )));
        }
    }
    let layer = layer::write(&build.archive, &build.config.workdir, &build.work)?;
    let file =
        ImageFile::build(base.as_ref().map(|base| &base.file), &build.config, layer.unpacked);
    let config = file.json();
    let config_digest = digest_of(&config);
    let mut layers = base.as_ref().map(|base| base.layers.clone()).unwrap_or_default();
    layers.push(descriptor(OCI_LAYER, layer.digest, layer.size));
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: descriptor(OCI_CONFIG, config_digest, config.len() as u64),
        layers,
        annotations: base.as_ref().map(|base| annotations(&base.reference)).unwrap_or_default(),
    };
    let manifest = serde_json::to_vec(&manifest).expect("a manifest has only text and numbers");
    let digest = digest_of(&manifest);
    Ok(Built { digest, manifest, config_digest, config, layer, base })
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest, size, platform: None }
}

/// So that scanners know the base.
fn annotations(base: &Reference) -> BTreeMap<String, String> {
    let key = |name: &str| format!("org.opencontainers.image.base.{name}");
    let digest = base.digest().map(|digest| (key("digest"), digest.to_string()));
    digest.into_iter().chain([(key("name"), base.repository().to_string())]).collect()
}
