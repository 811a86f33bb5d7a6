//! An origin that nobody here wrote: nginx serving JSON and files, with an access log of the fields it was sent.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::eventually;
use super::folder::Folder;

/// nginx on a port that the system chose, and the folder that it serves files from.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    folder: Folder,
}

/// A number that must never be found where it does not belong: valid in form, and nobody's.
pub const NUMBER: &str = "990102199003071234";

/// What `/mca/marriage/query` answers: more than the catalogue lists.
pub const MARRIAGE: &str = concat!(
    r#"{"total":1,"data":[{"id_number":"990102199003071234","status":"married","registered_on":"2015-06-18","#,
    r#""spouse":"李四","note":{"deep":["unlisted"]}}]}"#
);
/// What the population register answers.
pub const POPULATION: &str = concat!(
    r#"{"data":[{"id_number":"990102199003071234","name":"张三丰","telephone":"13800000000","#,
    r#""region_code":"990102","address":"甲市东区一号"}],"trace":"internal"}"#
);
const DIVISIONS: &str = r#"{"data":[{"code":"990000","name":"示例省"},{"code":"990100","name":"甲市"}]}"#;

impl Nginx {
    /// Starts it; fails the test when nginx is not there.
    pub fn start() -> Self {
        // nginx takes a number only: one that was free a moment ago, and another when somebody was faster.
        for _ in 0..20 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            if let Some(nginx) = Self::start_at(address) {
                return nginx;
            }
        }
        panic!("nginx does not start");
    }

    fn start_at(address: SocketAddr) -> Option<Self> {
        let folder = Folder::new();
        folder.write("nginx.conf", configuration(address, &folder));
        folder.write("files/small.bin", b"\x00\x01opaque\xff content");
        folder.write("access.log", "");
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].iter().map(PathBuf::from).find(|path| path.exists());
        let child = Command::new(program.expect("nginx is not installed: run tests/run"))
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("error.log")).unwrap())
            .spawn()
            .unwrap();
        let mut nginx = Self { child, address, folder };
        // Its process id is written once it listens.
        let ready = eventually("nginx starts", || {
            let ended = nginx.child.try_wait().unwrap().is_some();
            let listens = std::fs::read_to_string(nginx.folder.path().join("nginx.pid")).is_ok_and(|pid| !pid.is_empty());
            (ended || listens).then_some(!ended)
        });
        ready.then_some(nginx)
    }

    /// A sparse file of this many bytes below `/mca/files/`.
    pub fn sparse(&self, name: &str, bytes: u64) {
        std::fs::File::create(self.folder.path().join("files").join(name)).unwrap().set_len(bytes).unwrap();
    }

    /// The file of its access log.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    /// What it was asked so far: one line a request, the fields that it was sent in a fixed order.
    pub fn seen(&self) -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

fn configuration(address: SocketAddr, folder: &Folder) -> String {
    let fields = [
        "share_id",
        "share_requester",
        "share_department",
        "share_purpose",
        "forwarded",
        "traceparent",
        "authorization",
        "x_forwarded_for",
        "x_real_ip",
        "client_cert",
        "cookie",
        "accept_encoding",
        "if_none_match",
        "range",
        "host",
        "connection",
        "te",
        "expect",
    ];
    let fields: String = fields.iter().map(|field| format!(r#","{field}":"$http_{field}""#)).collect();
    let path = folder.path().display();
    let json = |path: &str, content: &str| format!("location {path} {{ default_type application/json; return 200 '{content}'; }}\n");
    format!(
        "daemon off; master_process off; pid {path}/nginx.pid; worker_processes 1;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
           log_format seen escape=json '{{\"method\":\"$request_method\",\"uri\":\"$request_uri\"{fields}}}';\n\
           access_log {path}/access.log seen; server_tokens off; sendfile on; keepalive_requests 100000;\n\
           client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
           server {{\n\
             listen {address};\n\
             {}{}{}{}{}\
             location /mca/files/ {{ alias {path}/files/; default_type application/octet-stream; }}\n\
           }}\n\
         }}\n",
        json("= /mca/marriage/query", MARRIAGE),
        json("= /psb/population", POPULATION),
        json("/psb/people/", POPULATION),
        json("= /psb/lookup", POPULATION),
        json("= /mca/divisions", DIVISIONS),
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
