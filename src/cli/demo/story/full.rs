//! Step 7: a second gateway whose ledger runs out of room. No record, no share: 503, and not one byte of data.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use super::super::Trouble;
use super::super::client::{Answer, Call};
use super::super::folder::cannot_write;
use super::super::gateway::Gateway;
use super::super::people::applicant;
use super::step::Step;
use super::{Scene, Stage, population};
use crate::sys;

/// In the order told.
pub(super) static SCENES: [Scene; 1] = [(
    "7",
    ("共享台账磁盘写满：503，不出一个字节", "the ledger's disk is full: 503 and not a byte"),
    (
        "另起一个网关实例，把它的共享台账空间用尽。无记录，不共享；/readyz 转红。",
        "A second gateway whose ledger runs out of room. No record, no share; /readyz turns red.",
    ),
    full,
)];

/// How long a full disk may stay unnoticed: until the next write that needs room.
const PATIENCE: Duration = Duration::from_secs(10);

/// Below the grant's rate, so that the answer is about the disk.
const PAUSE: Duration = Duration::from_millis(150);

/// How the room is taken away.
enum Room {
    /// A small file system of its own, filled up.
    Small(Mount),
    /// Where mounting is not allowed: a limit on the size of any file that the gateway writes.
    Limited,
}

fn full(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let disk = stage.folder.path("full/disk");
    fs::create_dir_all(&disk).map_err(|error| cannot_write(&disk, &error))?;
    let room = Mount::on(&disk).map_or(Room::Limited, Room::Small);
    let mut gateway = Gateway::start(stage.folder.path("full/kanhe.toml"), stage.folder.path("full/gateway.log"), true)?;
    let played = until_full(stage, step, &gateway, &room);
    // With no room left it may call its own end a bad one; what counts was seen above.
    let _ = gateway.stop();
    drop(gateway);
    drop(room);
    played
}

fn until_full(stage: &mut Stage, step: &mut Step, gateway: &Gateway, room: &Room) -> Result<(), Trouble> {
    let call = population().token("housing").purpose("housing");
    let before = stage.call_at(&gateway.url, step, &call)?;
    step.equal("写满之前：放行", "before: let through", 200, before.status);
    take_room(step, gateway, room)?;
    let (answer, asked) = refused(stage, gateway, &call)?;
    step.did("磁盘已满后的同一调用", "the same call once there is no room");
    let shown = stage.call_at(&gateway.url, step, &call)?;
    step.refused(&answer, 503, "ledger_unavailable");
    step.refused(&shown, 503, "ledger_unavailable");
    let content = String::from_utf8_lossy(&answer.content).into_owned() + &String::from_utf8_lossy(&shown.content);
    let person = applicant();
    let leaked = [person.id_number().as_str(), person.name, person.telephone, person.address].iter().any(|secret| content.contains(secret));
    step.equal("答复中没有一个字节的数据", "no byte of data in the answer", false, leaked || content.contains("\"data\""));
    step.equal("未向数源部门发出请求", "the register was not asked", 0, asked);
    let ready = stage.call_at(&gateway.admin, step, &Call::get("/readyz"))?;
    step.equal("/readyz 转红", "/readyz is red", 503, ready.status);
    let reasons = String::from_utf8_lossy(&ready.content).into_owned();
    step.holds("并写明是共享台账", "and names the ledger", reasons.contains("ledger"), reasons);
    Ok(())
}

/// Calls until the gateway refuses; also how often that last call made it ask the register.
fn refused(stage: &Stage, gateway: &Gateway, call: &Call) -> Result<(Answer, u64), Trouble> {
    let begun = sys::instant();
    loop {
        let before = stage.origins.calls();
        let answer = stage.runtime.block_on(stage.client.send(&gateway.url, call, stage.lang))?;
        if answer.status != 200 || begun.elapsed() > PATIENCE {
            return Ok((answer, stage.origins.calls() - before));
        }
        std::thread::sleep(PAUSE);
    }
}

fn take_room(step: &mut Step, gateway: &Gateway, room: &Room) -> Result<(), Trouble> {
    match room {
        Room::Small(mount) => {
            let path = mount.0.join("ballast");
            let bytes = fill(&path);
            step.did(
                format!("共享台账位于 {} 的小型 tmpfs，写入 {bytes} 字节填满", mount.0.display()),
                format!("the ledger lies on a small tmpfs at {}; {bytes} bytes of ballast fill it", mount.0.display()),
            );
            Ok(())
        }
        Room::Limited => {
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            prlimit(gateway.pid(), Resource::Fsize, none)
                .map_err(|error| Trouble::new(format!("无法限制文件大小：{error}"), format!("cannot limit the size of files: {error}")))?;
            step.did(
                "此处不允许挂载，改用文件大小限制（RLIMIT_FSIZE = 0）代替写满的磁盘",
                "mounting is not allowed here: a file-size limit (RLIMIT_FSIZE = 0) stands in for the full disk",
            );
            Ok(())
        }
    }
}

/// Writes until nothing more goes in.
fn fill(path: &Path) -> u64 {
    let mut written = 0;
    if let Ok(mut file) = File::create(path) {
        for size in [64 * 1024, 4096, 1] {
            let block = vec![0; size];
            while let Ok(length @ 1..) = file.write(&block) {
                written += length as u64;
            }
        }
    }
    written
}

/// A small file system that is taken down again.
struct Mount(PathBuf);

impl Mount {
    /// Mounts where this is allowed.
    fn on(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "kanhe-demo"]).arg(folder);
        quiet(mount).then(|| Self(folder.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// Takes a mount down; lazily where something still looks into it.
pub(in super::super) fn unmount(folder: &Path) {
    let mut plain = Command::new("umount");
    plain.arg(folder);
    if !quiet(plain) {
        let mut lazy = Command::new("umount");
        lazy.arg("-l").arg(folder);
        quiet(lazy);
    }
}

fn quiet(mut command: Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
