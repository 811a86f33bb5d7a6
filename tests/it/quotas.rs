//! Quotas that several gateways share: portions of a day from one PostgreSQL, through kills of gateways and database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::postgres::world;
use super::support::folder::Folder;
use super::support::keys::Authority;
use super::support::postgres::Postgres;
use super::support::{Answer, Gateway, World, eventually};

const LOGS: [&str; 2] = ["gw-1.test.example", "gw-2.test.example"];

/// Two worlds on one database, whose grant of the population register has this quota.
fn worlds(database: &Postgres, ca: &Path, quota: &str) -> Vec<World> {
    let with_quota = |log: &&str| {
        let world = world(log, database, ca, "local");
        world.at_noon();
        world.edit("grants/all.toml", |text| {
            let at = text.find("id = \"g-002\"").unwrap();
            let (before, grant) = text.split_at(at);
            format!("{before}{}", grant.replacen("quota = {}", &format!("quota = {quota}"), 1))
        });
        world
    };
    LOGS.iter().map(with_quota).collect()
}

fn database() -> (Postgres, Folder, std::path::PathBuf) {
    let authority = Authority::new("database");
    let database = Postgres::start(&authority);
    let folder = Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    (database, folder, ca)
}

async fn share(gateway: &Gateway, world: &World) -> Answer {
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await
}

/// Calls until told to stop, or until the gateway is gone; how many were answered.
async fn call(gateway: Arc<Gateway>, token: String, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let ask = gateway.ask("GET", "/psb/population").token(&token).purpose("housing");
        let Some(answer) = ask.attempt().await else { return };
        match answer.status {
            200 => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            429 => {
                answer.refused(429, "rate_limited");
            }
            _ => {
                answer.refused(503, "ledger_unavailable");
            }
        }
    }
}

/// Calls at this gateway until the day is used up.
async fn use_up(gateway: &Gateway, world: &World) -> usize {
    let mut answered = 0;
    loop {
        let answer = share(gateway, world).await;
        match answer.status {
            200 => answered += 1,
            429 if answer.field("retry-after") == "1" => {}
            429 => return answered,
            _ => {
                answer.refused(503, "ledger_unavailable");
            }
        }
    }
}

