//! Key sets: which keys are taken, and how those that are fetched stay fresh.

use std::future::Future;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::KeySet;
use crate::identity::testing::tls::{Authority, Server};
use crate::identity::testing::{Folder, ISSUER, Minter, base64url, claims, config, eddsa, es256, now, parties, rs256};
use crate::identity::{Authenticator, AuthorizationFields, Credentials};
use crate::sys;

const ALL: [Algorithm; 4] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256];

fn set(keys: Value) -> Option<KeySet> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &ALL).ok()
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

#[test]
fn a_key_must_be_whole_and_for_signatures() {
    let (ec, ed, rsa) = (es256().jwk("k"), eddsa().jwk("k"), rs256().jwk("k"));
    for good in
        [ec.clone(), ed.clone(), rsa.clone(), with(ec.clone(), "alg", json!("ES256")), with(ec.clone(), "key_ops", json!(["verify"]))]
    {
        assert!(set(json!([good])).is_some(), "{good}");
    }
    for bad in [
        with(ec.clone(), "use", json!("enc")),
        with(ec.clone(), "key_ops", json!(["sign"])),
        with(ec.clone(), "alg", json!("RS256")),
        with(ec.clone(), "alg", json!("ES384")),
        with(ec.clone(), "crv", json!("P-384")),
        with(ec.clone(), "crv", json!("secp256k1")),
        with(ec.clone(), "x", json!(base64url([1; 31]))),
        with(ec.clone(), "kty", json!("RSA")),
        with(ec.clone(), "kid", json!("k".repeat(129))),
        with(ec, "kid", json!(1)),
        with(ed.clone(), "crv", json!("X25519")),
        with(ed, "x", json!(base64url([1; 33]))),
        with(rsa.clone(), "alg", json!("HS256")),
        with(rsa.clone(), "alg", json!("RS512")),
        with(rsa, "n", json!(base64url([255; 128]))),
        json!({"kty": "oct", "k": base64url([1; 32]), "kid": "k"}),
        json!("key"),
    ] {
        assert!(set(json!([bad])).is_none(), "{bad}");
    }
}

#[test]
fn keys_of_other_kinds_are_passed_over() {
    let keys = set(json!([{"kty": "future"}, es256().jwk("a"), eddsa().jwk("b")])).unwrap();
    assert!(keys.find(Some("a"), Algorithm::ES256).is_some());
    assert!(keys.find(Some("a"), Algorithm::EdDSA).is_none());
    assert!(keys.find(None, Algorithm::EdDSA).is_some());
    assert!(keys.knows("b") && !keys.knows("c"));
    let two = set(json!([es256().jwk("a"), es256().jwk("b")])).unwrap();
    assert!(two.find(None, Algorithm::ES256).is_none(), "which of two is meant must be said");
}

#[test]
fn a_set_that_is_none_is_an_error() {
    let twice = json!({"keys": [es256().jwk("a"), es256().jwk("a")]}).to_string();
    let doubled = format!(r#"{{"keys":[],"keys":[{}]}}"#, es256().jwk("a"));
    for bad in ["", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", &twice, &doubled] {
        assert!(KeySet::parse(bad.as_bytes(), &ALL).is_err(), "{bad}");
    }
    assert!(KeySet::parse(b"\xff", &ALL).is_err());
}

#[test]
fn a_key_without_algorithm_gets_the_first_that_fits() {
    let mut jwk = rs256().jwk("k");
    jwk.as_object_mut().unwrap().remove("alg");
    let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), &[Algorithm::PS256, Algorithm::RS256]).unwrap();
    assert!(keys.find(Some("k"), Algorithm::PS256).is_some());
    assert!(keys.find(Some("k"), Algorithm::RS256).is_none());
}

struct Remote {
    folder: Folder,
    server: Server,
}

impl Remote {
    async fn new() -> Self {
        let folder = Folder::new();
        let server = Server::new(&Authority::new(), folder.path()).await;
        Self { folder, server }
    }

    fn publish(&self, minter: &Minter, kid: &str) {
        self.server.say("200 OK", "", &json!({"keys": [minter.jwk(kid)]}).to_string());
    }

    async fn start(&self, more: &str) -> Result<Authenticator, String> {
        let text = format!(
            "[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"kanhe\"\njwks = \"https://localhost:{}/jwks?a=b\"\njwks_ca = \"ca.pem\"\n\
             algorithms = [\"ES256\"]\n{more}\n",
            self.server.port
        );
        Authenticator::start(&config(&text, self.folder.path()).unwrap()).await.map_err(|error| error.to_string())
    }
}

fn token(minter: &Minter, kid: &str, note: usize) -> String {
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
    minter.token(&header, &claims(json!({"note": note})).to_string())
}

