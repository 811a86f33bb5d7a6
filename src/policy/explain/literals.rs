//! Values that policies compare circumstances with: where a decision can turn, so what is worth trying.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

/// The constants of some policies' conditions.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// Whole numbers.
    pub(super) numbers: BTreeSet<i64>,
    /// Texts that `context.network` is compared with.
    pub(super) networks: BTreeSet<Arc<str>>,
    /// Addresses, and the first of each range.
    pub(super) sources: BTreeSet<IpAddr>,
    /// Attributes that are read of anything.
    pub(super) attributes: BTreeSet<String>,
}

impl Literals {
    /// Adds those of one policy's JSON syntax tree.
    pub(super) fn add(&mut self, policy: &Value) {
        self.expression(policy.get("conditions").unwrap_or(policy), false);
    }

    fn expression(&mut self, value: &Value, of_network: bool) {
        match value {
            Value::Object(members) => {
                for (key, inner) in members {
                    match key.as_str() {
                        "Value" => self.literal(inner, of_network),
                        "ip" => self.sources.extend(inner.get(0).and_then(address)),
                        "==" | "!=" | "contains" | "containsAny" | "containsAll" => {
                            self.expression(inner, of_network || reads_network(inner))
                        }
                        "." | "has" => {
                            self.attributes.extend(inner.get("attr").and_then(Value::as_str).map(str::to_owned));
                            self.expression(inner, of_network);
                        }
                        _ => self.expression(inner, of_network),
                    }
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.expression(element, of_network)),
            _ => {}
        }
    }

    fn literal(&mut self, value: &Value, of_network: bool) {
        self.numbers.extend(value.as_i64());
        self.networks.extend(value.as_str().filter(|_| of_network).map(Arc::from));
    }
}

fn address(argument: &Value) -> Option<IpAddr> {
    let text = argument.get("Value")?.as_str()?;
    text.split('/').next()?.parse().ok()
}

fn reads_network(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let here = members.get(".").is_some_and(|access| access["attr"] == "network" && access["left"]["Var"] == "context");
            here || members.values().any(reads_network)
        }
        Value::Array(elements) => elements.iter().any(reads_network),
        _ => false,
    }
}
