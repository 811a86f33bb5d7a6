//! Named networks: what `context.network` says of a caller's address. The longest prefix wins.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::lang::Text;
use crate::written::{Table, is_id};

/// The name of every address that no named network holds.
pub const OTHER: &str = "other";

/// `[gateway.networks]`, longest prefix first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    nets: Vec<(IpNet, Arc<str>)>,
    other: Arc<str>,
}

impl Default for Networks {
    fn default() -> Self {
        Self { nets: Vec::new(), other: OTHER.into() }
    }
}

impl Networks {
    /// Reads `[gateway.networks]`; all of it may be left out.
    pub fn read(table: Option<Table<'_, '_>>) -> Option<Self> {
        let mut networks = Self::default();
        let Some(table) = table else { return Some(networks) };
        for name in table.keys() {
            let key = name.value;
            if !is_id(&key) || key == OTHER {
                table.wrong_value(&key, "不是可用的网络名称（`other` 保留）", "is not a name for a network (`other` is kept for the rest)");
            }
            let shared: Arc<str> = key.as_str().into();
            for net in table.strings(&key) {
                match net.value.parse::<IpNet>() {
                    Ok(parsed) => networks.nets.push((parsed.trunc(), shared.clone())),
                    Err(_) => table.problems().error(
                        &net.place,
                        "wrong_value",
                        Text::new(format!("`{}` 不是网段", net.value), format!("`{}` is not a network", net.value)),
                        Some(Text::new("例如 `59.192.0.0/10`", "such as `59.192.0.0/10`")),
                    ),
                }
            }
        }
        networks.nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        Some(networks)
    }

    /// Every name, sorted.
    pub fn names(&self) -> Vec<Arc<str>> {
        let names: std::collections::BTreeSet<&Arc<str>> = self.nets.iter().map(|(_, name)| name).chain([&self.other]).collect();
        names.into_iter().cloned().collect()
    }

    /// The name of the network that holds `address`. An IPv4 address inside IPv6 counts as itself.
    pub fn name(&self, address: IpAddr) -> &Arc<str> {
        let address = address.to_canonical();
        self.nets.iter().find(|(net, _)| net.contains(&address)).map_or(&self.other, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::{Document, Problems};

    #[test]
    fn the_longest_prefix_wins() {
        let problems = Problems::default();
        let document = Document::parse("kanhe.toml", "wide = [\"10.0.0.0/8\"]\nnarrow = [\"10.1.0.0/16\", \"fd00::/8\"]", &problems);
        let networks = Networks::read(Some(document.root(&problems))).unwrap();
        assert!(problems.is_ok());
        for (address, name) in
            [("10.2.3.4", "wide"), ("10.1.3.4", "narrow"), ("::ffff:10.1.3.4", "narrow"), ("fd00::1", "narrow"), ("192.0.2.1", "other")]
        {
            assert_eq!(&**networks.name(address.parse().unwrap()), name, "{address}");
        }
    }
}
