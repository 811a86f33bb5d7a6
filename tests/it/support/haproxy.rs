//! HAProxy as a process of the test's own, with the configuration that the chapter on operations gives.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::folder::Folder;
use super::{Gateway, eventually};

/// A balancer before gateways.
pub struct Haproxy {
    folder: Folder,
    child: Child,
    /// Where callers call.
    pub address: SocketAddr,
}

impl Haproxy {
    /// Starts it before these gateways.
    pub fn start(gateways: &[&Gateway]) -> Self {
        let chapter = include_str!("../../../docs/operations.md");
        let written = chapter.split_once("```haproxy\n").unwrap().1.split_once("```").unwrap().0;
        let folder = Folder::new();
        // Bound and let go: free, in all likelihood.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = written.replacen(":443\n", &format!("{address}\n"), 1);
        for (number, gateway) in (1..).zip(gateways) {
            let line = config.lines().find(|line| line.contains(&format!("server gw-{number} "))).unwrap().to_owned();
            let here = format!("    server gw-{number} {} check addr 127.0.0.1 port {}", gateway.address, gateway.admin.port());
            config = config.replace(&line, &here);
        }
        config += &format!("\nglobal\n    stats socket {}\n", folder.path().join("stats").display());
        let file = folder.write("haproxy.cfg", config);
        // Debian's place for it is not on everybody's path.
        let debian = std::path::Path::new("/usr/sbin/haproxy");
        let mut command = Command::new(if debian.exists() { debian } else { std::path::Path::new("haproxy") });
        command.arg("-q").arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("haproxy is missing: tests/run installs it");
        eventually("the balancer listens", || TcpStream::connect(address).ok());
        let balancer = Self { folder, child, address };
        (0..gateways.len()).for_each(|at| balancer.sees(at));
        balancer
    }

    /// Waits until the balancer has found this gateway to be ready.
    pub fn sees(&self, at: usize) {
        use std::io::{Read as _, Write as _};
        eventually("the balancer finds the gateway ready", || {
            let mut socket = std::os::unix::net::UnixStream::connect(self.folder.path().join("stats")).ok()?;
            socket.write_all(b"show stat\n").ok()?;
            let mut table = String::new();
            socket.read_to_string(&mut table).ok()?;
            let line = table.lines().find(|line| line.contains(&format!(",gw-{},", at + 1)))?;
            // The check's own outcome, not what is supposed before the first one.
            (line.contains(",UP,") && line.contains(",L7OK,")).then_some(())
        });
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
