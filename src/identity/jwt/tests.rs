//! Tokens that must not count, each by the name of its trick.

use aws_lc_rs::hmac;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Token;
use crate::identity::testing::{House, ISSUER, Minter, base64url, claims, eddsa, es256, now, rs256};

async fn house() -> (Minter, House) {
    let minter = es256();
    let house = House::new(&[minter.jwk("k1")], "").await;
    (minter, house)
}

fn header(more: &str) -> String {
    format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"k1"{more}}}"#)
}

fn good() -> String {
    claims(json!({})).to_string()
}

/// Each of these claims refuses the token.
async fn refused(changes: impl IntoIterator<Item = Value>) {
    let (minter, house) = house().await;
    assert_eq!(house.code(&minter.mint(&claims(json!({})))).await, "passed");
    for change in changes {
        assert_eq!(house.code(&minter.mint(&claims(change.clone()))).await, "token_invalid", "{change}");
    }
}

#[tokio::test]
async fn every_listed_algorithm_verifies_with_its_own_key() {
    for minter in [es256(), eddsa(), rs256()] {
        let house = House::new(&[minter.jwk("k1")], "").await;
        assert_eq!(house.code(&minter.mint(&claims(json!({})))).await, "passed", "{}", minter.algorithm());
        let other = House::new(&[minter.jwk("k1")], "typ = [\"JWT\"]").await;
        assert_eq!(other.code(&minter.mint(&claims(json!({})))).await, "token_invalid");
    }
}

