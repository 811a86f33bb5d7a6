//! For the tests of this module: keys minted on the spot, tokens of any shape, and a small world of parties.

pub(super) mod tls;

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::parties::Parties;
use super::{Authenticator, AuthorizationFields, Config, Credentials, Error, PeerCertificate, Subject};
use crate::written::{Document, Problems};

pub(super) const ISSUER: &str = "https://iam.example";

pub(super) enum Minter {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
    Rs256(Box<RsaKeyPair>),
}

pub(super) fn es256() -> Minter {
    Minter::Es256(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
}

pub(super) fn eddsa() -> Minter {
    Minter::EdDsa(Box::new(Ed25519KeyPair::generate().unwrap()))
}

pub(super) fn rs256() -> Minter {
    Minter::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Minter {
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..]), "kid": kid})
            }
            Self::EdDsa(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key()), "kid": kid, "use": "sig"}),
            Self::Rs256(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public_key().into();
                json!({"kty": "RSA", "n": base64url(n), "e": base64url(e), "kid": kid, "alg": "RS256"})
            }
        }
    }

    /// A token of exactly this header and payload.
    pub(super) fn token(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(payload));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Es256(key) => key.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", base64url(signature))
    }

    /// A token with the usual header and these claims.
    pub(super) fn mint(&self, claims: &Value) -> String {
        self.token(&format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"k1"}}"#, self.algorithm()), &claims.to_string())
    }
}

/// The moment at which all these tests take place.
pub(super) fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

/// Claims that are good at [`now`], with `changes` over them; a change to null takes a claim away.
pub(super) fn claims(changes: Value) -> Value {
    let at = now().as_second();
    let mut claims = json!({"iss": ISSUER, "aud": "kanhe", "sub": "platform-app", "exp": at + 300, "iat": at});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub(super) fn parties() -> Parties {
    let department = |id: &str| {
        format!(
            "[[departments]]\nid = \"{id}\"\nname = {{ zh = \"示例省{id}\", en = \"{id}\" }}\ntier = \"province\"\nregion = \"990000\"\ncode = \"1\"\n"
        )
    };
    let requester = |id: &str, more: &str| {
        format!("[[requesters]]\nid = \"{id}\"\ndepartment = \"housing\"\nname = {{ zh = \"{id}\", en = \"{id}\" }}\n{more}\n")
    };
    let departments = [department("housing"), department("stats"), department("tax")].concat();
    let requesters = [
        requester("platform-app", "serves = [\"stats\"]\nroles = [\"auditor\", \"officer\"]\nstatus = \"active\""),
        requester("pinned-app", "certificate = \"subject:CN=pinned-app\"\nroles = [\"auditor\"]\nstatus = \"active\""),
        requester("rested-app", "certificate = \"subject:CN=rested-app\"\nstatus = \"suspended\""),
    ];
    let problems = Problems::default();
    let parties = Parties::load(Some(("departments.toml", &departments)), Some(("requesters.toml", &requesters.concat())), None, &problems);
    let (errors, _) = problems.into_parts();
    assert!(errors.is_empty(), "{errors:?}");
    parties
}

/// A folder of one test's own, gone with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kanhe-{}", hex::encode(crate::sys::random::<8>())));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Reads `[[issuers]]`; what is wrong comes back as lines.
pub(super) fn config(text: &str, base: &Path) -> Result<Config, Vec<String>> {
    let problems = Problems::default();
    let document = Document::parse("kanhe.toml", text, &problems);
    let config = Config::read(document.root(&problems).tables("issuers"), base);
    let (errors, _) = problems.into_parts();
    if errors.is_empty() {
        return Ok(config.unwrap());
    }
    Err(errors.iter().map(|problem| format!("{} {}", problem.code, problem.line(crate::lang::Lang::En))).collect())
}

/// One issuer with its keys in a file.
pub(super) struct House {
    pub(super) folder: Folder,
    pub(super) authenticator: Authenticator,
    pub(super) parties: Parties,
}

impl House {
    pub(super) async fn new(keys: &[Value], more: &str) -> Self {
        let folder = Folder::new();
        folder.write("jwks.json", json!({"keys": keys}).to_string());
        let text = format!(
            "[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"kanhe\"\njwks = \"file:jwks.json\"\n\
             algorithms = [\"ES256\", \"EdDSA\", \"RS256\", \"PS256\"]\n{more}"
        );
        let authenticator = Authenticator::start(&config(&text, folder.path()).unwrap()).await.unwrap();
        Self { folder, authenticator, parties: parties() }
    }

    pub(super) async fn ask_with(&self, token: &str, certificate: Option<&PeerCertificate>) -> Result<Subject, Error> {
        self.ask_at(token, certificate, now()).await
    }

    pub(super) async fn ask_at(&self, token: &str, certificate: Option<&PeerCertificate>, at: Timestamp) -> Result<Subject, Error> {
        let field = format!("Bearer {token}");
        let credentials = Credentials { authorization: AuthorizationFields::One(field.as_bytes()), certificate };
        self.authenticator.authenticate(&self.parties, credentials, at).await
    }

    /// The code of the refusal, or `passed`.
    pub(super) async fn code(&self, token: &str) -> &'static str {
        self.ask_with(token, None).await.map_or_else(|error| error.code(), |_| "passed")
    }
}

pub(super) fn certificate(name: &str) -> PeerCertificate {
    let mut fingerprint = [0; 32];
    fingerprint[..name.len()].copy_from_slice(name.as_bytes());
    PeerCertificate { fingerprint, common_name: Some(name.to_owned()), not_after: "2027-01-01T00:00:00Z".parse().unwrap() }
}
