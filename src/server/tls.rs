//! TLS of the server's own (promise R26): 1.2 and 1.3, by rustls. Behind a proxy none is needed.

use std::{io, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::access::Wrong;

/// A certificate and its key, ready for connections.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Tls {
    /// Of a chain of certificates and a private key, both as PEM.
    ///
    /// # Errors
    /// The setting at fault and what is wrong; never what is in a file.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, Wrong> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .or(Err(("tls.certificate", "the file is no PEM file of certificates".to_owned())))?;
        if chain.is_empty() {
            return Err(("tls.certificate", "there is no certificate in the file".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .or(Err(("tls.key", "there is no private key (PEM) in the file".to_owned())))?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config
            .map_err(|e| ("tls.key", format!("the certificate and the key do not go together: {e}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The encrypted connection on `stream`, whose handshake must be over within `patience`.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.0)).accept(stream);
        tokio::time::timeout(patience, handshake).await?
    }
}
