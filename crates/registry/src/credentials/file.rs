//! Docker's `config.json`.

use super::{CredentialsError, Login};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// No such file is larger; what is larger is something else.
const LIMIT: u64 = 4 << 20;

/// What is read of it; everything else in it is somebody else's.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl File {
    /// Reads it; nothing when there is none.
    pub(super) async fn read(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let wrong = |why: String| CredentialsError::File { file: path.to_owned(), why };
        let size = match tokio::fs::metadata(path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        if size > LIMIT {
            return Err(wrong(format!("it has {size} bytes, and {LIMIT} is the most")));
        }
        let text = tokio::fs::read(path).await.map_err(|error| wrong(error.to_string()))?;
        // The parser's own words may show a part of the text.
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            wrong(format!(
                "line {}, column {} is no JSON of its kind",
                error.line(),
                error.column()
            ))
        })
    }

    /// The program that keeps the registry's credentials.
    pub(super) fn helper(&self, names: &[String]) -> Option<&str> {
        let own = names.iter().find_map(|name| self.cred_helpers.get(name));
        let any = Some(&self.creds_store).filter(|name| !name.is_empty());
        own.or(any).map(String::as_str)
    }

    /// The credentials in the file itself.
    pub(super) fn login(&self, names: &[String]) -> Result<Option<Login>, String> {
        let same = |key: &&String| {
            let bare = key.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
            names.iter().any(|name| name == *key || name == bare)
        };
        let Some(key) = self.auths.keys().find(same) else { return Ok(None) };
        let entry = &self.auths[key];
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Login::Identity(Secret::new(&entry.identitytoken))));
        }
        if !entry.registrytoken.is_empty() {
            return Ok(Some(Login::Bearer(Secret::new(&entry.registrytoken))));
        }
        if !entry.auth.is_empty() {
            return decode(&entry.auth)
                .map(Some)
                .ok_or_else(|| format!("`auth` of `{key}` is not NAME:PASSWORD in Base64"));
        }
        if entry.username.is_empty() {
            return Ok(None);
        }
        let (user, password) = (entry.username.clone(), Secret::new(&entry.password));
        Ok(Some(Login::Basic { user, password }))
    }
}

fn decode(auth: &str) -> Option<Login> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let password = Secret::new(password.trim_end_matches('\0'));
    Some(Login::Basic { user: user.to_owned(), password })
}
