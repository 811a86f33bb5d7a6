//! `postgres://…`: where the database is, and whom the connection trusts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::Broken;
use crate::lang::Text;
use crate::tls;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the database may leave a packet unanswered before the connection counts as lost.
const UNANSWERED: Duration = Duration::from_secs(10);

/// A database, as `register` names it.
#[derive(Clone)]
pub struct Database {
    /// As it is written; holds a password.
    text: String,
    config: postgres::Config,
    ca: Option<PathBuf>,
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.ca) == (&other.text, &other.ca)
    }
}

impl Eq for Database {}

/// The password is not shown.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hosts, ports, name) = (self.config.get_hosts(), self.config.get_ports(), self.config.get_dbname());
        f.debug_struct("Database").field("hosts", &hosts).field("ports", &ports).field("name", &name).field("ca", &self.ca).finish()
    }
}

impl Database {
    /// Reads a connection string as libpq writes it, with `sslmode=verify-full` and `sslrootcert` (relative to `base`), or
    /// `sslmode=disable` to a loopback address or a socket.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Text> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut ca, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => ca = Some(base.join(value)),
                _ => rest.push(pair),
            }
        }
        let wrong =
            |error: &dyn fmt::Display| Text::new(format!("连接串有误：{error}"), format!("the connection string is wrong: {error}"));
        let mut config = postgres::Config::from_str(&format!("{address}?{}", rest.join("&"))).map_err(|error| wrong(&error))?;
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()) || name == "localhost",
            Host::Unix(_) => true,
        });
        match (mode, &ca) {
            (Some("verify-full"), Some(_)) => config.ssl_mode(SslMode::Require),
            (Some("disable"), None) if local => config.ssl_mode(SslMode::Disable),
            _ => {
                let zh = "须写 `sslmode=verify-full&sslrootcert=证书文件`；回环地址或套接字可写 `sslmode=disable`";
                let en = "write `sslmode=verify-full&sslrootcert=FILE`, or `sslmode=disable` to a loopback address or a socket";
                return Err(Text::new(zh, en));
            }
        };
        config.connect_timeout(CONNECT).tcp_user_timeout(UNANSWERED).application_name("kanhe").options("-c statement_timeout=30s");
        Ok(Self { text: text.to_owned(), config, ca })
    }

    /// A new connection.
    pub(in super::super) fn connect(&self) -> Result<Client, Broken> {
        let client = match &self.ca {
            None => self.config.connect(NoTls)?,
            Some(ca) => {
                let tls = tls::trusting(ca).map_err(|text| Broken { why: text.en.to_string(), anew: false })?;
                self.config.connect(MakeRustlsConnect::new((*tls).clone()))?
            }
        };
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_verified_or_stays_on_the_machine() {
        let parse = |text: &str| Database::parse(text, Path::new("/etc/kanhe"));
        let good = parse("postgres://kanhe:pw@db.example:5433/share?sslmode=verify-full&sslrootcert=ca.pem").unwrap();
        assert_eq!(good.ca.as_deref(), Some(Path::new("/etc/kanhe/ca.pem")));
        assert!(!format!("{good:?}").contains("pw"), "{good:?}");
        assert!(parse("postgres://kanhe@127.0.0.1/share?sslmode=disable").is_ok());
        for bad in [
            "postgres://kanhe@db.example/share",
            "postgres://kanhe@db.example/share?sslmode=disable",
            "postgres://kanhe@db.example/share?sslmode=require",
            "postgres://kanhe@db.example/share?sslmode=verify-full",
            "postgres://kanhe@127.0.0.1/share?sslmode=disable&unknown=1",
            "postgres://kanhe@127.0.0.1:port/share?sslmode=disable",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
