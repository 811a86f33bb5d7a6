//! Who a caller is: tokens, certificates, both, and what changes between two calls with one token.

use serde_json::json;

use super::Authenticator;
use crate::identity::testing::{Folder, House, ISSUER, Minter, base64url, certificate, claims, config, es256, now, parties};
use crate::identity::{AuthorizationFields, CredentialKind, Credentials, Error, PeerCertificate, Subject, TokenScope};

async fn house(more: &str) -> (Minter, House) {
    let minter = es256();
    let house = House::new(&[minter.jwk("k1")], more).await;
    (minter, house)
}

async fn show(house: &House, authorization: AuthorizationFields<'_>, certificate: Option<&PeerCertificate>) -> Result<Subject, Error> {
    house.authenticator.authenticate(&house.parties, Credentials { authorization, certificate }, now()).await
}

fn code(outcome: Result<Subject, Error>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "passed")
}

fn roles(subject: &Subject) -> Vec<&str> {
    subject.roles.iter().map(|role| &**role).collect()
}

#[tokio::test]
async fn a_token_becomes_a_subject() {
    let (minter, house) = house("").await;
    let claims = claims(json!({
        "department": "stats", "roles": "officer unknown", "operator": "zhang", "operator_roles": ["clerk", "no role"],
        "operator_clearance": 3,
        "authorization_details": [{"type": "other"}, {"type": "kanhe_share", "scenarios": ["housing"], "case": "2026-1"}]
    }));
    let subject = house.ask_with(&minter.mint(&claims), None).await.unwrap();
    assert_eq!((&*subject.requester.id, &*subject.department.id), ("platform-app", "stats"));
    assert_eq!(roles(&subject), ["officer"]);
    assert_eq!(subject.operator.as_deref(), Some("zhang"));
    assert_eq!(subject.operator_roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["clerk"]);
    assert_eq!((subject.operator_clearance, subject.bound), (3, false));
    assert_eq!(subject.scope, Some(TokenScope { scenarios: ["housing".into()].into(), case: Some("2026-1".into()) }));
    let credential = &subject.credential;
    assert_eq!((credential.kind, credential.issuer.as_deref(), credential.kid.as_deref()), (CredentialKind::Jwt, Some(ISSUER), Some("k1")));
}

#[tokio::test]
async fn roles_only_narrow() {
    let (minter, house) = house("").await;
    for (claim, left) in [
        (json!(null), vec!["auditor", "officer"]),
        (json!(["auditor", "operations"]), vec!["auditor"]),
        (json!("officer auditor"), vec!["auditor", "officer"]),
        (json!([]), vec![]),
        (json!(""), vec![]),
    ] {
        let subject = house.ask_with(&minter.mint(&claims(json!({"roles": claim}))), None).await.unwrap();
        assert_eq!(roles(&subject), left);
    }
}

#[tokio::test]
async fn without_an_operator_there_is_neither_role_nor_clearance() {
    let (minter, house) = house("").await;
    let token = minter.mint(&claims(json!({"operator_roles": ["clerk"], "operator_clearance": 4})));
    let subject = house.ask_with(&token, None).await.unwrap();
    assert!(subject.operator.is_none() && subject.operator_roles.is_empty());
    assert_eq!(subject.operator_clearance, 0);
}

#[tokio::test]
async fn the_claims_have_the_names_that_the_issuer_gives_them() {
    let (minter, house) = house("claims = { requester = \"client_id\", operator = \"person\" }").await;
    let token = minter.mint(&claims(json!({"sub": "zhang", "client_id": "platform-app", "person": "li", "operator": "wang"})));
    let subject = house.ask_with(&token, None).await.unwrap();
    assert_eq!((&*subject.requester.id, subject.operator.as_deref()), ("platform-app", Some("li")));
}

#[tokio::test]
async fn a_department_that_is_not_served_is_refused() {
    let (minter, house) = house("").await;
    for department in ["tax", "nowhere", ""] {
        assert_eq!(house.code(&minter.mint(&claims(json!({"department": department})))).await, "token_invalid");
    }
}

