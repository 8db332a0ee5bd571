//! TLS: trusted certificates and the cryptography provider.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, TlsCertificates};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::failure::unavailable;
use crate::store::StoreError;

/// Which certificates are trusted.
#[derive(Clone, Default)]
pub enum Trust {
    /// The system's, or Mozilla's if the system has none.
    #[default]
    System,
    File(PathBuf),
    Pem(Vec<u8>),
}

impl Trust {
    /// The trusted certificates, or `None` for the compiled-in ones.
    pub fn root_pem(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let pem = match self {
            Self::System => return Ok(system_roots()),
            Self::Pem(pem) => pem.clone(),
            Self::File(path) => std::fs::read(path).map_err(|error| {
                StoreError::unavailable(format!("cannot read {}: {error}", path.display()))
            })?,
        };
        match CertificateDer::pem_slice_iter(&pem).next() {
            Some(Ok(_)) => Ok(Some(pem)),
            _ => Err(StoreError::unavailable("the CA certificate is not in PEM format")),
        }
    }

    /// Creates a client for this address.
    pub fn client(&self, url: &str) -> Result<Client, StoreError> {
        let info =
            url.into_connection_info().map_err(unavailable)?.set_tcp_settings(tcp_settings());
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return match self {
                Self::System => Client::open(info).map_err(unavailable),
                _ => Err(StoreError::unavailable(
                    "a CA certificate is set, but the address does not begin with rediss://",
                )),
            };
        }
        let certificates = TlsCertificates { client_tls: None, root_cert: self.root_pem()? };
        Client::build_with_tls(info, certificates).map_err(unavailable)
    }
}

/// Without Nagle's algorithm, which holds back a command while an earlier one is not acknowledged.
pub fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn system_roots() -> Option<Vec<u8>> {
    let mut parsable = RootCertStore::empty();
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let text = STANDARD.encode(&certificate);
        // redis-rs rejects the whole bundle if rustls cannot parse one certificate.
        if parsable.add(certificate).is_ok() {
            pem.extend(["-----BEGIN CERTIFICATE-----\n", &text, "\n-----END CERTIFICATE-----\n"]);
        }
    }
    (!pem.is_empty()).then(|| pem.into_bytes())
}

pub fn is_used_by(client: &Client) -> bool {
    matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. })
}

/// redis-rs uses the process's default provider. rustls panics if none is installed and the enabled
/// features select none or two. An installed one is kept.
pub fn provide_crypto() {
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, which is fine.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
