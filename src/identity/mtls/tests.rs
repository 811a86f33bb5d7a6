//! Handshakes over memory, with certificates minted on the spot.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{ClientAuth, PeerCertificate, TlsConfig, TlsError, server_config};
use crate::identity::testing::Folder;
use crate::identity::testing::tls::{Authority, Issued};
use crate::written::{Document, Problems};

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

struct World {
    folder: Folder,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let own = authority.issue(&["localhost"], 1);
        folder.write("gateway.pem", &own.certificate);
        folder.write("gateway.key", &own.key);
        folder.write("ca.pem", authority.pem());
        Self { folder, authority }
    }

    fn config(&self, client_auth: ClientAuth) -> TlsConfig {
        let path = |name: &str| self.folder.path().join(name);
        TlsConfig {
            certificate: path("gateway.pem"),
            key: path("gateway.key"),
            client_ca: Some(path("ca.pem")),
            client_crl: Vec::new(),
            client_auth,
        }
    }

    fn client(&self, own: Option<&Issued>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der.clone().into()], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// What the server knows of the client after one handshake and one byte each way.
struct Met {
    certificate: Option<PeerCertificate>,
    alpn: Option<Vec<u8>>,
    kind: HandshakeKind,
}

async fn meet(config: &TlsConfig, client: Arc<ClientConfig>) -> Result<Met, String> {
    let server = server_config(config).unwrap();
    meet_again(&server, client).await
}

async fn meet_again(server: &Arc<rustls::ServerConfig>, client: Arc<ClientConfig>) -> Result<Met, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let asking = tokio::spawn(async move {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_u8(1).await?;
        stream.read_u8().await
    });
    let mut stream = TlsAcceptor::from(server.clone()).accept(far).await.map_err(|error| error.to_string())?;
    stream.read_u8().await.map_err(|error| error.to_string())?;
    stream.write_u8(1).await.unwrap();
    stream.flush().await.unwrap();
    asking.await.unwrap().unwrap();
    let (_, state) = stream.get_ref();
    let shown = state.peer_certificates().and_then(|chain| chain.first());
    Ok(Met {
        certificate: shown.map(|der| PeerCertificate::from_der(der).unwrap()),
        alpn: state.alpn_protocol().map(<[u8]>::to_vec),
        kind: state.handshake_kind().unwrap(),
    })
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_in_both_versions() {
    let world = World::new();
    let own = world.authority.issue(&["housing-app"], 2);
    for version in BOTH {
        let met = meet(&world.config(ClientAuth::Required), world.client(Some(&own), &[version])).await.unwrap();
        let certificate = met.certificate.unwrap();
        assert_eq!(certificate.common_name.as_deref(), Some("housing-app"));
        assert_eq!(certificate.fingerprint, super::sha256(&own.der));
        assert_eq!(certificate.not_after.to_string(), "2090-01-02T00:00:00Z");
        assert_eq!(met.alpn.as_deref(), Some(&b"h2"[..]));
    }
}

#[tokio::test]
async fn a_certificate_is_asked_for_as_configured() {
    let world = World::new();
    let own = world.authority.issue(&["housing-app"], 2);
    let stranger = Authority::new().issue(&["housing-app"], 2);
    for (wanted, none, good, bad) in
        [(ClientAuth::Off, true, true, true), (ClientAuth::Optional, true, true, false), (ClientAuth::Required, false, true, false)]
    {
        let config = world.config(wanted);
        assert_eq!(meet(&config, world.client(None, BOTH)).await.is_ok(), none, "{wanted:?} without");
        let met = meet(&config, world.client(Some(&own), BOTH)).await;
        assert_eq!(met.is_ok(), good, "{wanted:?} with a good one");
        assert_eq!(met.unwrap().certificate.is_some(), wanted != ClientAuth::Off);
        // rustls keeps back a certificate of an authority that the server does not name: show it all the same.
        assert_eq!(meet(&config, forced(&world, &stranger)).await.is_ok(), bad, "{wanted:?} with a stranger's");
    }
}

/// A client that shows its certificate whatever the server asks for.
fn forced(world: &World, own: &Issued) -> Arc<ClientConfig> {
    #[derive(Debug)]
    struct Always(Arc<rustls::sign::CertifiedKey>);
    impl rustls::client::ResolvesClientCert for Always {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(self.0.clone())
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![own.der.clone().into()], key);
    let mut config = ClientConfig::clone(&world.client(None, BOTH));
    config.client_auth_cert_resolver = Arc::new(Always(Arc::new(certified)));
    Arc::new(config)
}

