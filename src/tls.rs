//! TLS as a client: whom it trusts is written in a file, and nobody else is.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::lang::Text;

/// A client that trusts the certificates in this PEM file and no others.
pub fn trusting(ca: &Path) -> Result<Arc<ClientConfig>, Text> {
    let file = ca.display();
    let unreadable =
        |error: &dyn std::fmt::Display| Text::new(format!("无法读取 `{file}`：{error}"), format!("cannot read `{file}`: {error}"));
    let pem = std::fs::read(ca).map_err(|error| unreadable(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(Text::new(format!("`{file}` 中没有证书"), format!("`{file}` holds no certificate")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|error| unreadable(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
