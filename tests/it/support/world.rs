//! A world of its own for each test: keys, the control folder of `tests/it/world`, origins, `kanhe.toml`, and the
//! command line run on it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Gateway;
use super::folder::Folder;
use super::keys::{Authority, Issued, Minter, ed25519_pem, secret};
use super::nginx::Nginx;
use super::scripted::Scripted;

/// What a test wants otherwise than usual.
#[derive(Clone)]
pub struct Setup {
    /// `client_auth`; none: plain HTTP on the loopback.
    pub client_auth: Option<&'static str>,
    /// Serial numbers that the revocation list names.
    pub revoked: Vec<u64>,
    /// `bound` of the issuer.
    pub bound: &'static str,
    /// Lines for `[gateway.limits]`.
    pub limits: &'static str,
    /// Lines for `[gateway.networks]`.
    pub networks: &'static str,
    /// Lines for `[telemetry]`.
    pub telemetry: &'static str,
    /// Lines for `[disclosure]`.
    pub disclosure: &'static str,
    /// `[ledger]` `folder`.
    pub ledger: PathBuf,
    /// `journal_segment`.
    pub segment: &'static str,
    /// `register`.
    pub register: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            client_auth: Some("optional"),
            revoked: Vec::new(),
            bound: "optional",
            limits: "",
            networks: "government = [\"127.0.0.2/32\"]",
            telemetry: "log = \"debug\"\nformat = \"json\"",
            disclosure: "",
            ledger: "ledger".into(),
            segment: "1MiB",
            register: "off",
        }
    }
}

/// Everything around one gateway.
pub struct World {
    pub folder: Folder,
    pub nginx: Nginx,
    pub scripted: Scripted,
    pub minter: Minter,
    pub authority: Authority,
    pub departments: Authority,
    /// The certificate that `sealed-app` registered.
    pub sealed: Issued,
    setup: Setup,
}

/// The serial number of [`World::sealed`].
pub const SEALED_SERIAL: u64 = 77;

impl World {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let (authority, departments) = (Authority::new("gateway authority"), Authority::new("departments' authority"));
        let sealed = departments.issue("sealed-app", SEALED_SERIAL);
        let (folder, minter) = (Folder::new(), Minter::new());
        let world = Self { folder, nginx: Nginx::start(), scripted: Scripted::start(), minter, authority, departments, sealed, setup };
        world.write_certificate(&world.authority);
        let folder = &world.folder;
        folder.write("certs/departments-ca.pem", world.departments.pem());
        folder.write("certs/revoked.pem", world.departments.revoke(&world.setup.revoked));
        folder.write("secrets/jwks.json", world.minter.jwks().to_string());
        folder.write("secrets/ledger.key", ed25519_pem());
        folder.write("secrets/subject.key", secret());
        folder.write("secrets/pseudonym.key", secret());
        world.write_control(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/world")), "policies");
        world.write_config();
        world
    }

    /// A new certificate of the gateway's own, issued by `authority`.
    pub fn write_certificate(&self, authority: &Authority) {
        let issued = authority.issue("gateway", 1);
        self.folder.write("certs/gateway.pem", issued.certificate);
        self.folder.write("secrets/gateway.key", issued.key);
    }

    /// Copies the control folder, with the ports and fingerprints of this world.
    fn write_control(&self, from: &Path, to: &str) {
        // Bound and let go: a port at which nobody listens.
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let (path, name) = (entry.path(), format!("{to}/{}", entry.file_name().to_str().unwrap()));
            if path.is_dir() {
                self.write_control(&path, &name);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("{NGINX}", &self.nginx.address.to_string()).replace("{SCRIPTED}", &self.scripted.address.to_string());
            let text = text.replace("{DEAD}", &dead.to_string()).replace("{CERTIFICATE}", &hex::encode(self.sealed.fingerprint()));
            self.folder.write(&name, text);
        }
    }

