//! Throw-away keys and certificates: the demo's own authority, the gateway, the issuer and one client. Private keys are
//! PKCS#8 PEM as `openssl genpkey` writes them.

use std::net::{IpAddr, Ipv4Addr};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, date_time_ymd,
};

use super::Trouble;
use super::config::LEDGER_KEY;
use super::folder::Folder;
use crate::sys;

/// Everything that the demo itself needs to keep at hand.
pub(super) struct Keys {
    /// The authority's certificate, DER.
    pub(super) ca: Vec<u8>,
    /// The issuer's server certificate and key, DER.
    pub(super) issuer: (Vec<u8>, Vec<u8>),
    /// The housing system's client certificate and key, DER.
    pub(super) client: (Vec<u8>, Vec<u8>),
    /// Signs most tokens.
    pub(super) es256: KeyPair,
    /// Signs the others.
    pub(super) eddsa: KeyPair,
}

impl Keys {
    /// The client certificate's thumbprint as a bound token states it (RFC 8705 section 3.1).
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.client.0))
    }
}

/// Makes all keys and writes those that the gateway, or a person with `curl`, reads from files.
pub(super) fn make(folder: &Folder) -> Result<Keys, Trouble> {
    let ca = authority().map_err(failed)?;
    let (gateway_pem, gateway_key) = issue(&ca, "gateway", Use::Server).map_err(failed)?;
    let (issuer_certificate, issuer_key) = issue(&ca, "issuer", Use::Server).map_err(failed)?;
    let (client_certificate, client_key) = issue(&ca, "housing-app", Use::Client).map_err(failed)?;
    folder.write("certs/ca.pem", &ca.pem())?;
    folder.write("ca.pem", &ca.pem())?;
    folder.write("certs/gateway.pem", &gateway_pem.pem())?;
    folder.write_secret("secrets/gateway.key", &gateway_key.serialize_pem())?;
    folder.write("certs/housing-app.pem", &client_certificate.pem())?;
    folder.write_secret("secrets/housing-app.key", &client_key.serialize_pem())?;
    folder.write_secret(LEDGER_KEY, &ed25519_pem()?)?;
    folder.write_secret("secrets/witness.key", &ed25519_pem()?)?;
    for name in ["subject", "pseudonym"] {
        folder.write_secret(&format!("secrets/{name}.key"), &format!("{}\n", STANDARD.encode(sys::random::<32>())))?;
    }
    Ok(Keys {
        ca: ca.der().to_vec(),
        issuer: (issuer_certificate.der().to_vec(), issuer_key.serialize_der()),
        client: (client_certificate.der().to_vec(), client_key.serialize_der()),
        es256: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?,
        eddsa: KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?,
    })
}

#[derive(Clone, Copy)]
enum Use {
    Server,
    Client,
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params("示例省演示证书 (Kanhe demo CA)")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn issue(ca: &CertifiedIssuer<'_, KeyPair>, name: &str, usage: Use) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let mut params = params(name)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    match usage {
        Use::Server => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        }
        Use::Client => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok((params.signed_by(&key, ca)?, key))
}

/// Valid from yesterday, for a season: long enough to come back to a copied `curl` line, no longer.
fn params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let today = sys::now().to_zoned_datetime(TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(90.days()));
    Ok(params)
}

/// Version 1 of PKCS#8 (RFC 5958), as `openssl genpkey -algorithm ed25519` writes it.
fn ed25519_pem() -> Result<String, Trouble> {
    let document = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new())
        .map_err(|error| Trouble::new(format!("无法生成密钥：{error}"), format!("cannot make a key: {error}")))?;
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(document.as_ref())))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err hands over")]
fn failed(error: rcgen::Error) -> Trouble {
    Trouble::new(format!("无法生成证书：{error}"), format!("cannot make a certificate: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_key_is_what_openssl_would_write() {
        let pem = ed25519_pem().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        assert_eq!(der.len(), 48);
        assert_eq!(&der[..16], &hex::decode("302e020100300506032b657004220420").unwrap()[..]);
    }
}
