//! TLS on our listeners and the client certificates shown there. Clients are checked against the departments' own
//! authority and its revocation lists during the handshake; who they are is decided later, by their fingerprint.
//!
//! As rustls has it by default: the whole chain is checked for revocation, a certificate whose authority has no list
//! among the given ones is refused, and a list past its `nextUpdate` still counts (we warn of it). Sessions of clients
//! with certificates are never resumed: a resumed handshake would skip the lists.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::authenticate::sha256;
use crate::lang::Text;
use crate::sys;
use crate::written::Table;

#[cfg(test)]
mod tests;

/// When our own certificate begins to be warned about.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// `[gateway.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Our certificate and its chain (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM, PKCS#8).
    pub key: PathBuf,
    /// Who signs the clients' certificates (PEM).
    pub client_ca: Option<PathBuf>,
    /// Which of those no longer count (PEM).
    pub client_crl: Vec<PathBuf>,
    /// Whether clients show one.
    pub client_auth: ClientAuth,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They may; a bad one fails the handshake.
    Optional,
    /// They must.
    Required,
}

/// Why TLS could not be set up.
#[derive(Debug)]
pub struct TlsError {
    /// What is wrong, naming the file.
    pub text: Text,
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl std::error::Error for TlsError {}

impl TlsConfig {
    /// Reads the table's keys; relative paths start at `base`. The caller finishes the table.
    pub fn read(table: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let path = |text: crate::written::Placed<String>| base.join(text.value);
        let certificate = table.filled("certificate").map(path);
        let key = table.filled("key").map(path);
        let client_ca = table.opt_string("client_ca").filter(|ca| !ca.value.is_empty()).map(path);
        let client_crl = table.strings("client_crl").into_iter().map(path).collect();
        let default = if client_ca.is_some() { ClientAuth::Optional } else { ClientAuth::Off };
        let words = [("off", ClientAuth::Off), ("optional", ClientAuth::Optional), ("required", ClientAuth::Required)];
        let client_auth = table.choice_or("client_auth", &words, default)?;
        if client_auth != ClientAuth::Off && client_ca.is_none() {
            table.missing("client_ca");
            return None;
        }
        Some(Self { certificate: certificate?, key: key?, client_ca, client_crl, client_auth })
    }
}

/// A TLS client that trusts the certificates in this PEM file and no others.
pub fn client_connector(ca: &Path) -> Result<TlsConnector, Text> {
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
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|error| unreadable(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Reads the files and sets up TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1. A reload makes a new one.
pub fn server_config(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(&config.key)?).map_err(|error| bad(&config.key, &error))?;
    warn_of_end(&config.certificate, &chain);
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| bad(&config.certificate, &error))?;
    let verified = match (config.client_auth, &config.client_ca) {
        (ClientAuth::Off, _) | (_, None) => builder.with_no_client_auth(),
        (wanted, Some(ca)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider).with_crls(revocations(&config.client_crl)?);
            let verifier = if wanted == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(ca, &error))?)
        }
    };
    let mut server = verified.with_single_cert(chain, key).map_err(|error| bad(&config.key, &error))?;
    // HTTP/1.0 is agreed on only to be refused in words (505), not by a broken handshake.
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    if config.client_auth != ClientAuth::Off {
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Arc::new(server))
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| {
        let file = path.display();
        TlsError { text: Text::new(format!("无法读取 `{file}`：{error}"), format!("cannot read `{file}`: {error}")) }
    })
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    let file = path.display();
    TlsError { text: Text::new(format!("`{file}` 不可用：{error}"), format!("`{file}` cannot be used: {error}")) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = bytes(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| bad(path, &error))?;
    if all.is_empty() { Err(bad(path, &"no certificate in it")) } else { Ok(all) }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, &error))?;
    }
    Ok(Arc::new(roots))
}

fn revocations(paths: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut all = Vec::new();
    for path in paths {
        let pem = bytes(path)?;
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
        let lists = lists.map_err(|error| bad(path, &error))?;
        // A file without a list would silently revoke nothing.
        if lists.is_empty() {
            return Err(bad(path, &"no revocation list in it"));
        }
        for list in &lists {
            let (_, parsed) = CertificateRevocationList::from_der(list).map_err(|error| bad(path, &error))?;
            let next = parsed.next_update().and_then(|next| Timestamp::from_second(next.timestamp()).ok());
            if next.is_some_and(|next| next < sys::now()) {
                tracing::warn!(file = %path.display(), "revocation list is past its next update, it still counts");
            }
        }
        all.extend(lists);
    }
    Ok(all)
}

fn warn_of_end(path: &Path, chain: &[CertificateDer<'_>]) {
    let Some(own) = chain.first().and_then(|der| PeerCertificate::from_der(der).ok()) else { return };
    let (file, ends, now) = (path.display(), own.not_after, sys::now());
    if ends < now {
        tracing::warn!(%file, %ends, "own certificate has expired");
    } else if ends.duration_since(now) < EXPIRES_SOON {
        tracing::warn!(%file, %ends, "own certificate expires soon");
    }
}

/// What counts of a client certificate; made once per connection, after the handshake verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// The subject's common name; none where there are several, since no rule could tell which counts.
    pub common_name: Option<String>,
    /// Its last moment.
    pub not_after: Timestamp,
}

impl PeerCertificate {
    /// Reads a certificate as it came with the handshake.
    pub fn from_der(der: &[u8]) -> Result<Self, TlsError> {
        let malformed = || TlsError { text: Text::new("客户端证书无法解析", "the client certificate cannot be parsed") };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        let mut names = certificate.subject().iter_common_name();
        let first = names.next().and_then(|name| name.as_str().ok()).map(str::to_owned);
        let common_name = first.filter(|_| names.next().is_none());
        let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|_| malformed())?;
        Ok(Self { fingerprint: sha256(der), common_name, not_after })
    }
}