    /// Changes one file of the control folder.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("policies").join(name);
        let changed = change(std::fs::read_to_string(&path).unwrap());
        std::fs::write(path, changed).unwrap();
    }

    /// Days are counted where it is about noon, so that a test which uses up a day's quota does not cross its end. The
    /// same place for all worlds of a run.
    pub fn at_noon(&self) {
        static ZONE: LazyLock<String> = LazyLock::new(|| {
            let hour = kanhe::sys::now().as_second().rem_euclid(86_400) / 3_600;
            // These zones are named by their distance the other way: `Etc/GMT-8` is eight hours ahead.
            format!("Etc/GMT{:+}", hour - 12)
        });
        self.edit("departments.toml", |text| text.replacen("Asia/Shanghai", &ZONE, 1));
    }

    fn write_config(&self) {
        let setup = &self.setup;
        let tls = setup.client_auth.map_or(String::new(), |auth| {
            let client = if auth == "off" {
                ""
            } else if setup.revoked.is_empty() {
                "client_ca = \"certs/departments-ca.pem\"\n"
            } else {
                "client_ca = \"certs/departments-ca.pem\"\nclient_crl = [\"certs/revoked.pem\"]\n"
            };
            format!("[gateway.tls]\ncertificate = \"certs/gateway.pem\"\nkey = \"secrets/gateway.key\"\nclient_auth = \"{auth}\"\n{client}")
        });
        let text = format!(
            r#"[gateway]
name = "gw-1.test.example"
listen = "127.0.0.1:0"
{tls}
[gateway.limits]
{limits}
[gateway.networks]
{networks}
[admin]
listen = "127.0.0.1:0"
[[issuers]]
issuer = "https://iam.example"
audience = "kanhe"
jwks = "file:secrets/jwks.json"
algorithms = ["ES256", "EdDSA"]
typ = ["at+jwt"]
claims = {{ requester = "sub", department = "department", operator = "operator", operator_roles = "operator_roles", operator_clearance = "operator_clearance", roles = "roles" }}
bound = "{bound}"
[control]
folder = "policies"
[disclosure]
pseudonym_key = "secrets/pseudonym.key"
{disclosure}
[ledger]
folder = "{ledger}"
journal_segment = "{segment}"
key = "secrets/ledger.key"
subject_key = "secrets/subject.key"
checkpoint_interval = "1s"
checkpoint_copy = ""
register = "{register}"
gate = "local"
retention = "3y"
[telemetry]
{telemetry}
"#,
            limits = setup.limits,
            networks = setup.networks,
            bound = setup.bound,
            disclosure = setup.disclosure,
            ledger = setup.ledger.display(),
            segment = setup.segment,
            register = setup.register,
            telemetry = setup.telemetry,
        );
        self.folder.write("kanhe.toml", text);
    }

    /// The path of `kanhe.toml`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("kanhe.toml")
    }

    /// Starts the gateway on this world, which must work.
    pub fn serve(&self) -> Gateway {
        Gateway::start(self)
    }

    /// A token of `housing-app`, without an operator.
    pub fn housing(&self) -> String {
        self.minter.token("housing-app", json!({}))
    }

    /// The command `kanhe --config … ARGS`, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
        command.arg("--config").arg(self.config()).args(args).env_remove("LANG").env_remove("LC_ALL").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn kanhe(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The ledger's entries that `ledger query` prints, with these further arguments.
    pub fn entries(&self, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["--format", "json", "ledger", "query"];
        all.extend(args);
        let output = self.kanhe(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The entry at this index, its leaf recomputed from the exact bytes that `ledger show` prints.
    #[track_caller]
    pub fn entry(&self, index: u64) -> Value {
        let output = self.kanhe(&["--format", "json", "ledger", "show", &index.to_string()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = String::from_utf8(output.stdout).unwrap();
        let shown: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(shown["index"], index);
        assert_eq!(leaf_of(exact_entry(&line)), shown["leaf"], "the leaf is that of the entry's exact bytes");
        shown
    }

    /// Asks `ledger verify`, which must find nothing wrong.
    #[track_caller]
    pub fn verify(&self) -> Value {
        let output = self.kanhe(&["--format", "json", "ledger", "verify"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let verified: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&verified["ok"], &verified["first_bad"]), (&json!(true), &Value::Null), "{verified}");
        verified
    }
}

/// The exact text of the member `entry` in a line of `ledger query` or `show`.
pub fn exact_entry(line: &str) -> &str {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        entry: &'a serde_json::value::RawValue,
    }
    serde_json::from_str::<Line<'_>>(line).unwrap().entry.get()
}

/// The leaf of an entry: SHA-256(0x00 ‖ its bytes), in padded base64.
pub fn leaf_of(entry: &str) -> String {
    use base64::Engine;
    let mut bytes = vec![0];
    bytes.extend(entry.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(super::keys::sha256(&bytes))
}

/// npm's json-server over a small database.
pub struct JsonServer {
    child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

const JSON_SERVER: &str = "const j = require('json-server'), s = j.create(); s.use(j.defaults({ logger: false })); \
    s.use(j.router('db.json')); const l = s.listen(0, '127.0.0.1', () => console.log(l.address().port));";

impl JsonServer {
    pub fn start(database: &str) -> Self {
        let folder = Folder::new();
        folder.write("db.json", database);
        // The folder that `tests/run` fills, beside the build's profiles.
        let build = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("origins/node_modules");
        let modules = std::env::var_os("KANHE_NODE_MODULES").map_or(build, PathBuf::from);
        assert!(modules.join("json-server").exists(), "json-server is not installed: run tests/run");
        let mut command = Command::new("node");
        command.args(["-e", JSON_SERVER]).current_dir(folder.path()).env("NODE_PATH", modules);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("node is not installed: run tests/run");
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap())), _folder: folder }
    }
}

impl Drop for JsonServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
