//! PostgreSQL as a process of the test's own: Debian's server on a port of its own, over TLS and with a password, killed with
//! its test.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::folder::Folder;
use super::keys::Authority;
use super::{PATIENCE, eventually};

/// A server that can be killed and started again on its data.
pub struct Postgres {
    folder: Folder,
    child: Option<Child>,
    port: u16,
}

/// Where Debian keeps the server's programs.
fn program(name: &str) -> PathBuf {
    let found =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin").join(name));
    found.filter(|path| path.exists()).max().unwrap_or_else(|| panic!("`{name}` is missing: tests/run installs the package postgresql"))
}

/// The server refuses to run as root.
fn as_somebody(command: &mut Command) -> &mut Command {
    if rustix::process::getuid().is_root() {
        let id = |flag: &str| -> u32 {
            let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().expect("a user `postgres`, as Debian's package makes it")
        };
        // What lies in the home of whoever runs the tests cannot be read by that user, and is not meant for it.
        command.uid(id("-u")).gid(id("-g")).env_remove("HOME");
    }
    command
}

impl Postgres {
    /// Makes a database and starts its server; `authority` issues its certificate.
    pub fn start(authority: &Authority) -> Self {
        let folder = Folder::new();
        let issued = authority.issue("localhost", 77);
        folder.write("server.pem", issued.certificate);
        folder.write("server.key", issued.key);
        folder.write("password", "only-here\n");
        own(folder.path());
        let data = folder.path().join("data");
        let mut initdb = Command::new(program("initdb"));
        initdb.args(["--username=kanhe", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.arg(format!("--pwfile={}", folder.path().join("password").display())).arg("-D").arg(&data).current_dir("/");
        let made = as_somebody(&mut initdb).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, child: None, port: 0 };
        server.run();
        server
    }

    /// A standby of this server, by streaming replication: no commit is told of from now on before the standby has it too.
    pub fn standby(&self) -> Self {
        let folder = Folder::new();
        for file in ["server.pem", "server.key"] {
            folder.write(file, std::fs::read(self.folder.path().join(file)).unwrap());
        }
        own(folder.path());
        let from = format!("host=127.0.0.1 port={} user=kanhe password=only-here sslmode=require application_name=standby", self.port);
        let mut copy = Command::new(program("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", &from]).arg("-D").arg(folder.path().join("data"));
        let made = as_somebody(copy.current_dir("/")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut standby = Self { folder, child: None, port: 0 };
        standby.run();
        self.psql("alter system set synchronous_standby_names = 'standby'");
        self.psql("select pg_reload_conf()");
        eventually("the standby is one that commits wait for", || {
            (self.psql("select sync_state from pg_stat_replication") == "sync").then_some(())
        });
        standby
    }

    /// Makes a standby the server that can be written to.
    pub fn promote(&self) {
        assert_eq!(self.psql("select pg_promote()"), "t");
    }

    /// Starts the server, on the port that it had.
    pub fn run(&mut self) {
        for _ in 0..20 {
            let port =
                if self.port == 0 { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() } else { self.port };
            let folder = self.folder.path();
            let mut command = Command::new(program("postgres"));
            command.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string()).arg("-k").arg(folder).current_dir("/");
            for set in ["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned(), "max_connections=30".to_owned()] {
                command.arg("-c").arg(set);
            }
            for (name, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
                command.arg("-c").arg(format!("{name}={}", folder.join(file).display()));
            }
            let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
            command.stdout(Stdio::null()).stderr(log);
            let mut child = as_somebody(&mut command).spawn().unwrap();
            let answers = eventually("the database answers", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                self.psql_on(port, "select 1").map(|_| true)
            });
            if answers {
                (self.port, self.child) = (port, Some(child));
                return;
            }
            assert!(self.port == 0, "{}", std::fs::read_to_string(folder.join("log")).unwrap());
        }
        panic!("no port for the database: {}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// As a power cut would end it: nothing is written any more, by any of its processes.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Its children notice a postmaster that is gone, and end; the port is free then.
        let _ = child.kill();
        let _ = child.wait();
        let pid = self.folder.path().join("data/postmaster.pid");
        let _ = std::fs::remove_file(pid);
        eventually("the port is free again", || std::net::TcpListener::bind(("127.0.0.1", self.port)).ok());
    }

    /// The connection string, for a client that trusts the certificate in `ca`.
    pub fn url(&self, ca: &Path) -> String {
        format!("postgres://kanhe:only-here@127.0.0.1:{}/postgres?sslmode=verify-full&sslrootcert={}", self.port, ca.display())
    }

    /// The same for this server and another one: whichever can be written to.
    pub fn url_with(&self, other: &Self, ca: &Path) -> String {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", self.port, other.port);
        self.url(ca).replacen(&format!("127.0.0.1:{}", self.port), &hosts, 1) + "&target_session_attrs=read-write"
    }

    /// What psql, which is not ours, prints for this query.
    pub fn psql(&self, query: &str) -> String {
        self.psql_on(self.port, query).unwrap_or_else(|| panic!("`{query}` failed"))
    }

    fn psql_on(&self, port: u16, query: &str) -> Option<String> {
        let url = format!("postgres://kanhe:only-here@127.0.0.1:{port}/postgres?sslmode=require&connect_timeout={}", PATIENCE.as_secs());
        let output = Command::new("psql").args(["-XAtq", &url, "-c", query]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

/// Gives the folder to the user that the server runs as.
fn own(folder: &Path) {
    if rustix::process::getuid().is_root() {
        let done = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder).status().unwrap();
        assert!(done.success());
    }
    let key = folder.join("server.key");
    std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
