//! Real servers of object stores, where they run.

use landfall_store::Objects;

/// A server that a variable names, with a prefix that nothing else uses. A line says so when there
/// is none, and the test is skipped.
pub fn server(test: &str, variable: &str) -> Option<Objects> {
    let Ok(url) = std::env::var(variable) else {
        super::skipped(test, &format!("{variable} is not set, see scripts/stores.sh"));
        return None;
    };
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let below = format!("landfall/{test}-{nanos}");
    let (store, options) = match variable {
        "LANDFALL_TEST_GCS" => {
            (format!("gs://{below}"), vec![option("service_account_key", &anonymous(&url))])
        }
        "LANDFALL_TEST_AZURE" => (
            format!("az://{below}"),
            vec![
                option("account_name", "devstoreaccount1"),
                option("access_key", AZURITE_KEY),
                option("endpoint", &format!("{url}/devstoreaccount1")),
            ],
        ),
        _ => (
            format!("s3://{below}"),
            vec![
                option("endpoint", &url),
                option("region", "us-east-1"),
                option("access_key_id", "S3RVER"),
                option("secret_access_key", "S3RVER"),
            ],
        ),
    };
    let options: Vec<_> = options.into_iter().chain([option("allow_http", "true")]).collect();
    Some(Objects::open(&store, &options).expect("options"))
}

/// Printed in Azurite's documentation: the same for everybody, and no secret.
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// An account that asks for no token, for a server that wants none.
fn anonymous(url: &str) -> String {
    format!(
        r#"{{"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true, "gcs_base_url": "{url}"}}"#
    )
}
