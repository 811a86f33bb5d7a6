//! The sharing authority's witness: a process of its own that remembers how the gateway's log grew. No key of the operator
//! makes it forget.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Trouble;
use super::config::{GATEWAY, LEDGER_KEY};
use super::folder::{Folder, cannot_write};
use super::gateway::{PATIENCE, binary, cannot_run, listen};
use crate::ledger::Signer;

/// A running witness.
pub(super) struct Witness {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    /// What its cosignatures are verified with.
    pub(super) key: String,
}

impl Witness {
    /// Starts one that knows the gateway's log by the verifier key that its ledger key gives.
    pub(super) fn start(folder: &Folder) -> Result<Self, Trouble> {
        let signer = Signer::read(GATEWAY, &folder.path(LEDGER_KEY)).map_err(|error| Trouble(error.text()))?;
        let log = signer.verifier_key();
        let text = format!(
            r#"# Written by `kanhe demo`: the sharing authority's witness.
[witness]
name = "authority.demo.example/witness"
listen = "127.0.0.1:0"
folder = "witness"
key = "secrets/witness.key"
logs = ["{log}"]
"#
        );
        folder.write("witness.toml", &text)?;
        let log = folder.path("witness.log");
        let errors = File::create(&log).map_err(|error| cannot_write(&log, &error))?;
        let binary = binary()?;
        let mut child = Command::new(&binary)
            .args(["ledger", "witness", "--create", "--config"])
            .arg(folder.path("witness.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            // An interrupt reaches the demo alone: the gateway's last checkpoint is still witnessed.
            .process_group(0)
            .spawn()
            .map_err(|error| cannot_run(&binary, &error))?;
        let lines = child.stdout.take().map(listen);
        let mut witness = Self { child, url: String::new(), key: String::new() };
        let told = |prefix: &str| {
            let line = lines.as_ref().and_then(|lines| lines.recv_timeout(PATIENCE).ok()).unwrap_or_default();
            line.strip_prefix(prefix).map(str::to_owned).ok_or_else(|| silent(&log))
        };
        witness.url = told("listening witness ")?;
        witness.key = told("witness ")?;
        Ok(witness)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It has written down whatever it answered: nothing is lost by an end without notice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent(log: &Path) -> Trouble {
    Trouble::new(format!("见证方未能启动，见 `{}`", log.display()), format!("the witness did not start, see `{}`", log.display()))
}
