//! The images of a release for a cluster: each by its digest, those of artifacts made here.

use crate::failure::{Failure, Result, unexpected, usage};
use crate::output::Output;
use crate::target::Target;
use futures::stream::{self, StreamExt, TryStreamExt};
use landfall_config::{ImageSource, Resolved, ResolvedService};
use landfall_model::{Content, Digest, ExitCode, ServiceName};
use landfall_registry::{
    Base, Build, Built, Client, Credentials, ImageConfig, Options, Platform, Progress, Reference,
    RegistryError, Repository, Version, build_image,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many images are asked for at once.
const AT_ONCE: usize = 8;

/// An image that a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name, with a digest unless it is on the nodes already.
    pub image: String,
    /// It is on every node already.
    pub preloaded: bool,
}

/// The images of a release, and those that still have to be pushed.
#[derive(Default)]
pub struct Images {
    pub chosen: BTreeMap<ServiceName, Chosen>,
    built: Vec<Built>,
    to: Option<Repository>,
    client: Option<Client>,
}

/// A failure of a registry as one of a verb.
fn failed(error: &RegistryError) -> Failure {
    let exit = match error {
        RegistryError::NotFound { .. } => ExitCode::NotFound,
        RegistryError::Unauthorized { .. } | RegistryError::Credentials { .. } => {
            ExitCode::Permission
        }
        RegistryError::Invalid { .. } => ExitCode::Usage,
        RegistryError::Timeout { .. } => ExitCode::Unknown,
        _ => ExitCode::Unexpected,
    };
    Failure::new(exit, error.to_string())
}

fn client() -> Result<Client> {
    let credentials = Credentials::from_environment(|name| std::env::var_os(name));
    Client::new(credentials, Options::default()).map_err(|error| failed(&error))
}

fn reference(text: &str) -> Result<Reference> {
    text.parse().map_err(|error: landfall_registry::ReferenceError| usage(error.to_string()))
}

/// Resolves what has a name, and makes an image of what has only an artifact. Nothing is pushed yet.
pub async fn images(
    target: &Target,
    resolved: &Resolved,
    packed: &BTreeMap<Digest, PathBuf>,
    artifact_of: impl Fn(&ResolvedService) -> Option<Digest>,
    work: &Path,
    output: &Output,
) -> Result<Images> {
    let mut images = Images::default();
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for service in resolved.services.values() {
        match &service.image {
            Some(ImageSource { name, preloaded: false }) => drop(wanted.insert(name)),
            Some(_) => {}
            None => wanted.extend(service.base.as_deref()),
        }
    }
    let client = client()?;
    if !wanted.is_empty() {
        output.working("asking registries for images");
    }
    let looks: Vec<_> = wanted.into_iter().map(|name| resolve(&client, name)).collect();
    let found: BTreeMap<&str, String> =
        stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut made: BTreeMap<(Digest, Option<&str>), String> = BTreeMap::new();
    for (name, service) in &resolved.services {
        let chosen = match &service.image {
            Some(image) if image.preloaded => Chosen { image: image.name.clone(), preloaded: true },
            Some(image) => Chosen { image: found[image.name.as_str()].clone(), preloaded: false },
            None => {
                let to = repository(target, name)?;
                let Some(digest) = artifact_of(service) else { continue };
                let key = (digest, service.base.as_deref());
                let image = match made.get(&key) {
                    Some(image) => image.clone(),
                    None => {
                        output.working(&format!("making the image of {name}"));
                        let base = key.1.map(|base| found[base].as_str());
                        let built = build(&client, &packed[&digest], base, work).await?;
                        let image = to.at(built.digest()).to_string();
                        images.built.push(built);
                        made.insert(key, image.clone());
                        image
                    }
                };
                images.to = Some(to);
                Chosen { image, preloaded: false }
            }
        };
        images.chosen.insert(name.clone(), chosen);
    }
    images.client = Some(client);
    Ok(images)
}

/// A name with what it stands for now. The tag stays beside the digest, for people.
async fn resolve<'n>(client: &Client, name: &'n str) -> Result<(&'n str, String)> {
    let asked = reference(name)?;
    let found = client.resolve(&asked).await.map_err(|error| failed(&error))?;
    let pinned = match asked.version() {
        Version::Tag(tag) => {
            let repository = asked.repository();
            format!("{}/{}:{tag}@{}", repository.host(), repository.path(), found.digest)
        }
        _ => found.reference.to_string(),
    };
    Ok((name, pinned))
}

/// Where images of artifacts go.
fn repository(target: &Target, service: &ServiceName) -> Result<Repository> {
    let Some(text) = target.registry() else {
        return Err(usage(format!(
            "service {service} has an artifact and no image, and a cluster runs images"
        ))
        .help(format!(
            "write `registry: registry.example/{}` in the stack, to which one is pushed; or `image:` in the service",
            target.id.app
        )));
    };
    text.parse().map_err(|error: landfall_registry::ReferenceError| usage(error.to_string()))
}

async fn build(client: &Client, archive: &Path, base: Option<&str>, work: &Path) -> Result<Built> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let platform =
        Platform { os: "linux".into(), architecture: architecture.into(), variant: None };
    let base = match base {
        None => Base::Scratch,
        Some(name) => {
            let name = reference(name)?;
            client.base(&name, &platform).await.map_err(|error| failed(&error))?
        }
    };
    let build = Build {
        archive: archive.to_owned(),
        base,
        config: ImageConfig::new(platform),
        work: work.to_owned(),
    };
    build_image(build).await.map_err(|error| unexpected("make an image", &error))
}

impl Images {
    /// Pushes what was made here; what is there already is not sent again.
    pub async fn push(&self, output: &Output) -> Result<()> {
        let (Some(client), Some(to)) = (&self.client, &self.to) else { return Ok(()) };
        for built in &self.built {
            let image = to.at(built.digest());
            output.working(&format!("pushing {image}"));
            let silent: landfall_registry::OnProgress = Arc::new(|_: Progress| {});
            let tag = format!("landfall-{}", built.digest().short()).parse().ok();
            client.push(built, to, tag.as_ref(), &silent).await.map_err(|error| failed(&error))?;
            output.note(&format!("· pushed {image}"));
        }
        Ok(())
    }
}

/// The first image of a content that its registry does not have any more.
pub async fn gone(content: &Content) -> Result<Option<String>> {
    let pinned = content.services.values().filter(|service| !service.preloaded);
    let pinned: BTreeSet<&String> = pinned.filter_map(|service| service.image.as_ref()).collect();
    if pinned.is_empty() {
        return Ok(None);
    }
    let client = client()?;
    for image in pinned {
        let there = client.exists(&reference(image)?).await.map_err(|error| failed(&error))?;
        if !there {
            return Ok(Some(image.clone()));
        }
    }
    Ok(None)
}
