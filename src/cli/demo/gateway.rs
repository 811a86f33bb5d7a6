//! The gateway under demonstration: a child process of this same binary, spoken to as an operator would: by the lines
//! that it prints, by signals and by the other commands.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Trouble;
use super::folder::cannot_write;
use crate::lang::Lang;
use crate::sys;

/// How long the gateway may take to start, to reload or to drain before something is plainly wrong.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How much of the gateway's log is shown when it dies.
const TAIL_LINES: usize = 12;

/// A running gateway.
pub(super) struct Gateway {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    /// Copies the log where the demo writes it; ends with the child.
    copying: Option<JoinHandle<io::Result<u64>>>,
    /// `https://127.0.0.1:PORT`.
    pub(super) url: String,
    /// `http://127.0.0.1:PORT`.
    pub(super) admin: String,
    /// The digest of the control snapshot in force.
    pub(super) snapshot: String,
}

/// What came of a reload.
pub(super) enum Reloaded {
    /// Another snapshot is in force.
    Snapshot,
    /// The gateway's line that says why not.
    Refused(String),
}

impl Gateway {
    /// Starts `serve`. `shielded` prepares for a file-size limit set later: writing then fails with an error, as on a full
    /// disk, instead of killing the process; and its log, which the limit would silence too, is written by the demo.
    pub(super) fn start(config: PathBuf, log: PathBuf, shielded: bool) -> Result<Self, Trouble> {
        let binary = binary()?;
        let mut command = if shielded {
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh"]).arg(&binary);
            shell
        } else {
            Command::new(&binary)
        };
        let log_file = File::create(&log).map_err(|error| cannot_write(&log, &error))?;
        command.arg("serve").arg("--config").arg(config).arg("--create-ledger");
        let (errors, kept_by_demo) = if shielded { (Stdio::piped(), Some(log_file)) } else { (Stdio::from(log_file), None) };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(|error| cannot_run(&binary, &error))?;
        let copying =
            child.stderr.take().zip(kept_by_demo).map(|(mut from, mut to)| std::thread::spawn(move || io::copy(&mut from, &mut to)));
        let lines = child.stdout.take().map(listen).ok_or_else(|| cannot_run(&binary, &io::Error::other("no standard output")))?;
        let mut gateway = Self { child, lines, log, copying, url: String::new(), admin: String::new(), snapshot: String::new() };
        while gateway.snapshot.is_empty() {
            gateway.read_line()?;
        }
        Ok(gateway)
    }

    /// Has the control folder and the certificates read again (SIGHUP), and waits for what came of it.
    pub(super) fn reload(&mut self) -> Result<Reloaded, Trouble> {
        self.signal(Signal::HUP);
        loop {
            let line = self.read_line()?;
            if line.starts_with("snapshot ") {
                return Ok(Reloaded::Snapshot);
            }
            if line.starts_with("reload refused") {
                return Ok(Reloaded::Refused(line));
            }
        }
    }

    /// An error, with the end of its log, once it is no longer running.
    pub(super) fn alive(&mut self) -> Result<(), Trouble> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.died(status)),
            Err(error) => Err(Trouble::new(format!("无法查询网关进程：{error}"), format!("cannot ask for the gateway's process: {error}"))),
        }
    }

    /// Lets it drain and end (SIGTERM); an end that it does not call a good one is an error.
    pub(super) fn stop(&mut self) -> Result<(), Trouble> {
        self.signal(Signal::TERM);
        let begun = sys::instant();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return if status.success() { Ok(()) } else { Err(self.died(status)) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Trouble::new(
            format!("网关在 {} 秒内未能停止，已强制结束", PATIENCE.as_secs()),
            format!("the gateway did not stop within {} s and was killed", PATIENCE.as_secs()),
        ))
    }

    /// For limits that are set from outside.
    pub(super) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It is gone already: whoever waits for it next says so.
            let _ = kill_process(pid, signal);
        }
    }

    /// The next line it prints, taken note of.
    fn read_line(&mut self) -> Result<String, Trouble> {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(Trouble::new(
                    format!("网关 {} 秒内没有回应；{}", PATIENCE.as_secs(), self.tail(Lang::Zh)),
                    format!("the gateway said nothing for {} s; {}", PATIENCE.as_secs(), self.tail(Lang::En)),
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().map_err(|error| cannot_run(Path::new("kanhe"), &error))?;
                return Err(self.died(status));
            }
        };
        if let Some(url) = line.strip_prefix("listening gateway ") {
            url.clone_into(&mut self.url);
        } else if let Some(url) = line.strip_prefix("listening admin ") {
            url.clone_into(&mut self.admin);
        } else if let Some(digest) = line.strip_prefix("snapshot ") {
            digest.clone_into(&mut self.snapshot);
        }
        Ok(line)
    }

    fn died(&mut self, status: ExitStatus) -> Trouble {
        // A log that could not be copied whole is shown as far as it goes.
        let _ = self.copying.take().map(JoinHandle::join);
        Trouble::new(
            format!("网关进程已退出（{status}）；{}", self.tail(Lang::Zh)),
            format!("the gateway ended ({status}); {}", self.tail(Lang::En)),
        )
    }

    fn tail(&self, lang: Lang) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n  ");
        let log = self.log.display();
        match lang {
            Lang::Zh => format!("日志 `{log}` 的末尾：\n  {end}"),
            Lang::En => format!("the end of its log `{log}`:\n  {end}"),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A no-op after `stop`; on every other way out nothing is left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one of the other commands printed.
pub(super) struct Printed {
    /// Its exit code.
    pub(super) code: Option<i32>,
    /// Its standard output.
    pub(super) out: String,
    /// Its standard error.
    pub(super) err: String,
}

/// Runs another command of this same binary.
pub(super) fn command(arguments: &[&OsStr], input: &str) -> Result<Printed, Trouble> {
    let binary = binary()?;
    let run = || -> io::Result<Printed> {
        let mut child = Command::new(&binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                // It did not care to read: its exit code will say why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                other => other?,
            }
        }
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) })
    };
    run().map_err(|error| cannot_run(&binary, &error))
}

/// This same program.
pub(super) fn binary() -> Result<PathBuf, Trouble> {
    std::env::current_exe()
        .map_err(|error| Trouble::new(format!("找不到自身程序：{error}"), format!("cannot find this program itself: {error}")))
}

/// What to say when a child cannot be started.
pub(super) fn cannot_run(binary: &Path, error: &io::Error) -> Trouble {
    Trouble::new(format!("无法运行 `{}`：{error}", binary.display()), format!("cannot run `{}`: {error}", binary.display()))
}

/// The lines that a child prints, as they come.
pub(super) fn listen(output: std::process::ChildStdout) -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a test this binary is the test runner, which does not know `--config` and ends at once.
    #[test]
    fn a_gateway_that_dies_is_told_with_the_end_of_its_log() {
        let log = std::env::temp_dir().join(format!("kanhe-demo-log-{}", hex::encode(sys::random::<6>())));
        for shielded in [false, true] {
            let Err(Trouble(why)) = Gateway::start("kanhe.toml".into(), log.clone(), shielded) else { panic!("it cannot have started") };
            assert!(why.en.contains("the gateway ended") && why.en.contains("config"), "{why}");
            assert!(why.zh.contains("网关进程已退出"));
        }
        fs::remove_file(log).unwrap();
    }
}
