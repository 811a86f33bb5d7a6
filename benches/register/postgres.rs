//! The register that several gateways share: a PostgreSQL of the bench's own, filled from many logs and asked.

use std::fs;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kanhe::ledger::query::Filter;
use kanhe::ledger::register::{Database, fill};

use super::{log, measure};

/// What the kernel counts processor time in.
const TICK: Duration = Duration::from_millis(10);

struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

/// Where Debian keeps the server's programs.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|version| version.path().join("bin").join(name));
    versions.filter(|path| path.exists()).max().unwrap()
}

/// The server refuses to run as root.
fn as_somebody(command: &mut Command) -> &mut Command {
    if rustix::process::getuid().is_root() {
        let id = |flag: &str| -> u32 {
            let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        command.uid(id("-u")).gid(id("-g")).env_remove("HOME");
    }
    command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null())
}

impl Server {
    fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let mut made = Command::new(program("initdb"));
        made.args(["-U", "kanhe", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        assert!(as_somebody(&mut made).status().unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new(program("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k"]).arg(folder);
        let child = as_somebody(&mut server).spawn().unwrap();
        let server = Self { child, folder: folder.to_owned(), port };
        while postgres::Client::connect(&server.url(), postgres::NoTls).is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self) -> String {
        format!("postgres://kanhe@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    fn database(&self) -> Database {
        Database::parse(&self.url(), Path::new("/")).unwrap()
    }

    /// Processor time of the server and all that it started.
    fn time(&self) -> Duration {
        let own = stat(&self.child.id().to_string());
        let mut ticks: u64 = own[11..15].iter().sum();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                let stat = stat(&name);
                if stat.get(1) == Some(&u64::from(self.child.id())) {
                    ticks += stat[11..13].iter().sum::<u64>();
                }
            }
        }
        TICK * u32::try_from(ticks).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The numbers of `/proc/PID/stat` from the state on, which itself counts as nought; empty where the process is gone.
fn stat(pid: &str) -> Vec<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let numbers = text.rsplit_once(") ").map_or("", |(_, numbers)| numbers);
    numbers.split(' ').map(|number| number.trim().parse().unwrap_or(0)).collect()
}

fn own_time() -> Duration {
    TICK * u32::try_from(stat("self")[11..13].iter().sum::<u64>()).unwrap()
}

/// Fills the register from `logs` logs with `entries` entries together, and asks it.
pub fn run(entries: u64, logs: u64) {
    let folder = std::env::temp_dir().join(format!("kanhe-bench-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let given = Command::new("chown").arg("postgres").arg(&folder).status();
    assert!(!rustix::process::getuid().is_root() || given.unwrap().success());
    let server = Server::start(&folder);
    let database = server.database();
    let each = entries / logs;
    let (mut took, mut own, before) = (Duration::ZERO, Duration::ZERO, server.time());
    for at in 0..logs {
        let log = folder.join(format!("log-{at}"));
        log::make(&log, each, at * each).unwrap();
        let (begun, spent) = (Instant::now(), own_time());
        assert_eq!(fill(&database, &format!("gw-{at:02}.bench.example"), &log).unwrap(), each);
        took += begun.elapsed();
        own += own_time() - spent;
        fs::remove_dir_all(&log).unwrap();
    }
    let theirs = server.time() - before;
    let mut client = postgres::Client::connect(&server.url(), postgres::NoTls).unwrap();
    let size = "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'kanhe.entries'::regclass";
    let size: i64 = client.query_one(size, &[]).unwrap().get(0);
    client.batch_execute("ANALYZE kanhe.entries").unwrap();
    let rows = each * logs;
    #[expect(clippy::cast_precision_loss, reason = "a rate is read by eye")]
    let (rate, per, bytes) = (rows as f64 / took.as_secs_f64(), 1e6 / rows as f64, size as f64 / rows as f64);
    println!("{rows} rows of {logs} logs registered, indexes included: {rate:.0} rows/s, {bytes:.0} bytes a row");
    println!("processor time a row: Kanhe {:.1} us, PostgreSQL {:.1} us", own.as_secs_f64() * per, theirs.as_secs_f64() * per);
    questions(&database, rows);
}

fn questions(database: &Database, rows: u64) {
    let share = |round: u64| log::mix(round ^ 0xbe) % (rows / 2) * 2;
    let day = |round: u64, days: i64, filter: Filter| {
        let since = log::begins() + SignedDuration::from_hours(24 * i64::try_from(log::mix(round) % 330).unwrap());
        Filter { since: Some(since), until: Some(since + SignedDuration::from_hours(24 * days)), ..filter }
    };
    let members = |members: Vec<(&'static str, String)>| Filter { members, ..Filter::default() };
    measure("by person (all shares), all logs", 200, |round| {
        find(database, None, &Filter { subject: Some(vec![log::subject(share(round))]), ..Filter::default() })
    });
    measure("a requester's on one day, all logs", 50, |round| {
        find(database, None, &day(round, 1, members(vec![("requester", log::requester(share(round)))])))
    });
    measure("a provider's in thirty days, all logs", 20, |round| {
        find(database, None, &day(round, 30, members(vec![("provider", format!("prov-{:02}", log::mix(round) % 20))])))
    });
    measure("one log's of a day", 20, |round| find(database, Some("gw-03.bench.example"), &day(round, 1, Filter::default())));
}

fn find(database: &Database, log: Option<&str>, filter: &Filter) -> usize {
    let mut found = 0;
    let counted = |_| {
        found += 1;
        ControlFlow::Continue(())
    };
    database.search(log, filter, false, counted).unwrap();
    found
}
