//! An authority minted on the spot, the certificates that it issues and revokes, and a server of one fixed answer.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::identity::mtls::{ClientAuth, TlsConfig, server_config};

pub(in crate::identity) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as files would hold them.
pub(in crate::identity) struct Issued {
    pub(in crate::identity) certificate: String,
    pub(in crate::identity) key: String,
    pub(in crate::identity) der: Vec<u8>,
}

impl Authority {
    pub(in crate::identity) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "departments' authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::identity) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(in crate::identity) fn issue(&self, names: &[&str], serial: u64) -> Issued {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        // A second name needs its bare OID, or it would take the first one's place.
        for (kind, name) in [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])].into_iter().zip(names) {
            params.distinguished_name.push(kind, *name);
        }
        params.not_after = date_time_ymd(2090, 1, 2);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    pub(in crate::identity) fn revoke(&self, serials: &[u64], next_update: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A TLS server that answers every request with the same bytes and counts them.
pub(in crate::identity) struct Server {
    pub(in crate::identity) port: u16,
    pub(in crate::identity) answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub(in crate::identity) async fn new(authority: &Authority, folder: &Path) -> Self {
        let issued = authority.issue(&["localhost"], 7);
        std::fs::write(folder.join("server.pem"), &issued.certificate).unwrap();
        std::fs::write(folder.join("server.key"), &issued.key).unwrap();
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        let config = TlsConfig {
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
            client_ca: None,
            client_crl: Vec::new(),
            client_auth: ClientAuth::Off,
        };
        let acceptor = TlsAcceptor::from(server_config(&config).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, asked) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let (answers, counter) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let text = answers.lock().unwrap().clone();
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, answer, asked }
    }

    pub(in crate::identity) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// From now on the answer is this status, these header fields and this content.
    pub(in crate::identity) fn say(&self, status: &str, fields: &str, content: &str) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", content.len());
        *self.answer.lock().unwrap() = head + content;
    }
}
