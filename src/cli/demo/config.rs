//! The demo's `kanhe.toml`, written so that a person can read it and start from it.

use super::Trouble;
use super::folder::Folder;
use super::issuer::Issuer;
use super::tokens::AUDIENCE;
use super::witness::Witness;

/// The one address that counts as the government network, so that both sides of that line can be shown on one machine.
pub(super) const GOVERNMENT: &str = "127.0.0.2";

/// The gateway's name, and its log's.
pub(super) const GATEWAY: &str = "gw-1.demo.example";
/// The key that signs its log.
pub(super) const LEDGER_KEY: &str = "secrets/ledger.key";

/// Writes `kanhe.toml`, and `full/kanhe.toml` for a second gateway whose ledger runs out of room.
pub(super) fn write(folder: &Folder, issuer: &Issuer, witness: &Witness, port: u16, admin_port: u16) -> Result<(), Trouble> {
    let mut gateway = text(issuer, GATEWAY, (port, admin_port), "", "ledger", ("16MiB", "1s"));
    gateway += &format!("[[ledger.witnesses]]\nkey = \"{}\"\nurl = \"{}\"\n", witness.key, witness.url);
    folder.write("kanhe.toml", &gateway)?;
    folder.write("full/kanhe.toml", &text(issuer, "gw-full.demo.example", (0, 0), "../", "disk/ledger", ("1MiB", "100ms")))
}

fn text(issuer: &Issuer, name: &str, (port, admin_port): (u16, u16), up: &str, ledger: &str, (segment, interval): (&str, &str)) -> String {
    let url = &issuer.url;
    format!(
        r#"# Written by `kanhe demo`: throw-away keys, synthetic people.
[gateway]
name = "{name}"
listen = "127.0.0.1:{port}"
[gateway.tls]
certificate = "{up}certs/gateway.pem"
key = "{up}secrets/gateway.key"
client_ca = "{up}certs/ca.pem"
client_auth = "optional"
[gateway.networks]
government = ["{GOVERNMENT}/32"]
[admin]
listen = "127.0.0.1:{admin_port}"
[[issuers]]
issuer = "{url}"
audience = "{AUDIENCE}"
jwks = "{url}/jwks.json"
jwks_ca = "{up}certs/ca.pem"
algorithms = ["ES256", "EdDSA"]
typ = ["at+jwt"]
claims = {{ requester = "sub", department = "department", operator = "operator", operator_roles = "operator_roles", operator_clearance = "operator_clearance", roles = "roles" }}
bound = "optional"
[control]
folder = "{up}policies"
[disclosure]
pseudonym_key = "{up}secrets/pseudonym.key"
[ledger]
folder = "{ledger}"
journal_segment = "{segment}"
key = "{up}secrets/ledger.key"
subject_key = "{up}secrets/subject.key"
checkpoint_interval = "{interval}"
register = "off"
[telemetry]
log = "info"
format = "pretty"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::{Document, Problems};

    #[test]
    fn both_configurations_are_toml() {
        let issuer = Issuer { url: "https://127.0.0.1:1".to_owned() };
        for (up, ledger) in [("", "ledger"), ("../", "disk/ledger")] {
            let problems = Problems::default();
            let text = text(&issuer, "gw", (0, 0), up, ledger, ("1MiB", "1s"));
            assert!(text.contains(&format!("folder = \"{up}policies\"")) && text.contains(&format!("folder = \"{ledger}\"")));
            Document::parse("kanhe.toml", &text, &problems);
            assert!(problems.is_ok());
        }
    }
}
