//! `kanhe.toml`: what was written, read into what it means. Every part's own `Config` lives with the part; unknown keys
//! are errors, and all errors are reported in one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::limits::Limits;
use crate::gateway::network::Networks;
use crate::identity::mtls::TlsConfig;
use crate::lang::Text;
use crate::ledger::witness;
use crate::snapshot::Publishing;
use crate::written::units::{self, Rate};
use crate::written::{Document, Place, Problem, Problems, Table};
use crate::{admin, identity, ledger, telemetry};

/// All of `kanhe.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration file's folder, at which relative paths start.
    pub base: PathBuf,
    /// The gateway's name: the log's origin line and its note key name.
    pub name: Arc<str>,
    /// Where requesters call.
    pub listen: std::net::SocketAddr,
    /// Its TLS; none: plain HTTP on a loopback address.
    pub tls: Option<TlsConfig>,
    /// Sizes and times.
    pub limits: Limits,
    /// Names for `context.network`.
    pub networks: Networks,
    /// The admin listener.
    pub admin: admin::Config,
    /// Token issuers.
    pub identity: identity::Config,
    /// The control folder.
    pub control: PathBuf,
    /// What a control snapshot must pass.
    pub publishing: Publishing,
    /// Key of pseudonyms.
    pub pseudonym_key: PathBuf,
    /// The largest JSON answer that is rewritten.
    pub disclosure_buffer: u64,
    /// How often a requester may verify claims about one person.
    pub verify_rate: Rate,
    /// The ledger.
    pub ledger: ledger::Config,
    /// Logs.
    pub telemetry: telemetry::Config,
}

/// `[witness]`, which a process of its own reads: a gateway's file may hold it too, so that departments witness each
/// other.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    /// Where logs submit their checkpoints.
    pub listen: std::net::SocketAddr,
    /// Its TLS; none: plain HTTP on a loopback address.
    pub tls: Option<TlsConfig>,
    /// Memory, key and logs.
    pub witness: witness::Config,
}

impl WitnessConfig {
    /// Reads `[witness]` of the file at `path`, whatever else is in it.
    pub fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        read_file(path, |root, base| {
            let witness = root.table("witness")?;
            Self::from_table(witness, base)
        })
    }

    fn from_table(table: Table<'_, '_>, base: &Path) -> Option<Self> {
        let listen = table.parsed("listen", address).map(|listen| listen.value);
        let tls = table.opt_table("tls").map(|tls| TlsConfig::read(&tls, base).inspect(|_| tls.finish()));
        if listen.is_some_and(|listen| !listen.ip().is_loopback()) && tls.is_none() {
            plain_beyond_loopback(&table, "[witness.tls]");
        }
        let witness = witness::Config::read(&table, base);
        table.finish();
        Some(Self { listen: listen?, tls: tls.map_or(Some(None), |tls| tls.map(Some))?, witness: witness? })
    }
}

/// Reads a configuration file; everything wrong in it comes back at once.
fn read_file<T>(path: &Path, read: impl FnOnce(Table<'_, '_>, &Path) -> Option<T>) -> Result<T, Vec<Problem>> {
    let problems = Problems::default();
    let name = path.display().to_string();
    let config = match std::fs::read_to_string(path) {
        Ok(text) => {
            let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let document = Document::parse(&name, &text, &problems);
            read(document.root(&problems), base)
        }
        Err(error) => {
            let place = Place { file: name.as_str().into(), line: 1, column: 1 };
            let message = Text::new(format!("无法读取配置文件：{error}"), format!("cannot read the configuration file: {error}"));
            let help = Text::new(
                "用 --config FILE 指定，或先运行 `kanhe demo` 查看样例",
                "name it with --config FILE, or run `kanhe demo` to see one",
            );
            problems.error(&place, "unreadable", message, Some(help));
            None
        }
    };
    match config {
        Some(config) if problems.is_ok() => Ok(config),
        _ => Err(problems.into_parts().0),
    }
}

fn plain_beyond_loopback(table: &Table<'_, '_>, tls: &str) {
    let message = Text::new("非回环地址必须启用 TLS", "plain HTTP is served on a loopback address only");
    let help = Text::new(format!("添加 {tls}，或监听 127.0.0.1"), format!("add {tls}, or listen on 127.0.0.1"));
    table.error("listen", "tls_required", message, Some(help));
}