/// Shares that the ledgers say were granted, and records that they say were shown.
fn used(worlds: &[World]) -> (usize, u64) {
    let granted = worlds.iter().map(|world| world.entries(&["--kind", "share.granted"]).len()).sum();
    let settled = worlds.iter().flat_map(|world| world.entries(&["--kind", "share.settled"]));
    (granted, settled.filter_map(|line| line["entry"]["records"].as_u64()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_killed_in_turn_and_the_database_too_share_one_day_exactly() {
    const LIMIT: usize = 600;
    let (mut database, _folder, ca) = database();
    let worlds = worlds(&database, &ca, &format!("{{ calls_per_day = {LIMIT} }}"));
    let mut gateways: Vec<Arc<Gateway>> = worlds.iter().map(|world| Arc::new(world.serve())).collect();
    let answered = Arc::new(AtomicUsize::new(0));
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let start = answered.load(Ordering::Relaxed);
        let callers: Vec<_> = (0..6)
            .map(|at| tokio::spawn(call(gateways[at % 2].clone(), worlds[at % 2].housing(), stop.clone(), answered.clone())))
            .collect();
        while answered.load(Ordering::Relaxed) < start + 60 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match round {
            0 | 1 => gateways[round].kill(),
            _ => database.kill(),
        }
        // What goes on goes on for a while.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        match round {
            0 | 1 => gateways[round] = Arc::new(worlds[round].serve()),
            _ => database.run(),
        }
    }
    // Both are up, and so is the database: nothing of the day is lost.
    let rest = tokio::join!(use_up(&gateways[0], &worlds[0]), use_up(&gateways[1], &worlds[1]));
    let answered = answered.load(Ordering::Relaxed) + rest.0 + rest.1;
    for gateway in &gateways {
        gateway.stop();
    }
    let (granted, _) = used(&worlds);
    assert_eq!(granted, LIMIT, "granted by both together: not one over, and none lost to a kill");
    assert!(answered <= LIMIT, "{answered}");
    let books =
        database.psql("select q.calls, sum(p.calls) from kanhe.quotas q join kanhe.portions p using (grant_id, day) group by q.calls");
    assert_eq!(books, format!("{LIMIT}|{LIMIT}"), "the books agree with the logs");
    for world in &worlds {
        world.verify();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_a_gateway_goes_on_with_what_it_holds_and_no_further() {
    const LIMIT: usize = 400;
    let (mut database, _folder, ca) = database();
    let worlds = worlds(&database, &ca, &format!("{{ calls_per_day = {LIMIT} }}"));
    let gateways: Vec<Gateway> = worlds.iter().map(World::serve).collect();
    for (gateway, world) in gateways.iter().zip(&worlds) {
        assert_eq!(share(gateway, world).await.status, 200);
    }
    database.kill();
    for (gateway, world) in gateways.iter().zip(&worlds) {
        let mut answered = 0;
        let refused = loop {
            let answer = share(gateway, world).await;
            if answer.status != 200 {
                break answer;
            }
            answered += 1;
        };
        refused.refused(503, "ledger_unavailable");
        assert!((1..LIMIT / 4).contains(&answered), "{answered}: a portion, not the day");
    }
    // A gateway that starts now holds nothing.
    gateways[0].kill();
    let restarted = worlds[0].serve();
    share(&restarted, &worlds[0]).await.refused(503, "ledger_unavailable");
    database.run();
    eventually("calls go on by themselves", || {
        let done = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(share(&restarted, &worlds[0])));
        (done.status == 200).then_some(())
    });
    restarted.stop();
    gateways[1].stop();
    // Stopped in good order: what is unused is there for others.
    let (granted, _) = used(&worlds);
    assert_eq!(database.psql("select calls from kanhe.quotas"), granted.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_shared_too_and_what_one_holds_unused_the_other_gets() {
    const LIMIT: u64 = 60;
    let (database, _folder, ca) = database();
    let worlds = worlds(&database, &ca, &format!("{{ records_per_day = {LIMIT}, records_per_call = 5 }}"));
    let gateways: Vec<Gateway> = worlds.iter().map(World::serve).collect();
    // The one draws a portion and leaves it.
    assert_eq!(share(&gateways[0], &worlds[0]).await.status, 200);
    let answered = use_up(&gateways[1], &worlds[1]).await as u64;
    for gateway in &gateways {
        gateway.stop();
    }
    let (_, records) = used(&worlds);
    assert_eq!(records, answered + 1);
    assert!(records <= LIMIT && records + 5 > LIMIT, "{records}: all but what one answer might have needed");
    let entry = &worlds[1].entries(&["--kind", "share.granted"])[0]["entry"];
    assert_eq!(entry["max_records"], 5, "{entry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_alone_counts_records_by_its_ledger_through_restarts() {
    let world = World::new();
    world.at_noon();
    world.edit("grants/all.toml", |text| {
        let at = text.find("id = \"g-002\"").unwrap();
        let (before, grant) = text.split_at(at);
        format!("{before}{}", grant.replacen("quota = {}", "quota = { records_per_day = 4, records_per_call = 2 }", 1))
    });
    let gateway = world.serve();
    for _ in 0..2 {
        assert_eq!(share(&gateway, &world).await.status, 200);
    }
    // In good order: what a killed one leaves open counts in full.
    gateway.stop();
    let gateway = world.serve();
    assert_eq!(share(&gateway, &world).await.status, 200);
    let refused = share(&gateway, &world).await;
    let problem = refused.refused(429, "rate_limited");
    assert!(problem["detail"].as_str().unwrap().contains('4'), "{problem}");
}