async fn passes(authenticator: &Authenticator, token: &str) -> bool {
    let field = format!("Bearer {token}");
    let credentials = Credentials { authorization: AuthorizationFields::One(field.as_bytes()), certificate: None };
    authenticator.authenticate(&parties(), credentials, now()).await.is_ok()
}

/// Asks until it is so; a test that waits in vain fails by name and not by hanging.
async fn until<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    let start = sys::instant();
    while !so().await {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_unknown_kid_causes_one_fetch_that_all_callers_share() {
    let remote = Remote::new().await;
    let (old, new) = (es256(), es256());
    remote.publish(&old, "old");
    let authenticator = remote.start("jwks_cooldown = \"1h\"").await.unwrap();
    assert!(passes(&authenticator, &token(&old, "old", 0)).await);
    assert_eq!(remote.server.asked(), 1);
    remote.publish(&new, "new");
    let authenticator = std::sync::Arc::new(authenticator);
    let callers: Vec<_> = (0..20)
        .map(|note| {
            let (authenticator, token) = (authenticator.clone(), token(&new, "new", note));
            tokio::spawn(async move { passes(&authenticator, &token).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!(remote.server.asked(), 2);
    assert!(!passes(&authenticator, &token(&old, "old", 0)).await, "a cached token ends with its key");
    for note in 0..20 {
        assert!(!passes(&authenticator, &token(&new, "stranger", note)).await);
    }
    assert_eq!(remote.server.asked(), 2, "the cooldown keeps strangers from causing more");
}

#[tokio::test]
async fn keys_are_fetched_again_by_age() {
    let remote = Remote::new().await;
    let (old, new) = (es256(), es256());
    remote.publish(&old, "k");
    let authenticator = remote.start("jwks_refresh = \"20ms\"\njwks_cooldown = \"10ms\"").await.unwrap();
    assert!(passes(&authenticator, &token(&old, "k", 0)).await);
    remote.publish(&new, "k");
    until(async || passes(&authenticator, &token(&new, "k", 0)).await).await;
}

#[tokio::test]
async fn keys_that_cannot_be_renewed_count_for_a_while_and_then_not() {
    let remote = Remote::new().await;
    let minter = es256();
    remote.publish(&minter, "k");
    let authenticator = remote.start("jwks_refresh = \"20ms\"\njwks_cooldown = \"10ms\"\njwks_max_stale = \"1500ms\"").await.unwrap();
    remote.server.say("500 Internal Server Error", "", "");
    let before = remote.server.asked();
    until(async || remote.server.asked() > before + 1).await;
    assert!(passes(&authenticator, &token(&minter, "k", 0)).await, "stale keys still count");
    until(async || !passes(&authenticator, &token(&minter, "k", 0)).await).await;
    remote.publish(&minter, "k");
    until(async || passes(&authenticator, &token(&minter, "k", 0)).await).await;
}

#[tokio::test]
async fn an_answer_that_is_not_plainly_a_key_set_is_none() {
    let remote = Remote::new().await;
    let good = json!({"keys": [es256().jwk("k")]}).to_string();
    remote.server.say("200 OK", "", &good);
    remote.start("").await.unwrap();
    let location = format!("location: https://localhost:{}/jwks\r\n", remote.server.port);
    for (status, fields, content, reason) in [
        ("302 Found", &*location, &*good, "status 302"),
        ("404 Not Found", "", &good, "status 404"),
        ("206 Partial Content", "", &good, "status 206"),
        ("200 OK", "content-encoding: gzip\r\n", &good, "encoded"),
        ("200 OK", "", "<html>", "not a JWK set"),
        ("200 OK", "", &" ".repeat(300 << 10), "length limit"),
    ] {
        remote.server.say(status, fields, content);
        let error = remote.start("").await.err().unwrap();
        assert!(error.contains(reason) && error.contains(ISSUER), "{error}");
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_asked() {
    let remote = Remote::new().await;
    remote.publish(&es256(), "k");
    remote.folder.write("ca.pem", Authority::new().pem());
    assert!(remote.start("").await.is_err());
    assert_eq!(remote.server.asked(), 0);
    remote.folder.write("ca.pem", "no certificate");
    assert!(remote.start("").await.err().unwrap().contains("ca.pem"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left() {
    let folder = Folder::new();
    folder.write("ca.pem", Authority::new().pem());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let text = format!(
        "[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"kanhe\"\njwks = \"https://127.0.0.1:{port}\"\njwks_ca = \"ca.pem\"\n\
         jwks_timeout = \"50ms\"\nalgorithms = [\"ES256\"]\n"
    );
    let error = Authenticator::start(&config(&text, folder.path()).unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("took too long"), "{error}");
}
