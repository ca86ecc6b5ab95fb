//! The file: parsed with spans, checked, overlaid per stack and resolved with provenance.
//!
//! A mistake in `landfall.yaml` must be found before anything is touched, all mistakes at once, and
//! each with its place and the way out. What goes in is the text of the file ([`parse`]), then the
//! stack that was chosen, values from outside and the files beside it ([`Config::resolve`]). What
//! comes out is a [`Resolved`] stack in which nothing is left open, or [`Diagnostics`].
//!
//! The way through: `read` makes a tree with places from YAML events; `overlay` lays a stack's
//! changes over it; `substitute` puts option values in place with their types; `decode` turns the
//! tree into values; `check` holds the parts against each other. Every step goes on after an error.
//!
//! Beside that: [`codes`] is the table of all diagnostics, [`schema()`] the JSON Schema of the file,
//! and [`init`] proposes a first file for a folder.

mod check;
pub mod codes;
mod config;
mod decode;
mod diagnostic;
mod env_file;
mod files;
pub mod init;
mod keys;
mod nearest;
mod options;
mod overlay;
mod read;
mod resolve;
mod schema;
mod source;
mod stacks;
mod substitute;
mod template;
mod tree;

pub use config::{Config, parse};
pub use diagnostic::{Diagnostic, Diagnostics, Label};
pub use files::{Files, FolderFiles};
pub use options::{Overrides, VARIABLE_PREFIX};
pub use resolve::{
    ArtifactSource, CertificateRequest, ClusterChoice, EngineChoice, ImageSource, Resolved,
    ResolvedService,
};
pub use schema::schema;
pub use source::{SourceFile, Span};
