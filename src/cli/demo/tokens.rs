//! Ready access tokens (RFC 9068), one file each, so that every `curl` line of the story can be copied.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::Trouble;
use super::folder::Folder;
use super::issuer::{EDDSA_KID, ES256_KID, Issuer};
use super::keys::Keys;
use crate::sys;

/// The audience that the gateway expects.
pub(super) const AUDIENCE: &str = "kanhe";

/// How long a token is good for: a few days, so that a copied line still works tomorrow.
const SECONDS: i64 = 7 * 24 * 3600;

/// Writes `tokens/NAME.jwt` for everyone in the story.
pub(super) fn write(folder: &Folder, keys: &Keys, issuer: &Issuer) -> Result<(), Trouble> {
    for (name, algorithm, claims) in cast(keys) {
        let token = mint(keys, issuer, algorithm, claims)?;
        folder.write_secret(&format!("tokens/{name}.jwt"), &token)?;
    }
    Ok(())
}

/// Who carries a token, how it is signed and what it claims beyond the usual.
fn cast(keys: &Keys) -> Vec<(&'static str, Algorithm, Value)> {
    use Algorithm::{ES256, EdDSA};
    vec![
        ("housing", ES256, json!({ "sub": "housing-app" })),
        ("housing-operator", EdDSA, json!({ "sub": "housing-app", "operator": "demo-operator-07", "operator_clearance": 3 })),
        ("housing-bound", ES256, json!({ "sub": "housing-app", "cnf": { "x5t#S256": keys.thumbprint() } })),
        ("housing-jia", ES256, json!({ "sub": "housing-jia-app" })),
        ("patrol", ES256, json!({ "sub": "patrol-app" })),
        ("flood", EdDSA, json!({ "sub": "flood-app" })),
        ("stats", ES256, json!({ "sub": "stats-app" })),
        ("planning", ES256, json!({ "sub": "planning-app" })),
        ("platform", ES256, json!({ "sub": "platform-app" })),
        ("stranger", ES256, json!({ "sub": "nobody-registered-this-app" })),
    ]
}

fn mint(keys: &Keys, issuer: &Issuer, algorithm: Algorithm, mut claims: Value) -> Result<String, Trouble> {
    let now = sys::now().as_second();
    claims["iss"] = json!(issuer.url);
    claims["aud"] = json!(AUDIENCE);
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + SECONDS);
    claims["jti"] = json!(URL_SAFE_NO_PAD.encode(sys::random::<12>()));
    let (key, kid) = match algorithm {
        Algorithm::EdDSA => (EncodingKey::from_ed_der(keys.eddsa.serialized_der()), EDDSA_KID),
        _ => (EncodingKey::from_ec_der(keys.es256.serialized_der()), ES256_KID),
    };
    let mut header = Header::new(algorithm);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(kid.to_owned());
    encode(&header, &claims, &key).map_err(|error| Trouble::new(format!("无法签发令牌：{error}"), format!("cannot sign a token: {error}")))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

    use super::*;
    use crate::cli::demo::client::{Call, Client};
    use crate::cli::demo::{issuer, keys};
    use crate::lang::Lang;

    /// The issuer over real TLS, its keys, and every token verified with them.
    #[test]
    fn every_token_verifies_with_the_keys_that_the_issuer_publishes() {
        let dir = std::env::temp_dir().join(format!("kanhe-demo-tokens-{}", hex::encode(sys::random::<6>())));
        let folder = Folder::prepare(Some(&dir)).unwrap();
        let keys = keys::make(&folder).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let issuer = runtime.block_on(issuer::start(&keys)).unwrap();
        write(&folder, &keys, &issuer).unwrap();
        let client = Client::new(&keys, &folder).unwrap();
        let answer = runtime.block_on(client.send(&issuer.url, &Call::get("/jwks.json"), Lang::En)).unwrap();
        let set: JwkSet = serde_json::from_slice(&answer.content).unwrap();
        for (name, algorithm, _) in cast(&keys) {
            let token = folder.read(&format!("tokens/{name}.jwt")).unwrap();
            let header = decode_header(&token).unwrap();
            assert_eq!(header.typ.as_deref(), Some("at+jwt"));
            let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&[AUDIENCE]);
            validation.set_issuer(&[&issuer.url]);
            decode::<Value>(&token, &key, &validation).unwrap();
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
