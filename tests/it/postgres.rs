//! Several gateways, one register: a real PostgreSQL over TLS, killed and started again, read with psql.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::support::postgres::Postgres;
use super::support::{Answer, Gateway, PATIENCE, World, eventually};

/// A world whose gateway of this name registers in the database.
pub fn world(name: &str, database: &Postgres, ca: &std::path::Path, gate: &str) -> World {
    world_at(name, &database.url(ca), gate)
}

fn world_at(name: &str, url: &str, gate: &str) -> World {
    let world = World::new();
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.replace("gw-1.test.example", name).replace("register = \"off\"", &format!("register = \"{url}\""));
    std::fs::write(world.config(), config.replace("gate = \"local\"", &format!("gate = \"{gate}\""))).unwrap();
    world
}

async fn share(gateway: &Gateway, world: &World) -> Answer {
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await
}

/// Waits until the database has as many entries of the log as the ledger; every one of them once, byte for byte.
pub fn registered(database: &Postgres, world: &World, log: &str) {
    let entries = world.entries(&[]);
    eventually("the database has caught up", || {
        let count = database.psql(&format!("select count(*) from kanhe.entries where log = '{log}'"));
        (count.parse::<usize>().unwrap() >= entries.len()).then_some(())
    });
    let rows = database.psql(&format!("select index, convert_from(entry, 'UTF8') from kanhe.entries where log = '{log}' order by index"));
    let rows: Vec<(&str, Value)> =
        rows.lines().map(|row| row.split_once('|').unwrap()).map(|(index, entry)| (index, serde_json::from_str(entry).unwrap())).collect();
    assert!(rows.len() >= entries.len());
    for (row, line) in rows.iter().zip(&entries) {
        assert_eq!((row.0, &row.1), (line["index"].to_string().as_str(), &line["entry"]));
    }
    let distinct: BTreeSet<_> = rows.iter().map(|(index, _)| index).collect();
    assert_eq!(distinct.len(), rows.len(), "an entry stands twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_register_all_they_share_through_kills_of_either_and_of_the_database() {
    let authority = super::support::keys::Authority::new("database");
    let mut database = Postgres::start(&authority);
    let folder = super::support::folder::Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let logs = ["gw-1.test.example", "gw-2.test.example"];
    let worlds: Vec<World> = logs.iter().map(|log| world(log, &database, &ca, "local")).collect();
    let mut gateways: Vec<Gateway> = worlds.iter().map(World::serve).collect();
    for round in 0..3 {
        for at in 0..2 {
            for _ in 0..10 {
                assert_eq!(share(&gateways[at], &worlds[at]).await.status, 200, "the database is not on a share's path");
            }
        }
        match round {
            0 => {
                database.kill();
                eventually("the database is missed", || (remarks(&gateways[0]) == ["register_unavailable"]).then_some(()));
                assert!(gateways[0].admin("/metrics").1.contains("kanhe_database_healthy 0.0"));
            }
            1 => {
                database.run();
                gateways[0].kill();
                gateways[0] = worlds[0].serve();
            }
            _ => {
                gateways[1].kill();
                gateways[1] = worlds[1].serve();
            }
        }
    }
    for at in 0..2 {
        assert_eq!(share(&gateways[at], &worlds[at]).await.status, 200);
        gateways[at].stop();
        registered(&database, &worlds[at], logs[at]);
        worlds[at].verify();
    }
    assert_eq!(database.psql("select string_agg(log, ' ' order by log) from kanhe.gateways"), logs.join(" "));
    // Asked across all logs, by a department or the sharing authority.
    let output = worlds[0].kanhe(&[
        "--format",
        "json",
        "ledger",
        "query",
        "--log",
        "all",
        "--kind",
        "share.granted",
        "--resource",
        "psb.population",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 62, "every share of both, once");
    assert!(logs.iter().all(|log| lines.iter().any(|line| line["log"] == *log)));
}

/// Callers that go on until they are stopped; whatever is not answered must be refused for the ledger's sake.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<Vec<u64>>>,
}

impl Load {
    fn begin(gateway: &Arc<Gateway>, world: &World) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let caller = |_| {
            let (gateway, token, stop, answered) = (gateway.clone(), world.housing(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut indexes = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = gateway.ask("GET", "/psb/population").token(&token).purpose("housing").send().await;
                    if answer.status == 200 {
                        indexes.push(answer.receipt().index);
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        answer.refused(503, "ledger_unavailable");
                    }
                }
                indexes
            })
        };
        let callers = (0..4).map(caller).collect();
        Self { stop, answered, callers }
    }

    /// Waits for so many more answers.
    async fn answers(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The indexes of all that was answered.
    async fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut indexes = Vec::new();
        for caller in self.callers {
            indexes.extend(caller.await.unwrap());
        }
        indexes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_synchronous_standby_whatever_was_answered_is_in_the_promoted_register_once() {
    let authority = super::support::keys::Authority::new("database");
    let mut primary = Postgres::start(&authority);
    let standby = primary.standby();
    let folder = super::support::folder::Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let world = world_at("gw-1.test.example", &primary.url_with(&standby, &ca), "register");
    let gateway = Arc::new(world.serve());
    let load = Load::begin(&gateway, &world);
    load.answers(60).await;
    primary.kill();
    standby.promote();
    // It finds the other server by itself.
    tokio::time::timeout(PATIENCE, load.answers(60)).await.expect("shares go on with the promoted standby");
    let indexes = load.end().await;
    let rows = standby.psql("select index from kanhe.entries where log = 'gw-1.test.example' and kind = 'share.granted'");
    let rows: Vec<u64> = rows.lines().map(|index| index.parse().unwrap()).collect();
    for index in &indexes {
        assert_eq!(rows.iter().filter(|row| *row == index).count(), 1, "entry {index} was answered");
    }
    gateway.stop();
    registered(&standby, &world, "gw-1.test.example");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_shares_wait_for_the_register_none_is_answered_before_it_is_there() {
    let authority = super::support::keys::Authority::new("database");
    let mut database = Postgres::start(&authority);
    let folder = super::support::folder::Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let world = world("gw-1.test.example", &database, &ca, "register");
    let gateway = world.serve();
    for _ in 0..5 {
        let receipt = share(&gateway, &world).await.receipt();
        let found =
            database.psql(&format!("select count(*) from kanhe.entries where index = {} and kind = 'share.granted'", receipt.index));
        assert_eq!(found, "1", "answered, and so registered");
    }
    // Under load, the database goes: whatever is answered is registered, the rest is refused.
    let gateway = Arc::new(gateway);
    let load = Load::begin(&gateway, &world);
    load.answers(40).await;
    database.kill();
    let refused = loop {
        let answer = share(&gateway, &world).await;
        if answer.status == 503 {
            break answer;
        }
    };
    let indexes = load.end().await;
    refused.refused(503, "ledger_unavailable");
    let (status, ready) = gateway.admin("/readyz");
    assert!(status == 503 && ready.contains("register_unavailable"), "{status} {ready}");
    database.run();
    eventually("shares go on by themselves", || (gateway.admin("/readyz").0 == 200).then_some(()));
    assert_eq!(share(&gateway, &world).await.status, 200);
    for index in &indexes {
        assert_eq!(database.psql(&format!("select count(*) from kanhe.entries where index = {index}")), "1", "entry {index} was answered");
    }
    gateway.stop();
    registered(&database, &world, "gw-1.test.example");
    // What was granted here but not registered in time was never answered, and says so.
    let granted: BTreeSet<u64> = world.entries(&["--kind", "share.granted"]).iter().map(|line| line["index"].as_u64().unwrap()).collect();
    for line in world.entries(&["--kind", "share.settled"]) {
        let of = line["entry"]["receipt_of"].as_u64().unwrap();
        if line["entry"]["outcome"] == "complete" {
            assert!(granted.contains(&of));
        } else {
            assert!(!indexes.contains(&of), "{line}");
        }
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_another_history_of_the_log_is_not_gone_on_with() {
    let authority = super::support::keys::Authority::new("database");
    let database = Postgres::start(&authority);
    let folder = super::support::folder::Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let world = world("gw-1.test.example", &database, &ca, "local");
    let gateway = world.serve();
    assert_eq!(share(&gateway, &world).await.status, 200);
    gateway.stop();
    registered(&database, &world, "gw-1.test.example");
    let before = database.psql("select count(*) from kanhe.entries");
    std::fs::rename(world.folder.path().join("ledger"), world.folder.path().join("old")).unwrap();
    let gateway = world.serve();
    eventually("it says so", || gateway.log().contains("another history").then_some(()));
    assert_eq!(share(&gateway, &world).await.status, 200, "the log itself is whole");
    gateway.stop();
    assert_eq!(database.psql("select count(*) from kanhe.entries"), before);
}

/// The remarks of `/readyz`, by their names.
fn remarks(gateway: &Gateway) -> Vec<String> {
    let (status, document) = gateway.admin("/readyz");
    assert_eq!(status, 200, "shares go on all the same: {document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    document["remarks"].as_array().unwrap().iter().map(|remark| remark["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_lags_behind_its_peers_snapshot_says_so() {
    let authority = super::support::keys::Authority::new("database");
    let database = Postgres::start(&authority);
    let folder = super::support::folder::Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let logs = ["gw-1.test.example", "gw-2.test.example"];
    let worlds: Vec<World> = logs.iter().map(|log| world(log, &database, &ca, "local")).collect();
    // One control folder for both, as gateways of one department have: a link that is swapped whole.
    let control = worlds[0].folder.path().join("policies");
    let config = std::fs::read_to_string(worlds[1].config()).unwrap();
    std::fs::write(worlds[1].config(), config.replace("folder = \"policies\"", &format!("folder = \"{}\"", control.display()))).unwrap();
    let gateways: Vec<Gateway> = worlds.iter().map(World::serve).collect();
    let snapshots = || database.psql("select count(distinct snapshot), count(*) from kanhe.snapshots");
    eventually("both snapshots are in the database", || (snapshots() == "1|2").then_some(()));
    assert!(gateways.iter().all(|gateway| remarks(gateway).is_empty()));
    let swapped = worlds[0].folder.path().join("policies.new");
    copy(&control, &swapped);
    let calendar = swapped.join("calendar.toml");
    std::fs::write(&calendar, format!("{}\n# another version\n", std::fs::read_to_string(&calendar).unwrap())).unwrap();
    std::fs::rename(&control, worlds[0].folder.path().join("policies.old")).unwrap();
    std::os::unix::fs::symlink(&swapped, &control).unwrap();
    let newer = gateways[0].reload();
    assert!(newer.starts_with("snapshot "), "{newer}");
    // The peer hears of it within the time in which it says that it is there.
    eventually("the other lags", || (remarks(&gateways[1]) == ["snapshot_lags"]).then_some(()));
    assert!(remarks(&gateways[0]).is_empty());
    assert!(gateways[1].admin("/metrics").1.contains("kanhe_snapshot_lags 1.0"));
    assert_eq!(gateways[1].reload(), newer);
    eventually("it caught up", || remarks(&gateways[1]).is_empty().then_some(()));
    assert_eq!(database.psql("select count(distinct published) from kanhe.snapshots"), "2", "who follows publishes nothing");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
