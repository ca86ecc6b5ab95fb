//! Who we are to a registry, as `docker login` left it.
//!
//! A configuration file names for each registry a program that keeps its credentials, or holds
//! them itself. The order is Docker's: the registry's own program, the program for all, the file.

mod file;
mod helper;

use crate::secret::Secret;
use file::File;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password or access token.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that is exchanged for others, from a log-in in a browser.
    Identity(Secret),
    /// A token that is sent as it is.
    Bearer(Secret),
}

/// Where a login was looked for, and whether there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing was looked at.
    Anonymous,
    /// This file has none for the registry, or is not there.
    NotIn(PathBuf),
    /// The program has none for the registry.
    NotFrom(String),
    /// The file has them.
    File(PathBuf),
    /// The program gave them.
    Helper(String),
    /// The caller gave them.
    Given,
}

impl fmt::Display for Source {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => to.write_str("without credentials"),
            Self::NotIn(file) => {
                write!(to, "without credentials (there are none for it in {})", file.display())
            }
            Self::NotFrom(name) => {
                write!(to, "without credentials (docker-credential-{name} has none for it)")
            }
            Self::File(file) => write!(to, "with the credentials in {}", file.display()),
            Self::Helper(name) => write!(to, "with the credentials of docker-credential-{name}"),
            Self::Given => to.write_str("with the given credentials"),
        }
    }
}

/// A login, if there is one, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// None: ask without credentials.
    pub login: Option<Login>,
    /// Where it was looked for.
    pub source: Source,
}

/// Why credentials cannot be had although something says that there are some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The configuration file cannot be read or understood.
    #[error("the credentials in {} cannot be read: {why}; repair it, or run `docker login` again", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A program that keeps credentials is missing or fails.
    #[error(
        "docker-credential-{name}, which {} names for {host}, {why}; repair it, or take it out of that file and run `docker login {host}`", file.display()
    )]
    Helper {
        /// The end of the program's name.
        name: String,
        /// The file that names it.
        file: PathBuf,
        /// The registry.
        host: String,
        /// What happened, without anything secret.
        why: String,
    },
}

/// Where to look for logins.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    given: BTreeMap<String, Login>,
    file: Option<PathBuf>,
    search: OsString,
}

impl Credentials {
    /// None at all: every registry is asked anonymously.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// As a file in the format of Docker's `config.json` says; it may be missing. Programs that it
    /// names are looked for in the folders of `search`, which is written like `PATH`.
    #[must_use]
    pub fn from_file(file: PathBuf, search: OsString) -> Self {
        Self { given: BTreeMap::new(), file: Some(file), search }
    }

    /// From `$DOCKER_CONFIG/config.json` or `$HOME/.docker/config.json`, with programs from `PATH`;
    /// `variable` gives a variable of the environment.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
        Self {
            given: BTreeMap::new(),
            file: folder.map(|folder| folder.join("config.json")),
            search: variable("PATH").unwrap_or_default(),
        }
    }

    /// With a login for one registry, which wins over what the file says. The host is written as
    /// in the names of images: `registry.example:5000`, `docker.io`.
    #[must_use]
    pub fn with(mut self, host: impl Into<String>, login: Login) -> Self {
        self.given.insert(host.into(), login);
        self
    }

    /// The login for a registry, named as in the names of images. Runs the program that keeps it
    /// if there is one, for 10 s at most.
    ///
    /// # Errors
    /// When the file is damaged, or the program is missing, fails, or says nothing in time.
    pub async fn find(&self, host: &str) -> Result<Found, CredentialsError> {
        if let Some(login) = self.given.get(host) {
            return Ok(Found { login: Some(login.clone()), source: Source::Given });
        }
        let Some(path) = &self.file else {
            return Ok(Found { login: None, source: Source::Anonymous });
        };
        let Some(file) = File::read(path).await? else {
            return Ok(Found { login: None, source: Source::NotIn(path.clone()) });
        };
        let names = names(host);
        let mut source = Source::NotIn(path.clone());
        if let Some(name) = file.helper(&names) {
            let failed = |why: String| CredentialsError::Helper {
                name: name.to_owned(),
                file: path.clone(),
                host: host.to_owned(),
                why,
            };
            let login = helper::get(name, &names[0], &self.search).await.map_err(failed)?;
            if login.is_some() {
                return Ok(Found { login, source: Source::Helper(name.to_owned()) });
            }
            source = Source::NotFrom(name.to_owned());
        }
        let wrong = |why: String| CredentialsError::File { file: path.clone(), why };
        match file.login(&names).map_err(wrong)? {
            None => Ok(Found { login: None, source }),
            login => Ok(Found { login, source: Source::File(path.clone()) }),
        }
    }
}

/// What a registry is called in the file; the first is how programs are asked. Docker's own has an
/// odd name there, for ever.
fn names(host: &str) -> Vec<String> {
    match host {
        "docker.io" => ["https://index.docker.io/v1/", "index.docker.io", "docker.io"]
            .map(str::to_owned)
            .into(),
        _ => [String::new(), "https://".to_owned(), "http://".to_owned()]
            .iter()
            .map(|scheme| format!("{scheme}{host}"))
            .collect(),
    }
}
