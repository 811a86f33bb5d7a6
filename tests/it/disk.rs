//! Disks that are full or cannot be written: nothing is shared that cannot be recorded, and the log says where and why.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::support::{Answer, Gateway, Setup, Speak, World};

/// Calls until the ledger refuses; every answer before is a share with a receipt.
async fn call_until_refused(gateway: &Gateway, token: &str, most: usize) -> Answer {
    let client = gateway.client().speaking(Speak::Http2);
    let mut connection = client.connect(gateway.address).await.unwrap();
    for _ in 0..most {
        let ask = gateway.ask("GET", "/psb/population").token(token).purpose("housing").by(&client);
        let answer = Answer::read(connection.send(ask.request()).await.unwrap()).await;
        if answer.status != 200 {
            return answer;
        }
        answer.receipt();
    }
    panic!("the ledger never refused");
}

/// What holds of a gateway whose ledger failed at `folder`.
async fn assert_closed(world: &World, gateway: &Gateway, refused: &Answer, errnos: &[&str]) {
    refused.refused(503, "ledger_unavailable");
    assert!(!String::from_utf8_lossy(&refused.content).contains("990102"));
    // An unsafe call never reaches its origin: no record, no share.
    let post = gateway.ask("POST", "/odd/plain").token(&world.housing()).purpose("housing").json("{}").send().await;
    post.refused(503, "ledger_unavailable");
    assert!(world.scripted.is_quiet().await);
    let (status, ready) = gateway.admin("/readyz");
    assert!(status == 503 && ready.contains("ledger"), "{status} {ready}");
    assert_eq!(gateway.admin("/livez").0, 200);
    let log = gateway.log();
    let told = log.lines().any(|line| line.contains("ledger") && line.contains('/') && errnos.iter().any(|errno| line.contains(errno)));
    assert!(told, "a log line with path and errno: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_closes_the_gateway_until_it_is_restarted() {
    let world = World::with(Setup { telemetry: "log = \"warn\"", ..Setup::default() });
    let inner = world.command(&["serve", "--create-ledger"]);
    // Beyond its limit a write then fails instead of ending the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    let gateway = Gateway::of(command, &world);
    let shared = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
    let receipt = shared.receipt();
    let limit = |size| Rlimit { current: size, maximum: None };
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    // The log of the gateway must still be written; the journal is far larger.
    prlimit(pid, Resource::Fsize, limit(Some(16 << 10))).unwrap();
    let refused = call_until_refused(&gateway, &world.housing(), 500).await;
    assert_closed(&world, &gateway, &refused, &["os error 27", "EFBIG", "File too large"]).await;
    // Room again does not help: what the disk holds is known after recovery only.
    prlimit(pid, Resource::Fsize, limit(None)).unwrap();
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.refused(503, "ledger_unavailable");
    gateway.kill();
    let again = world.serve();
    assert_eq!(again.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.status, 200);
    again.stop();
    world.verify();
    assert_eq!(world.entry(receipt.index)["leaf"], receipt.leaf);
}

/// A small memory disk, where one may be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).output().ok()?;
        mounted.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_closes_the_gateway() {
    let world = World::with(Setup { ledger: "disk/ledger".into(), telemetry: "log = \"warn\"", ..Setup::default() });
    let Some(_disk) = SmallDisk::mount(&world.folder.path().join("disk")) else {
        eprintln!("no memory disk may be mounted here: only the file-size limit is tested");
        return;
    };
    let gateway = world.serve();
    assert_eq!(gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.status, 200);
    let mut filler = std::fs::File::create(world.folder.path().join("disk/filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let refused = call_until_refused(&gateway, &world.housing(), 20_000).await;
    assert_closed(&world, &gateway, &refused, &["os error 28", "ENOSPC", "No space left"]).await;
    gateway.kill();
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_the_start() {
    let world = World::with(Setup { ledger: "blocked/ledger".into(), ..Setup::default() });
    world.folder.write("blocked", "a file where a folder should be");
    let output = world.kanhe(&["serve", "--create-ledger"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("blocked/ledger") && told.contains("os error 20"), "{told}");
    assert!(output.stdout.is_empty(), "nothing was bound");
}