#[tokio::test]
async fn alg_none_is_refused() {
    let (_, house) = house().await;
    let signed = format!("{}.{}", base64url(r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#), base64url(good()));
    assert_eq!(house.code(&format!("{signed}.")).await, "token_invalid");
    assert_eq!(house.code(&format!("{signed}.AAAA")).await, "token_invalid");
    assert_eq!(house.code(&signed).await, "token_invalid");
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    let minter = rs256();
    let jwk = minter.jwk("k1");
    let house = House::new(std::slice::from_ref(&jwk), "").await;
    let signed = format!("{}.{}", base64url(r#"{"alg":"HS256","typ":"at+jwt","kid":"k1"}"#), base64url(good()));
    for secret in [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        assert_eq!(house.code(&format!("{signed}.{}", base64url(tag))).await, "token_invalid");
    }
}

#[tokio::test]
async fn one_key_has_one_algorithm() {
    let minter = rs256();
    let house = House::new(&[minter.jwk("k1")], "").await;
    for algorithm in ["PS256", "ES256", "EdDSA", "RS512"] {
        let token = minter.token(&format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"k1"}}"#), &good());
        assert_eq!(house.code(&token).await, "token_invalid", "{algorithm}");
    }
}

#[tokio::test]
async fn an_all_zero_signature_is_refused() {
    let (_, house) = house().await;
    let signed = format!("{}.{}", base64url(header("")), base64url(good()));
    assert_eq!(house.code(&format!("{signed}.{}", base64url([0; 64]))).await, "token_invalid");
}

#[tokio::test]
async fn a_changed_payload_is_refused() {
    let (minter, house) = house().await;
    let token = minter.mint(&claims(json!({})));
    let parts: Vec<&str> = token.split('.').collect();
    let other = base64url(claims(json!({"sub": "pinned-app"})).to_string());
    assert_eq!(house.code(&format!("{}.{other}.{}", parts[0], parts[2])).await, "token_invalid");
}

#[tokio::test]
async fn a_kid_only_chooses_among_registered_keys() {
    let (minter, house) = house().await;
    let long = "k".repeat(129);
    for kid in ["k2", "../../etc/passwd", "k1\\u0000", "' or 1=1", &long, ""] {
        let token = minter.token(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#), &good());
        assert_eq!(house.code(&token).await, "token_invalid", "{kid}");
    }
    let without = minter.token(r#"{"alg":"ES256","typ":"at+jwt"}"#, &good());
    assert_eq!(house.code(&without).await, "passed", "one key fits: no kid is needed");
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_ignored() {
    let (minter, house) = house().await;
    let stranger = es256();
    let bring = format!(r#","jwk":{},"jku":"https://evil.example/jwks","x5u":"https://evil.example/x""#, stranger.jwk("k1"));
    assert_eq!(house.code(&stranger.token(&header(&bring), &good())).await, "token_invalid");
    assert_eq!(house.code(&minter.token(&header(&bring), &good())).await, "passed");
}

#[tokio::test]
async fn unknown_crit_and_b64_are_refused() {
    let (minter, house) = house().await;
    for more in [r#","crit":["exp"],"exp":1"#, r#","crit":["b64"],"b64":false"#, r#","b64":false"#, r#","zip":"DEF""#, r#","crit":[]"#] {
        assert_eq!(house.code(&minter.token(&header(more), &good())).await, "token_invalid", "{more}");
    }
}

#[tokio::test]
async fn an_encrypted_token_is_refused() {
    let (_, house) = house().await;
    let jwe = format!("{}..AAAA.AAAA.AAAA", base64url(r#"{"alg":"dir","enc":"A256GCM"}"#));
    assert_eq!(house.code(&jwe).await, "token_invalid");
}

#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let (minter, house) = house().await;
    for typ in [r#","typ":"JWT""#, r#","typ":"id_token+jwt""#, ""] {
        let token = minter.token(&format!(r#"{{"alg":"ES256","kid":"k1"{typ}}}"#), &good());
        assert_eq!(house.code(&token).await, "token_invalid", "{typ}");
    }
    for typ in ["application/at+jwt", "AT+JWT", "Application/At+Jwt"] {
        let token = minter.token(&format!(r#"{{"alg":"ES256","kid":"k1","typ":"{typ}"}}"#), &good());
        assert_eq!(house.code(&token).await, "passed", "{typ}");
    }
}

#[tokio::test]
async fn exp_is_a_whole_number_of_seconds() {
    let at = now().as_second();
    refused([
        json!({"exp": (at + 300).to_string()}),
        json!({"exp": (at + 300) as f64 + 0.5}),
        json!({"exp": -1}),
        json!({"exp": 253_402_300_800_i64}),
        json!({"exp": true}),
        json!({"exp": [at + 300]}),
        json!({"exp": null}),
    ])
    .await;
    let (minter, house) = house().await;
    for huge in ["1e300", "18446744073709551616", "99999999999999999999999999", "1.8e9"] {
        let payload = good().replace(&(at + 300).to_string(), huge);
        assert_eq!(house.code(&minter.token(&header(""), &payload)).await, "token_invalid", "{huge}");
    }
}

#[tokio::test]
async fn a_token_ends_half_a_minute_after_exp() {
    let (minter, house) = house().await;
    let at = now().as_second();
    assert_eq!(house.code(&minter.mint(&claims(json!({"exp": at - 29})))).await, "passed");
    assert_eq!(house.code(&minter.mint(&claims(json!({"exp": at - 30})))).await, "token_expired");
    assert_eq!(house.code(&minter.mint(&claims(json!({"exp": 0})))).await, "token_expired");
}

#[tokio::test]
async fn nbf_and_iat_must_not_lie_ahead() {
    let at = now().as_second();
    refused([json!({"nbf": at + 31}), json!({"iat": at + 31}), json!({"iat": "yesterday"}), json!({"nbf": at as f64 - 10.5})]).await;
    let (minter, house) = house().await;
    assert_eq!(house.code(&minter.mint(&claims(json!({"nbf": at + 29, "iat": at + 29})))).await, "passed");
}

#[tokio::test]
async fn aud_must_hold_this_gateway() {
    refused([json!({"aud": null}), json!({"aud": "other"}), json!({"aud": ["other", "kanhe2"]}), json!({"aud": []}), json!({"aud": [1]})])
        .await;
    let (minter, house) = house().await;
    assert_eq!(house.code(&minter.mint(&claims(json!({"aud": ["other", "kanhe"]})))).await, "passed");
}

#[tokio::test]
async fn iss_must_be_registered() {
    refused([json!({"iss": null}), json!({"iss": "https://evil.example"}), json!({"iss": [ISSUER]}), json!({"iss": 1})]).await;
}

#[tokio::test]
async fn members_written_twice_are_refused() {
    let (minter, house) = house().await;
    assert_eq!(house.code(&minter.token(&header(r#","kid":"k1""#), &good())).await, "token_invalid");
    for again in [r#""sub":"pinned-app""#, r#""\u0073ub":"pinned-app""#, r#""note":1,"note":2"#] {
        let payload = good().replacen('{', &format!("{{{again},"), 1);
        assert_eq!(house.code(&minter.token(&header(""), &payload)).await, "token_invalid", "{again}");
    }
    let trailing = format!("{}{{}}", good());
    assert_eq!(house.code(&minter.token(&header(""), &trailing)).await, "token_invalid");
}

#[tokio::test]
async fn a_token_over_8_kib_is_refused() {
    let (minter, house) = house().await;
    assert_eq!(house.code(&minter.mint(&claims(json!({"note": "n".repeat(5000)})))).await, "passed");
    assert_eq!(house.code(&minter.mint(&claims(json!({"note": "n".repeat(8000)})))).await, "token_invalid");
}

#[tokio::test]
async fn base64url_has_one_spelling() {
    let (minter, house) = house().await;
    let token = minter.mint(&claims(json!({})));
    // 64 bytes leave four bits over in the last letter: the neighbour decodes to the same bytes in a lax reader.
    let last = token.chars().last().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    for spelt in [format!("{}{next}", &token[..token.len() - 1]), format!("{token}=="), format!("{token}\n"), token.replace('.', ". ")] {
        assert_eq!(house.code(&spelt).await, "token_invalid", "{spelt}");
    }
    assert_eq!(house.code(&token).await, "passed");
}

#[tokio::test]
async fn text_that_is_no_token_is_refused() {
    let (minter, house) = house().await;
    for text in ["", ".", "..", "...", "a.b", "a.b.c", "é.é.é"] {
        assert_eq!(house.code(text).await, "token_invalid", "{text}");
    }
    for payload in ["", "null", "[]", "\"x\"", "{", "{\"iss\":\"\\ud800\"}"] {
        assert_eq!(house.code(&minter.token(&header(""), payload)).await, "token_invalid", "{payload}");
    }
}

#[tokio::test]
async fn claims_of_a_wrong_type_are_refused() {
    refused([
        json!({"sub": null}),
        json!({"sub": 5}),
        json!({"department": ["stats"]}),
        json!({"roles": 5}),
        json!({"roles": {"a": 1}}),
        json!({"operator": 7}),
        json!({"operator": " "}),
        json!({"operator": "x".repeat(129)}),
        json!({"operator": "zhang\nsan"}),
        json!({"operator": "zhang", "operator_clearance": "3"}),
        json!({"operator": "zhang", "operator_clearance": -1}),
        json!({"operator": "zhang", "operator_clearance": 5}),
        json!({"operator": "zhang", "operator_clearance": 2.0}),
    ])
    .await;
}

#[tokio::test]
async fn authorization_details_that_cannot_be_checked_are_refused() {
    let detail = |detail: Value| json!({"authorization_details": [detail]});
    refused([
        json!({"authorization_details": {"type": "kanhe_share", "scenarios": ["housing"]}}),
        detail(json!("kanhe_share")),
        detail(json!({"scenarios": ["housing"]})),
        detail(json!({"type": "kanhe_share"})),
        detail(json!({"type": "kanhe_share", "scenarios": []})),
        detail(json!({"type": "kanhe_share", "scenarios": "housing"})),
        detail(json!({"type": "kanhe_share", "scenarios": ["not an id"]})),
        detail(json!({"type": "kanhe_share", "scenarios": ["housing"], "case": 5})),
        detail(json!({"type": "kanhe_share", "scenarios": ["housing"], "case": "x".repeat(129)})),
        detail(json!({"type": "kanhe_share", "scenarios": ["housing"], "locations": ["x"]})),
        json!({"authorization_details": [
            {"type": "kanhe_share", "scenarios": ["housing"]}, {"type": "kanhe_share", "scenarios": ["patrol"]}
        ]}),
    ])
    .await;
}

#[tokio::test]
async fn a_binding_that_cannot_be_checked_is_refused() {
    refused([
        json!({"cnf": "x"}),
        json!({"cnf": {}}),
        json!({"cnf": {"jkt": "abc"}}),
        json!({"cnf": {"x5t#S256": "abc"}}),
        json!({"cnf": {"x5t#S256": base64url([0; 32]), "jkt": "abc"}}),
    ])
    .await;
}

#[tokio::test]
async fn no_letter_of_a_token_can_be_changed() {
    let (minter, house) = house().await;
    let token = minter.mint(&claims(json!({})));
    for at in 0..token.len() {
        for letter in ["A", "Q", "_", ".", "=", ""] {
            let changed = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                assert_eq!(house.code(&changed).await, "token_invalid", "{changed}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_apart_or_refused(header in ".*", payload in ".*", signature in "[A-Za-z0-9_-]*", text in ".*") {
        let _ = Token::parse(&text);
        let token = format!("{}.{}.{signature}", base64url(header), base64url(payload));
        if let Ok(token) = Token::parse(&token) {
            let _ = token.issuer();
        }
    }
}
