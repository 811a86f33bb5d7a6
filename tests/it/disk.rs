//! Disks that are full or cannot be written: nothing is shared that cannot be recorded, and the log says where and why.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::support::{Answer, Gateway, Receipt, Setup, Speak, World, eventually};

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

async fn share(gateway: &Gateway, world: &World) -> Answer {
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await
}

/// Started anew, it shares, and what was acknowledged is there.
async fn goes_on(world: &World, receipt: &Receipt) {
    let gateway = world.serve();
    assert_eq!(share(&gateway, world).await.status, 200);
    gateway.stop();
    world.verify();
    assert_eq!(world.entry(receipt.index)["leaf"], receipt.leaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_closes_the_gateway_until_it_is_restarted() {
    let world = World::with(Setup { telemetry: "log = \"warn\"", ..Setup::default() });
    let inner = world.command(&["serve", "--create-ledger"]);
    // Beyond its limit a write then fails instead of ending the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    let gateway = Gateway::of(command, &world);
    let shared = share(&gateway, &world).await;
    let receipt = shared.receipt();
    let limit = |size| Rlimit { current: size, maximum: None };
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    // The log of the gateway must still be written; the journal is far larger.
    prlimit(pid, Resource::Fsize, limit(Some(16 << 10))).unwrap();
    let refused = call_until_refused(&gateway, &world.housing(), 500).await;
    assert_closed(&world, &gateway, &refused, &["os error 27", "EFBIG", "File too large"]).await;
    // Room again does not help: what the disk holds is known after recovery only.
    prlimit(pid, Resource::Fsize, limit(None)).unwrap();
    share(&gateway, &world).await.refused(503, "ledger_unavailable");
    gateway.kill();
    goes_on(&world, &receipt).await;
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
    assert_eq!(share(&gateway, &world).await.status, 200);
    let mut filler = std::fs::File::create(world.folder.path().join("disk/filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let refused = call_until_refused(&gateway, &world.housing(), 20_000).await;
    assert_closed(&world, &gateway, &refused, &["os error 28", "ENOSPC", "No space left"]).await;
    gateway.kill();
}

/// An ext4 filesystem of its own in a file, on a small memory disk, where such may be mounted.
struct Ext4 {
    /// Below the filesystem: what does not fit here is an I/O error of the block device.
    below: SmallDisk,
    at: PathBuf,
    image: PathBuf,
}

impl Ext4 {
    /// Mounts `folder/disk`; the image has 64 MiB, of which the memory disk can hold 4 beyond what the empty filesystem takes.
    fn mount(folder: &Path) -> Option<Self> {
        let below = SmallDisk::mount(&folder.join("below"))?;
        let disk = Self { image: below.0.join("image"), at: folder.join("disk"), below };
        std::fs::File::create(&disk.image).unwrap().set_len(64 << 20).unwrap();
        std::fs::create_dir_all(&disk.at).unwrap();
        // Tables are written when they are made, so that the room below is told once.
        run("mkfs.ext4", &["-q", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"], &disk.image)?;
        disk.room(true);
        disk.attach()?;
        Some(disk)
    }

    fn attach(&self) -> Option<()> {
        let mounted = Command::new("mount").args(["-o", "loop,errors=remount-ro"]).args([&self.image, &self.at]).output().ok()?;
        mounted.status.success().then_some(())
    }

    /// Whether the memory disk has room for what the filesystem writes.
    fn room(&self, enough: bool) {
        let below = rustix::fs::statvfs(&self.below.0).unwrap();
        let size = if enough { 80 << 20 } else { (below.f_blocks - below.f_bfree) * below.f_frsize };
        run("mount", &["-o", &format!("remount,size={size}")], &self.below.0).expect("the memory disk changes its size");
    }

    /// As the kernel does when it finds the filesystem damaged: from here on it takes no write.
    fn turns_read_only(&self) {
        let source = Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.at).output().unwrap().stdout;
        let device = String::from_utf8(source).unwrap();
        let device = device.trim().rsplit('/').next().unwrap();
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").unwrap();
    }

    fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["-f"], &self.at).expect("the filesystem freezes");
        Frozen(&self.at)
    }

    /// What an operator does after a fault: unmounts, lets the filesystem be repaired, mounts again.
    fn repaired(&self) {
        eventually("nobody uses the disk", || run("umount", &[], &self.at));
        let repaired = Command::new("fsck.ext4").args(["-f", "-y"]).arg(&self.image).output().unwrap();
        assert!(repaired.status.code().is_some_and(|code| code < 4), "{repaired:?}");
        self.attach().expect("the repaired filesystem");
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = run("umount", &["-l"], &self.at);
    }
}

/// A filesystem that answers no write until this is dropped; nor could whoever waits for it be killed.
struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run("fsfreeze", &["-u"], self.0);
    }
}

/// Runs a program on a path; none where it cannot or fails.
fn run(program: &str, args: &[&str], path: &Path) -> Option<()> {
    let output = Command::new(program).args(args).arg(path).output().ok()?;
    output.status.success().then_some(())
}

/// A gateway whose ledger lies on a filesystem of its own, where such may be mounted, once it has shared something.
async fn on_ext4() -> Option<(World, Ext4, Gateway, Receipt)> {
    let world = World::with(Setup { ledger: "disk/ledger".into(), segment: "1MiB", telemetry: "log = \"warn\"", ..Setup::default() });
    let Some(disk) = Ext4::mount(world.folder.path()) else {
        eprintln!("no filesystem may be mounted here: such a fault is tested by injection only");
        return None;
    };
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replace("retention =", "commit_timeout = \"300ms\"\nretention =")).unwrap();
    let gateway = world.serve();
    let receipt = share(&gateway, &world).await.receipt();
    Some((world, disk, gateway, receipt))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filesystem_that_turns_read_only_closes_the_gateway_until_it_is_restarted() {
    let Some((world, disk, gateway, receipt)) = on_ext4().await else { return };
    disk.turns_read_only();
    let refused = call_until_refused(&gateway, &world.housing(), 500).await;
    assert_closed(&world, &gateway, &refused, &["os error 30", "os error 5"]).await;
    gateway.kill();
    disk.repaired();
    goes_on(&world, &receipt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_device_that_fails_closes_the_gateway_although_it_recovers() {
    let Some((world, disk, gateway, receipt)) = on_ext4().await else { return };
    disk.room(false);
    let refused = call_until_refused(&gateway, &world.housing(), 20_000).await;
    assert_closed(&world, &gateway, &refused, &["os error 5", "os error 28", "os error 30"]).await;
    // The device takes writes again, and a sync would succeed: what it lost it does not tell.
    disk.room(true);
    share(&gateway, &world).await.refused(503, "ledger_unavailable");
    gateway.kill();
    disk.repaired();
    goes_on(&world, &receipt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_refuses_in_time_and_goes_on_by_itself() {
    let Some((world, disk, gateway, receipt)) = on_ext4().await else { return };
    let frozen = disk.freeze();
    call_until_refused(&gateway, &world.housing(), 500).await.refused(503, "ledger_unavailable");
    let post = gateway.ask("POST", "/odd/plain").token(&world.housing()).purpose("housing").json("{}").send().await;
    post.refused(503, "ledger_unavailable");
    assert!(world.scripted.is_quiet().await, "an unsafe call never reaches its origin");
    let (status, ready) = gateway.admin("/readyz");
    assert!(status == 503 && ready.contains("ledger"), "{status} {ready}");
    assert_eq!(gateway.admin("/livez").0, 200);
    drop(frozen);
    eventually("the disk answers again", || (gateway.admin("/readyz").0 == 200).then_some(()));
    let later = share(&gateway, &world).await.receipt();
    assert!(later.index > receipt.index);
    gateway.stop();
    world.verify();
    assert_eq!(world.entry(later.index)["leaf"], later.leaf);
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