impl Config {
    /// Reads the file at `path`; everything wrong in it comes back at once.
    pub fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        read_file(path, Self::from_table)
    }

    fn from_table(root: Table<'_, '_>, base: &Path) -> Option<Self> {
        let gateway = root.table("gateway");
        let admin = root.opt_table("admin");
        let identity = identity::Config::read(root.tables("issuers"), base);
        let control = root.table("control").and_then(|table| Publishing::read(table, base));
        let disclosure = root.table("disclosure").and_then(|table| Disclosure::read(table, base));
        let telemetry = telemetry::Config::read(root.opt_table("telemetry"));
        // Read by `kanhe ledger witness`; what is wrong in it is wrong here too.
        let witness = root.opt_table("witness").map(|table| WitnessConfig::from_table(table, base));
        let gateway = gateway.and_then(|table| Gateway::read(table, base));
        let tls = gateway.as_ref().is_some_and(|gateway| gateway.tls.is_some());
        let admin = admin::Config::read(admin, tls);
        let name = gateway.as_ref().map_or("", |gateway| &*gateway.name);
        let ledger = root.table("ledger").and_then(|table| ledger::Config::read(&table, base, name).inspect(|_| table.finish()));
        root.finish();
        witness.map_or(Some(()), |witness| witness.map(drop))?;
        let (gateway, (control, publishing), disclosure) = (gateway?, control?, disclosure?);
        Some(Self {
            base: base.to_owned(),
            name: gateway.name,
            listen: gateway.listen,
            tls: gateway.tls,
            limits: gateway.limits,
            networks: gateway.networks,
            admin: admin?,
            identity: identity?,
            control,
            publishing,
            pseudonym_key: disclosure.pseudonym_key,
            disclosure_buffer: disclosure.buffer,
            verify_rate: disclosure.verify_rate,
            ledger: ledger?,
            telemetry: telemetry?,
        })
    }

    /// Keys whose change needs a restart: everything but what a reload reads anew (control folder, certificates, keys).
    pub fn changed_since(&self, older: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut compare = |name, same: bool| {
            if !same {
                changed.push(name);
            }
        };
        compare("gateway.name", self.name == older.name);
        compare("gateway.listen", self.listen == older.listen);
        compare("gateway.tls", self.tls.is_some() == older.tls.is_some());
        compare("gateway.limits", self.limits == older.limits);
        compare("gateway.networks", self.networks == older.networks);
        compare("admin", self.admin == older.admin);
        compare("issuers", format!("{:?}", self.identity) == format!("{:?}", older.identity));
        compare("disclosure.pseudonym_key", self.pseudonym_key == older.pseudonym_key);
        compare("disclosure.buffer", self.disclosure_buffer == older.disclosure_buffer);
        compare("disclosure.verify_rate", self.verify_rate == older.verify_rate);
        compare("ledger", format!("{:?}", self.ledger) == format!("{:?}", older.ledger));
        compare("telemetry", self.telemetry == older.telemetry);
        changed
    }
}

/// `[gateway]`.
struct Gateway {
    name: Arc<str>,
    listen: std::net::SocketAddr,
    tls: Option<TlsConfig>,
    limits: Limits,
    networks: Networks,
}

impl Gateway {
    fn read(table: Table<'_, '_>, base: &Path) -> Option<Self> {
        let name = table.parsed("name", key_name);
        let listen = table.parsed("listen", address);
        let written = table.has("tls");
        let tls = table.opt_table("tls").and_then(|tls| TlsConfig::read(&tls, base).inspect(|_| tls.finish()));
        let limits = Limits::read(table.opt_table("limits"));
        let networks = Networks::read(table.opt_table("networks"));
        if let Some(listen) = &listen
            && !written
            && !listen.value.ip().is_loopback()
        {
            plain_beyond_loopback(&table, "[gateway.tls]");
        }
        table.finish();
        Some(Self { name: name?.value, listen: listen?.value, tls, limits: limits?, networks: networks? })
    }
}

/// `[disclosure]`.
struct Disclosure {
    pseudonym_key: PathBuf,
    buffer: u64,
    verify_rate: Rate,
}

/// A claim may be mistyped and corrected; nobody needs sixty tries an hour at one person's data.
const VERIFY_RATE: Rate = Rate { count: 60, per: Duration::from_secs(3600) };

impl Disclosure {
    fn read(table: Table<'_, '_>, base: &Path) -> Option<Self> {
        let key = table.filled("pseudonym_key").map(|key| base.join(key.value));
        let buffer = table.opt_parsed("buffer", units::size).map_or(4 << 20, |size| size.value);
        let verify_rate = table.opt_parsed("verify_rate", units::rate).map_or(VERIFY_RATE, |rate| rate.value);
        table.finish();
        Some(Self { pseudonym_key: key?, buffer, verify_rate })
    }
}

/// A note key name (C2SP signed-note): not empty, without spaces and plus signs.
fn key_name(text: &str) -> Result<Arc<str>, Text> {
    let fits =
        !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'+' | b'"' | b'\\'));
    if fits {
        Ok(text.into())
    } else {
        Err(Text::new(
            "应为不含空格与加号的名称，例如 `gw-1.mca.example`",
            "a name without spaces and plus signs, such as `gw-1.mca.example`",
        ))
    }
}

/// `127.0.0.1:8443`; port 0 lets the system choose.
pub(crate) fn address(text: &str) -> Result<std::net::SocketAddr, Text> {
    text.parse().map_err(|_| Text::new("应为 IP:端口，例如 `0.0.0.0:8443`", "an IP address and a port, such as `0.0.0.0:8443`"))
}