#[tokio::test]
async fn a_revoked_certificate_fails_the_handshake() {
    let world = World::new();
    let (good, revoked) = (world.authority.issue(&["good"], 2), world.authority.issue(&["revoked"], 3));
    let mut config = world.config(ClientAuth::Optional);
    assert!(meet(&config, world.client(Some(&revoked), BOTH)).await.is_ok());
    // A list past its next update still counts.
    for next_update in [2090, 2021] {
        config.client_crl = vec![world.folder.write("crl.pem", world.authority.revoke(&[3], next_update))];
        for version in BOTH {
            assert!(meet(&config, world.client(Some(&good), &[version])).await.is_ok());
            let refusal = meet(&config, world.client(Some(&revoked), &[version])).await.err().unwrap();
            assert!(refusal.contains("Revoked"), "{refusal}");
        }
    }
}

#[tokio::test]
async fn a_session_with_a_certificate_is_never_resumed() {
    let world = World::new();
    let own = world.authority.issue(&["housing-app"], 2);
    for version in BOTH {
        for (wanted, expected) in [(ClientAuth::Optional, HandshakeKind::Full), (ClientAuth::Off, HandshakeKind::Resumed)] {
            let (server, client) = (server_config(&world.config(wanted)).unwrap(), world.client(Some(&own), &[version]));
            assert_ne!(meet_again(&server, client.clone()).await.unwrap().kind, HandshakeKind::Resumed);
            let again = meet_again(&server, client).await.unwrap().kind;
            assert_eq!(again == HandshakeKind::Resumed, expected == HandshakeKind::Resumed, "{wanted:?} {again:?}");
        }
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let world = World::new();
    let other = world.authority.issue(&["other"], 9);
    let broken = |change: &dyn Fn(&mut TlsConfig, &Path)| {
        let mut config = world.config(ClientAuth::Optional);
        change(&mut config, world.folder.path());
        server_config(&config).map_or_else(|TlsError { text }| text.en, |_| "works".to_owned())
    };
    world.folder.write("empty.pem", "nothing");
    world.folder.write("other.key", &other.key);
    world.folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    assert_eq!(broken(&|_, _| ()), "works");
    for name in ["empty.pem", "broken.pem", "none.pem"] {
        assert!(broken(&|config, at| config.certificate = at.join(name)).contains(name), "{name}");
        assert!(broken(&|config, at| config.client_ca = Some(at.join(name))).contains(name), "{name}");
        assert!(broken(&|config, at| config.client_crl = vec![at.join(name)]).contains(name), "{name}");
        assert!(broken(&|config, at| config.key = at.join(name)).contains(name), "{name}");
    }
    assert!(broken(&|config, at| config.key = at.join("other.key")).contains("other.key"), "a key of another certificate");
}

#[test]
fn a_certificate_with_two_common_names_has_none() {
    let authority = Authority::new();
    let one = PeerCertificate::from_der(&authority.issue(&["一号系统"], 2).der).unwrap();
    assert_eq!(one.common_name.as_deref(), Some("一号系统"));
    assert_eq!(PeerCertificate::from_der(&authority.issue(&["housing-app", "stats-app"], 2).der).unwrap().common_name, None);
    assert_eq!(PeerCertificate::from_der(&authority.issue(&[], 2).der).unwrap().common_name, None);
    let mut trailing = authority.issue(&["a"], 2).der;
    trailing.push(0);
    assert!(PeerCertificate::from_der(&trailing).is_err());
    assert!(PeerCertificate::from_der(b"no certificate").is_err());
}

#[test]
fn the_table_is_read_with_its_defaults() {
    let read = |text: &str| {
        let problems = Problems::default();
        let document = Document::parse("kanhe.toml", text, &problems);
        let table = document.root(&problems);
        let config = TlsConfig::read(&table, Path::new("/base"));
        table.finish();
        let (errors, _) = problems.into_parts();
        (config, errors.iter().map(|problem| problem.code).collect::<Vec<_>>())
    };
    let (config, errors) = read("certificate = \"a.pem\"\nkey = \"/b.key\"");
    let config = config.unwrap();
    assert_eq!(
        (config.client_auth, config.certificate.as_path(), config.key.as_path()),
        (ClientAuth::Off, "/base/a.pem".as_ref(), "/b.key".as_ref())
    );
    assert!(errors.is_empty());
    let (config, _) = read("certificate = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\nclient_crl = [\"d\"]");
    assert_eq!(config.unwrap().client_auth, ClientAuth::Optional);
    assert_eq!(read("certificate = \"a\"\nkey = \"b\"\nclient_auth = \"required\"").1, ["missing_key"]);
    assert_eq!(read("certificate = \"a\"\nkey = \"b\"\nclient_auth = \"always\"").1, ["wrong_value"]);
    assert_eq!(read("certificate = \"a\"\nkey = \"b\"\nclientca = \"c\"").1, ["unknown_key"]);
}
