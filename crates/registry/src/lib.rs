//! Images: what a name means today, whether it is still there, and how an artifact becomes one.
//!
//! A name such as `registry.example/shop:1.4` goes in, and [`Client::resolve`] gives the digest it
//! stands for, which no later push can move. [`build_image`] makes an image of a packed artifact
//! without Docker and without a daemon: the same archive, base and configuration give the same
//! bytes, hence the same digest. [`Client::push`] sends what the registry does not have yet.
//!
//! The protocol is spoken here, over `reqwest`: what an answer may hold is limited before it is
//! read, every request has a deadline, and each failure says who refused what with whose
//! credentials. Nothing here reads the process's environment, and no secret can be printed.
//!
//! Facts of the field: the [distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md),
//! the [image specification](https://github.com/opencontainers/image-spec), and for tokens Docker's
//! [authentication](https://distribution.github.io/distribution/spec/auth/token/).

mod client;
mod credentials;
mod digest;
mod error;
mod image;
mod manifest;
mod push;
mod reference;
mod secret;
mod wire;

pub use client::{Client, Options, Resolved, Scheme};
pub use credentials::{Credentials, CredentialsError, Found, Login, Source};
pub use error::{Missing, RegistryError};
pub use image::{Base, BaseImage, Build, Built, ImageConfig, ImageError, build_image};
pub use manifest::Platform;
pub use push::{OnProgress, Progress};
pub use reference::{Reference, ReferenceError, Repository, Tag, Version};
pub use secret::Secret;
