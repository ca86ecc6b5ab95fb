//! `landfall cert`: certificates of a stack, and the local CA.

use crate::arguments::{CertCommand, Global};
use crate::failure::{Result, file, usage};
use crate::output::Output;
use crate::project::target_here;
use crate::render;
use crate::target::{ask_host, odd};
use landfall_model::{CertificateSource, ExitCode};
use landfall_protocol::agent::{PrivateKey, Reply, Request};
use std::fmt::Write as _;

pub async fn run(global: &Global, command: CertCommand, output: &Output) -> Result<ExitCode> {
    match command {
        CertCommand::Import { name, chain, key, stack } => {
            let target = target_here(global, output, stack.stack.as_deref()).await?;
            let name = name
                .parse()
                .map_err(|error: landfall_model::NameError| usage(error.to_string()))?;
            let read = |path: &std::path::Path| {
                std::fs::read_to_string(path).map_err(|error| file("read", path, &error))
            };
            let (chain_pem, key_pem) = (read(&chain)?, PrivateKey(read(&key)?));
            let request =
                Request::ImportCertificate { stack: target.id.clone(), name, chain_pem, key_pem };
            let Reply::Certificate { certificate, .. } = target.ask(output, &request).await? else {
                return Err(odd());
            };
            output.answer("certificate", &certificate, || {
                format!(
                    "version {}: {}, valid until {}\nthe next `landfall up` uses it",
                    certificate.version,
                    certificate.names.join(", "),
                    render::time(certificate.not_after)
                )
            });
        }
        CertCommand::List { stack } => {
            let target = target_here(global, output, stack.stack.as_deref()).await?;
            let Reply::Certificates { certificates } =
                target.ask(output, &Request::Certificates { stack: target.id.clone() }).await?
            else {
                return Err(odd());
            };
            let value = serde_json::json!({ "certificates": certificates });
            output.answer("certificates", &value, || {
                let mut text = String::new();
                for (name, versions) in &certificates {
                    for version in versions {
                        let source = match version.source {
                            CertificateSource::Imported => "imported",
                            CertificateSource::LocalCa => "issued by the local CA",
                            CertificateSource::Acm => "in AWS's certificate manager",
                        };
                        let _ = writeln!(
                            text,
                            "{name} version {}  {}  valid until {}  {source}  {}",
                            version.version,
                            version.names.join(", "),
                            render::time(version.not_after),
                            version.fingerprint.short()
                        );
                    }
                }
                if text.is_empty() { "no certificates".into() } else { text }
            });
        }
        CertCommand::Trust => {
            let Reply::Authority { pem, path } = ask_host(output, &Request::Authority).await?
            else {
                return Err(odd());
            };
            let value = serde_json::json!({ "pem": pem, "path": path });
            output.answer("authority", &value, || trust(&path));
        }
    }
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

fn trust(path: &str) -> String {
    format!(
        "The local development CA is {path}\n\
         It can only vouch for localhost, *.localhost, *.test and loopback addresses. Its key stays on\n\
         this machine; trust it where you develop, nowhere else.\n\n\
         curl       curl --cacert {path} https://localhost:8443/\n\
         Debian     cp {path} /usr/local/share/ca-certificates/landfall.crt && update-ca-certificates\n\
         Fedora     cp {path} /etc/pki/ca-trust/source/anchors/landfall.crt && update-ca-trust\n\
         macOS      security add-trusted-cert -k ~/Library/Keychains/login.keychain-db {path}\n\
         Chrome     certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n landfall -i {path}\n\
         Firefox    Settings, Certificates, Authorities, Import\n\
         Node       NODE_EXTRA_CA_CERTS={path}\n\
         Python     REQUESTS_CA_BUNDLE={path} or SSL_CERT_FILE={path}"
    )
}
