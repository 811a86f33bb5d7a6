//! The witness under demonstration: a process that the sharing authority would run, apart from the gateway whose log it
//! cosigns. It alone remembers what the log once said.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Trouble;
use super::config::GATEWAY;
use super::folder::{Folder, cannot_write};
use super::gateway::{binary, cannot_run, listen};
use crate::ledger::Signer;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running witness; killed when this is dropped, which it survives: it writes before it answers.
pub(super) struct Witness {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    /// Its verifier key, as the gateway and auditors are given it.
    pub(super) key: String,
}

impl Witness {
    /// Starts one that knows the log of the gateway under demonstration.
    pub(super) fn start(folder: &Folder) -> Result<Self, Trouble> {
        let key = folder.path("secrets/ledger.key");
        let log = Signer::read(GATEWAY, &key)
            .map_err(|error| {
                Trouble::new(format!("无法读取 `{}`：{error}", key.display()), format!("cannot read `{}`: {error}", key.display()))
            })?
            .verifier_key();
        folder.write("witness.toml", &text(&log))?;
        let binary = binary()?;
        let errors = folder.path("witness.log");
        let mut child = Command::new(&binary)
            .args(["ledger", "witness", "--create", "--config"])
            .arg(folder.path("witness.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).map_err(|error| cannot_write(&errors, &error))?)
            .process_group(0)
            .spawn()
            .map_err(|error| cannot_run(&binary, &error))?;
        let lines = child.stdout.take().map(listen).ok_or_else(|| cannot_run(&binary, &io::Error::other("no standard output")))?;
        let mut witness = Self { child, url: String::new(), key: String::new() };
        while witness.url.is_empty() || witness.key.is_empty() {
            let line = lines.recv_timeout(PATIENCE).map_err(|_| silent(&errors))?;
            if let Some(url) = line.strip_prefix("listening witness ") {
                url.clone_into(&mut witness.url);
            } else if let Some(key) = line.strip_prefix("witness ") {
                key.clone_into(&mut witness.key);
            }
        }
        Ok(witness)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // Gone already: nothing is left running either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent(log: &Path) -> Trouble {
    Trouble::new(format!("见证方没有启动；日志：`{}`", log.display()), format!("the witness did not start; its log is `{}`", log.display()))
}

fn text(log: &str) -> String {
    format!(
        r#"# Written by `kanhe demo`: the sharing authority's witness, on this machine only to be shown.
[witness]
name = "authority.demo.example/witness"
listen = "127.0.0.1:0"
folder = "witness"
key = "secrets/witness.key"
logs = ["{log}"]
"#
    )
}
