//! From a URL to a client of the cloud that it names.

use super::Objects;
use crate::error::{Result, StoreError};
use crate::key::Key;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::PaginatedListStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Deadlines of a single attempt, unless an option says otherwise.
const DEFAULTS: [(&str, &str); 2] = [("connect_timeout", "5s"), ("timeout", "30s")];

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_secs(45),
    }
}

/// Builds a client: the environment, then defaults, then options. A macro, because the three
/// builders are alike and share no trait.
macro_rules! client {
    ($builder:ty, $url:expr, $options:expr) => {{
        let mut builder = <$builder>::from_env();
        let defaults = DEFAULTS.iter().map(|(key, value)| (*key, *value));
        let options = $options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (name, value) in defaults.chain(options) {
            let key = name.to_ascii_lowercase().parse().map_err(|_| {
                StoreError::Usage(format!("`{name}` is no option of the store {}", shown($url)))
            })?;
            builder = builder.with_config(key, value);
        }
        let client =
            builder.with_url($url.as_str()).with_retry(retry()).build().map_err(|error| {
                StoreError::Usage(format!("cannot use the store {}: {error}", shown($url)))
            })?;
        let client = Arc::new(client);
        let objects: Arc<dyn ObjectStore> = Arc::clone(&client) as Arc<dyn ObjectStore>;
        (objects, client as Arc<dyn PaginatedListStore>)
    }};
}

pub(super) fn open(text: &str, options: &[(String, String)]) -> Result<Objects> {
    let wrong = |why: &str| {
        StoreError::Usage(format!(
            "`{text}` is no store: {why}; write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
        ))
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no bucket"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(StoreError::Usage(
            "the URL of a store has no user, password or query: credentials come from the environment".to_owned(),
        ));
    }
    let prefix = url.path().trim_matches('/').to_owned();
    if !prefix.is_empty() && Key::new(prefix.clone()).is_err() {
        return Err(wrong("its prefix may have letters, digits, `.`, `_`, `-` and `/`"));
    }
    let (objects, pages) = match url.scheme() {
        "s3" => client!(AmazonS3Builder, &url, options),
        "gs" => client!(GoogleCloudStorageBuilder, &url, options),
        "az" => client!(MicrosoftAzureBuilder, &url, options),
        other => return Err(wrong(&format!("`{other}` is not known"))),
    };
    Ok(Objects { name: name(&url, options), prefix, objects, pages })
}

fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The URL, and the server when it is not the cloud's own.
fn name(url: &Url, options: &[(String, String)]) -> String {
    let endpoint = options
        .iter()
        .find(|(key, _)| {
            matches!(key.to_ascii_lowercase().as_str(), "endpoint" | "base_url" | "aws_endpoint")
        })
        .and_then(|(_, value)| Url::parse(value).ok())
        .and_then(|endpoint| Some((endpoint.host_str()?.to_owned(), endpoint.port())));
    match endpoint {
        Some((host, Some(port))) => format!("{} at {host}:{port}", shown(url)),
        Some((host, None)) => format!("{} at {host}", shown(url)),
        None => shown(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_before_any_request() {
        for (url, why) in [
            ("ftp://x/y", "`ftp` is not known"),
            ("s3:///prefix", "names no bucket"),
            ("s3://bucket/a b", "prefix"),
            ("s3://key:secret@bucket/", "credentials come from the environment"),
            ("nonsense", "is no store"),
        ] {
            let error = open(url, &[]).expect_err(url).to_string();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let unknown = [("colour".to_owned(), "blue".to_owned())];
        let error = open("s3://bucket", &unknown).expect_err("unknown").to_string();
        assert!(error.contains("`colour` is no option"), "{error}");
    }

    #[test]
    fn a_name_says_where_the_bucket_is() {
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let options = [
            option("endpoint", "http://127.0.0.1:5000"),
            option("allow_http", "true"),
            option("region", "us-east-1"),
        ];
        let objects = open("s3://bucket/one/two/", &options).expect("a store");
        assert_eq!(objects.name, "s3://bucket/one/two at 127.0.0.1:5000");
        assert_eq!(objects.full("format"), "one/two/format");
    }
}
