//! Who asks: certificates off, optional and required, revocation, certificate-bound tokens, calls for others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::support::world::SEALED_SERIAL;
use super::support::{Answer, Client, Gateway, Setup, World};

fn with_auth(client_auth: &'static str) -> World {
    World::with(Setup { client_auth: Some(client_auth), ..Setup::default() })
}

async fn population(gateway: &Gateway, client: &Client, token: Option<&str>) -> Answer {
    let ask = gateway.ask("GET", "/psb/population").by(client).purpose("housing");
    match token {
        Some(token) => ask.token(token).send().await,
        None => ask.send().await,
    }
}

fn credential(world: &World, answer: &Answer) -> (String, Value) {
    let entry = world.entry(answer.receipt().index)["entry"].clone();
    (entry["credential"]["kind"].as_str().unwrap().to_owned(), entry["bound"].clone())
}

/// Whether a call gets as far as an answer.
async fn is_heard(gateway: &Gateway, client: &Client, token: &str) -> bool {
    gateway.ask("GET", "/psb/population").by(client).purpose("housing").token(token).attempt().await.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_alone_is_an_identity_where_it_is_registered() {
    let world = with_auth("optional");
    let gateway = world.serve();
    let sealed = gateway.client().showing(&world.sealed);
    let answer = population(&gateway, &sealed, None).await;
    assert_eq!(credential(&world, &answer), ("certificate".to_owned(), json!(false)));
    assert_eq!(world.entry(answer.receipt().index)["entry"]["requester"], "sealed-app");

    let other = gateway.client().showing(&world.departments.issue("other", 5));
    population(&gateway, &other, None).await.refused(401, "requester_unknown");
    // A requester that registered a certificate does not call over someone else's.
    let token = world.minter.token("sealed-app", json!({}));
    population(&gateway, &other, Some(&token)).await.refused(401, "certificate_mismatch");
    let answer = population(&gateway, &sealed, Some(&token)).await;
    assert_eq!(credential(&world, &answer).0, "both");
    // A certificate of another authority is no certificate.
    let foreign = gateway.client().showing(&world.authority.issue("sealed-app", SEALED_SERIAL));
    assert!(!is_heard(&gateway, &foreign, &token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn required_certificates_are_asked_of_everyone_and_none_are_where_they_are_off() {
    let world = with_auth("required");
    let gateway = world.serve();
    assert!(!is_heard(&gateway, &gateway.client(), &world.housing()).await);
    let known = gateway.client().showing(&world.departments.issue("housing", 5));
    assert_eq!(population(&gateway, &known, Some(&world.housing())).await.status, 200);
    drop(gateway);

    let world = with_auth("off");
    let gateway = world.serve();
    let sealed = gateway.client().showing(&world.sealed);
    population(&gateway, &sealed, None).await.refused(401, "credentials_missing");
    assert_eq!(population(&gateway, &sealed, Some(&world.housing())).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_ends_at_the_handshake() {
    let world = World::with(Setup { revoked: vec![SEALED_SERIAL], ..Setup::default() });
    let gateway = world.serve();
    let token = world.housing();
    assert!(!is_heard(&gateway, &gateway.client().showing(&world.sealed), &token).await);
    let good = world.departments.issue("good", 5);
    let good = gateway.client().showing(&good);
    assert!(is_heard(&gateway, &good, &token).await);
    // Revoked while it runs: the next handshake fails once the list is read anew.
    world.folder.write("certs/revoked.pem", world.departments.revoke(&[SEALED_SERIAL, 5]));
    assert!(gateway.reload().starts_with("snapshot "));
    assert!(!is_heard(&gateway, &good, &token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_needs_its_certificate() {
    let world = World::new();
    let gateway = world.serve();
    let mine = world.departments.issue("housing", 5);
    let thumbprint = URL_SAFE_NO_PAD.encode(mine.fingerprint());
    let bound = world.minter.token("housing-app", json!({"cnf": {"x5t#S256": thumbprint}}));
    let answer = population(&gateway, &gateway.client().showing(&mine), Some(&bound)).await;
    assert_eq!(credential(&world, &answer), ("both".to_owned(), json!(true)));
    population(&gateway, &gateway.client(), Some(&bound)).await.refused(401, "certificate_required");
    let other = gateway.client().showing(&world.departments.issue("other", 6));
    population(&gateway, &other, Some(&bound)).await.refused(401, "certificate_mismatch");
    drop(gateway);

    let world = World::with(Setup { bound: "required", ..Setup::default() });
    let gateway = world.serve();
    population(&gateway, &gateway.client(), Some(&world.housing())).await.refused(401, "certificate_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_calls_for_the_departments_it_serves() {
    let world = World::new();
    let gateway = world.serve();
    let of = |department: &str| world.minter.token("platform-app", json!({"department": department}));
    let answer = population(&gateway, &gateway.client(), Some(&of("housing"))).await;
    let entry = world.entry(answer.receipt().index)["entry"].clone();
    assert_eq!((&entry["requester"], &entry["department"], &entry["grant"]), (&json!("platform-app"), &json!("housing"), &json!("g-002")));
    assert_eq!(entry["roles"], json!(["auditor"]));
    let own = population(&gateway, &gateway.client(), Some(&of("office"))).await;
    own.refused(403, "purpose_not_granted");
    let foreign = population(&gateway, &gateway.client(), Some(&of("cityadmin"))).await;
    assert_eq!(foreign.status, 401, "{foreign:?}");
    // A grant of one requester is not its department's.
    let marriage = gateway.ask("POST", "/mca/marriage/query").token(&of("housing")).purpose("housing").json(r#"{"id_number":"1"}"#);
    marriage.send().await.refused(403, "policy_denied");
    // Claimed roles only narrow the registered ones.
    let none = world.minter.token("platform-app", json!({"department": "housing", "roles": "officer"}));
    let answer = population(&gateway, &gateway.client(), Some(&none)).await;
    assert_eq!(world.entry(answer.receipt().index)["entry"]["roles"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_verified_once_still_expires() {
    let world = World::new();
    let gateway = world.serve();
    // Inside the leeway of 30 s, for some seconds more.
    let token = world.minter.token("housing-app", json!({"exp": kanhe::sys::now().as_second() - 26}));
    assert_eq!(population(&gateway, &gateway.client(), Some(&token)).await.status, 200);
    let until = kanhe::sys::instant() + super::support::PATIENCE;
    loop {
        let answer = population(&gateway, &gateway.client(), Some(&token)).await;
        if answer.status != 200 {
            answer.refused(401, "token_expired");
            break;
        }
        assert!(kanhe::sys::instant() < until, "the token never expired");
    }
}