#[tokio::test]
async fn strangers_and_the_suspended_are_told_apart() {
    let (minter, house) = house("").await;
    assert_eq!(house.code(&minter.mint(&claims(json!({"sub": "stranger"})))).await, "requester_unknown");
    assert_eq!(house.code(&minter.mint(&claims(json!({"sub": "1101"})))).await, "requester_unknown");
    let token = minter.mint(&claims(json!({"sub": "rested-app", "operator": "zhang"})));
    match house.ask_with(&token, None).await {
        Err(Error::RequesterSuspended { requester, operator, .. }) => {
            assert_eq!((&*requester.id, operator.as_deref()), ("rested-app", Some("zhang")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn missing_several_and_other_credentials_are_refused() {
    let (minter, house) = house("").await;
    assert_eq!(code(show(&house, AuthorizationFields::None, None).await), "credentials_missing");
    assert_eq!(code(show(&house, AuthorizationFields::Several, None).await), "token_invalid");
    assert_eq!(code(show(&house, AuthorizationFields::Several, Some(&certificate("pinned-app"))).await), "token_invalid");
    let token = minter.mint(&claims(json!({})));
    for (field, expected) in [
        (format!("bearer {token}"), "passed"),
        (format!("Bearer  {token}"), "passed"),
        (format!("Basic {token}"), "token_invalid"),
        (token.clone(), "token_invalid"),
        (format!("Bearer {token}, Bearer {token}"), "token_invalid"),
    ] {
        assert_eq!(code(show(&house, AuthorizationFields::One(field.as_bytes()), None).await), expected, "{field}");
    }
    assert_eq!(code(show(&house, AuthorizationFields::One(b"Bearer \xff"), None).await), "token_invalid");
}

#[test]
fn two_authorization_fields_are_several() {
    let mut fields = hyper::HeaderMap::new();
    assert!(matches!(AuthorizationFields::of(&fields), AuthorizationFields::None));
    fields.append("authorization", "Bearer a".parse().unwrap());
    assert!(matches!(AuthorizationFields::of(&fields), AuthorizationFields::One(b"Bearer a")));
    fields.append("authorization", "Bearer a".parse().unwrap());
    assert!(matches!(AuthorizationFields::of(&fields), AuthorizationFields::Several));
}

#[tokio::test]
async fn a_certificate_alone_is_its_requester() {
    let (_, house) = house("").await;
    let subject = show(&house, AuthorizationFields::None, Some(&certificate("pinned-app"))).await.unwrap();
    assert_eq!((&*subject.requester.id, &*subject.department.id), ("pinned-app", "housing"));
    assert_eq!((subject.credential.kind, subject.bound), (CredentialKind::Certificate, false));
    assert_eq!(subject.credential.fingerprint, certificate("pinned-app").fingerprint);
    assert_eq!(roles(&subject), ["auditor"]);
    assert_eq!(code(show(&house, AuthorizationFields::None, Some(&certificate("stranger"))).await), "requester_unknown");
    assert_eq!(code(show(&house, AuthorizationFields::None, Some(&certificate("rested-app"))).await), "requester_suspended");
}

#[tokio::test]
async fn a_certificate_that_ended_during_its_connection_is_none() {
    let (minter, house) = house("").await;
    let mut ended = certificate("pinned-app");
    ended.not_after = "2026-11-23T07:59:59Z".parse().unwrap();
    assert_eq!(code(show(&house, AuthorizationFields::None, Some(&ended)).await), "certificate_required");
    let bound = minter.mint(&claims(json!({"sub": "pinned-app", "cnf": {"x5t#S256": base64url(ended.fingerprint)}})));
    assert_eq!(code(house.ask_with(&bound, Some(&ended)).await), "certificate_required");
}

#[tokio::test]
async fn a_bound_token_needs_its_certificate_on_every_call() {
    let (minter, house) = house("").await;
    let (own, other) = (certificate("own"), certificate("other"));
    let token = minter.mint(&claims(json!({"cnf": {"x5t#S256": base64url(own.fingerprint)}})));
    let subject = house.ask_with(&token, Some(&own)).await.unwrap();
    assert_eq!((subject.bound, subject.credential.kind), (true, CredentialKind::Both));
    // The token is cached now; its binding is looked at all the same.
    assert_eq!(code(house.ask_with(&token, None).await), "certificate_required");
    assert_eq!(code(house.ask_with(&token, Some(&other)).await), "certificate_mismatch");
}

#[tokio::test]
async fn an_issuer_may_require_binding_or_leave_it() {
    let own = certificate("own");
    let binding = json!({"cnf": {"x5t#S256": base64url(own.fingerprint)}});
    let (minter, required) = house("bound = \"required\"").await;
    let plain = minter.mint(&claims(json!({})));
    assert_eq!(code(required.ask_with(&plain, None).await), "certificate_required");
    assert_eq!(code(required.ask_with(&plain, Some(&own)).await), "token_invalid");
    assert_eq!(code(required.ask_with(&minter.mint(&claims(binding.clone())), Some(&own)).await), "passed");
    let (minter, off) = house("bound = \"off\"").await;
    let subject = off.ask_with(&minter.mint(&claims(binding)), None).await.unwrap();
    assert!(!subject.bound);
}

#[tokio::test]
async fn a_token_over_the_certificate_of_someone_else_is_refused() {
    let (minter, house) = house("").await;
    let pinned = minter.mint(&claims(json!({"sub": "pinned-app"})));
    let both = house.ask_with(&pinned, Some(&certificate("pinned-app"))).await.unwrap();
    assert_eq!((both.credential.kind, both.bound), (CredentialKind::Both, false));
    assert_eq!(code(house.ask_with(&pinned, Some(&certificate("stranger"))).await), "certificate_mismatch");
    assert_eq!(code(house.ask_with(&pinned, None).await), "passed");
    let platform = minter.mint(&claims(json!({})));
    assert_eq!(code(house.ask_with(&platform, Some(&certificate("pinned-app"))).await), "certificate_mismatch");
    let subject = house.ask_with(&platform, Some(&certificate("stranger"))).await.unwrap();
    assert_eq!(subject.credential.kind, CredentialKind::Jwt);
}

#[tokio::test]
async fn a_cached_token_never_outlives_its_end() {
    let (minter, house) = house("").await;
    let token = minter.mint(&claims(json!({})));
    assert_eq!(code(house.ask_with(&token, None).await), "passed");
    let later = now() + std::time::Duration::from_secs(329);
    assert_eq!(code(house.ask_at(&token, None, later).await), "passed");
    assert_eq!(code(house.ask_at(&token, None, later + std::time::Duration::from_secs(1)).await), "token_expired");
}

#[tokio::test]
async fn a_cached_token_ends_with_its_key() {
    let (minter, house) = house("").await;
    let token = minter.mint(&claims(json!({})));
    assert_eq!(code(house.ask_with(&token, None).await), "passed");
    house.authenticator.reload_files().unwrap();
    assert_eq!(code(house.ask_with(&token, None).await), "passed");
    house.folder.write("jwks.json", "{\"keys\":[]}");
    assert!(house.authenticator.reload_files().is_err(), "a set that does not read changes nothing");
    assert_eq!(code(house.ask_with(&token, None).await), "passed");
    house.folder.write("jwks.json", json!({"keys": [es256().jwk("k1")]}).to_string());
    house.authenticator.reload_files().unwrap();
    assert_eq!(code(house.ask_with(&token, None).await), "token_invalid");
}

#[tokio::test]
async fn a_cached_token_meets_the_parties_of_each_call() {
    let (minter, mut house) = house("").await;
    let token = minter.mint(&claims(json!({})));
    assert_eq!(code(house.ask_with(&token, None).await), "passed");
    house.parties.requesters.remove("platform-app");
    assert_eq!(code(house.ask_with(&token, None).await), "requester_unknown");
}

#[tokio::test]
async fn a_key_of_one_issuer_is_none_of_another() {
    let (a, b) = (es256(), es256());
    let folder = Folder::new();
    folder.write("a.json", json!({"keys": [a.jwk("k1")]}).to_string());
    folder.write("b.json", json!({"keys": [b.jwk("k1")]}).to_string());
    let issuer = |name: &str, file: &str| {
        format!("[[issuers]]\nissuer = \"{name}\"\naudience = \"kanhe\"\njwks = \"file:{file}\"\nalgorithms = [\"ES256\"]\n")
    };
    let text = issuer("https://a.example", "a.json") + &issuer("https://b.example", "b.json");
    let authenticator = Authenticator::start(&config(&text, folder.path()).unwrap()).await.unwrap();
    let parties = parties();
    for (minter, issuer, expected) in
        [(&a, "https://a.example", "passed"), (&a, "https://b.example", "token_invalid"), (&b, "https://b.example", "passed")]
    {
        let field = format!("Bearer {}", minter.mint(&claims(json!({"iss": issuer}))));
        let credentials = Credentials { authorization: AuthorizationFields::One(field.as_bytes()), certificate: None };
        assert_eq!(code(authenticator.authenticate(&parties, credentials, now()).await), expected, "{issuer}");
    }
}

#[tokio::test]
async fn without_keys_there_is_no_start() {
    let folder = Folder::new();
    let text = format!("[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"kanhe\"\njwks = \"file:none.json\"\nalgorithms = [\"ES256\"]\n");
    let outcome = Authenticator::start(&config(&text, folder.path()).unwrap()).await;
    let error = outcome.err().unwrap().to_string();
    assert!(error.contains(ISSUER) && error.contains("none.json"), "{error}");
}

#[test]
fn issuers_are_read_strictly() {
    let good = format!(
        "[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"kanhe\"\njwks = \"file:jwks.json\"\nalgorithms = [\"ES256\"]\n\
         typ = [\"application/at+jwt\"]\nbound = \"optional\"\n"
    );
    let base = std::path::Path::new("/base");
    let read = config(&good, base).unwrap();
    assert_eq!(read.issuers[0].typ, ["at+jwt"]);
    for (from, to, code) in [
        ("\"ES256\"", "\"HS256\"", "wrong_value"),
        ("\"ES256\"", "\"none\"", "wrong_value"),
        ("[\"ES256\"]", "[]", "wrong_value"),
        ("algorithms = [\"ES256\"]", "", "missing_key"),
        ("file:jwks.json", "http://iam.example/jwks", "wrong_value"),
        ("file:jwks.json", "https://iam.example/jwks", "missing_key"),
        ("file:jwks.json", "https://user@iam.example/jwks", "wrong_value"),
        ("\"optional\"", "\"maybe\"", "wrong_value"),
        ("audience", "audiance", "missing_key"),
        ("bound", "claims = { requestor = \"sub\" }\nbound", "unknown_key"),
    ] {
        let errors = config(&good.replace(from, to), base).unwrap_err();
        assert!(errors[0].starts_with(code), "{to}: {errors:?}");
    }
    assert!(config(&good.repeat(2), base).unwrap_err()[0].starts_with("duplicate_id"));
    let named = good.replace("bound", "jwks_refresh = \"5m\"\nbound");
    assert!(config(&named, base).is_ok());
}
