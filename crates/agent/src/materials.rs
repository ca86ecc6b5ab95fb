//! The parts of a release for the engine: blobs from the store, certificates from this host.

use crate::certificates::Certificates;
use async_trait::async_trait;
use landfall_engine::{EngineError, KeyPair, Materials};
use landfall_model::{Certificate, CertificateName, Digest, StackId};
use landfall_store::Store;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) struct HostMaterials {
    pub(crate) store: Arc<Store>,
    pub(crate) certificates: Arc<Certificates>,
    /// Where blobs are put for the engine. They are removed once they are unpacked.
    pub(crate) folder: PathBuf,
}

#[async_trait]
impl Materials for HostMaterials {
    async fn blob(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        let failed =
            |why: String| EngineError::Material { what: format!("the blob {digest}"), why };
        crate::durable::private_folder(&self.folder).map_err(|error| failed(error.to_string()))?;
        let file = self.folder.join(digest.hex());
        // What a crash left is fetched again.
        let _ = std::fs::remove_file(&file);
        self.store.fetch_blob(digest, &file).await.map_err(|error| failed(error.to_string()))?;
        Ok(file)
    }

    async fn certificate(
        &self,
        stack: &StackId,
        name: &CertificateName,
        certificate: &Certificate,
    ) -> Result<KeyPair, EngineError> {
        self.certificates.key_pair(stack, name, certificate.version).map_err(|error| {
            EngineError::Material {
                what: format!("version {} of the certificate {name}", certificate.version),
                why: error.to_string(),
            }
        })
    }
}
