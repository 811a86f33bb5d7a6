//! The token issuer: a real HTTPS server that publishes the keys its tokens are signed with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::Trouble;
use super::http::{Answering, serve};
use super::keys::Keys;

/// The key id of the ES256 key.
pub(super) const ES256_KID: &str = "demo-es256";
/// The key id of the Ed25519 key.
pub(super) const EDDSA_KID: &str = "demo-eddsa";

/// The issuer's identifier: also where it is reached.
pub(super) struct Issuer {
    /// `https://127.0.0.1:PORT`.
    pub(super) url: String,
}

/// Starts the issuer.
pub(super) async fn start(keys: &Keys) -> Result<Issuer, Trouble> {
    let set = key_set(keys);
    let answering: Answering = Arc::new(move |asked| match (&asked.method, asked.uri.path()) {
        (&Method::GET, "/jwks.json") => (StatusCode::OK, set.clone()),
        _ => (StatusCode::NOT_FOUND, json!({ "message": "no such page" })),
    });
    let port = serve(Some(acceptor(keys)?), answering).await?;
    Ok(Issuer { url: format!("https://127.0.0.1:{port}") })
}

fn acceptor(keys: &Keys) -> Result<TlsAcceptor, Trouble> {
    let (certificate, key) = &keys.issuer;
    let chain = vec![CertificateDer::from(certificate.clone())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| Trouble::new(format!("令牌签发服务无法启动：{error}"), format!("the token issuer cannot start: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// RFC 7517: one key, one algorithm.
fn key_set(keys: &Keys) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // An uncompressed point is 04, then both coordinates (SEC 1 section 2.3.3).
    let point = keys.es256.public_key_raw();
    let coordinate = |from: usize| point.get(from..from + 32).unwrap_or_default();
    json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": ES256_KID, "x": text(coordinate(1)), "y": text(coordinate(33)) },
        { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": EDDSA_KID, "x": text(keys.eddsa.public_key_raw()) },
    ] })
}
