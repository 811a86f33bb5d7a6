//! Changes while it runs: a reload that loads, one that does not, another certificate, and a stop that loses no call.

use rustix::process::Signal;
use serde_json::json;

use super::support::keys::Authority;
use super::support::{Speak, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_reload_holds_at_once_and_a_bad_one_changes_nothing() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let population = || gateway.ask("GET", "/psb/population").token(&token).purpose("housing");
    assert_eq!(population().send().await.status, 200);

    world.edit("scenarios/housing.toml", |text| text.replace("\"approved\"", "\"suspended\""));
    let line = gateway.reload();
    let digest = line.strip_prefix("snapshot ").unwrap_or_else(|| panic!("{line}")).to_owned();
    assert_ne!(digest, gateway.snapshot);
    population().send().await.refused(403, "purpose_not_granted");

    world.edit("scenarios/housing.toml", |text| text.replace("\"suspended\"", "\"approved\"") + "unknown_key = 1\nother_key = 1\n");
    assert_eq!(gateway.reload(), "reload refused: 2 errors");
    population().send().await.refused(403, "purpose_not_granted");
    assert!(gateway.log().contains("unknown_key"), "the log names what is wrong");

    world.edit("scenarios/housing.toml", |text| text.replace("unknown_key = 1\nother_key = 1\n", ""));
    assert_eq!(gateway.reload(), format!("snapshot {}", gateway.snapshot), "the same folder has the same digest");
    assert_eq!(population().send().await.status, 200);
    let activated = world.entries(&["--kind", "snapshot.activated"]);
    assert_eq!(activated.last().unwrap()["entry"]["snapshot"], gateway.snapshot);
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_shown_after_a_reload_and_other_keys_need_a_restart() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let old = gateway.client();
    let other = Authority::new("another authority");
    world.write_certificate(&other);
    let config = std::fs::read_to_string(world.config()).unwrap();
    world.folder.write("kanhe.toml", config.replace("[gateway.limits]", "[gateway.limits]\nstreams = 7"));
    assert!(gateway.reload().starts_with("snapshot "));
    assert!(old.connect(gateway.address).await.is_err());
    let new = old.trusting(&other);
    assert_eq!(gateway.ask("GET", "/psb/population").token(&token).purpose("housing").by(&new).send().await.status, 200);
    assert!(gateway.log().lines().any(|line| line.contains("gateway.limits") && line.contains("restart")));

    // A key that does not fit its certificate does not load.
    world.folder.write("secrets/gateway.key", other.issue("gateway", 2).key);
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    assert!(new.connect(gateway.address).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_calls_in_flight_finish_and_settle() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let held = |speak| {
        let client = gateway.client().speaking(speak);
        gateway.ask("GET", "/odd/hold").token(&token).purpose("housing").by(&client).send()
    };
    let stop = async {
        world.scripted.arrival().await;
        world.scripted.arrival().await;
        tokio::task::block_in_place(|| {
            gateway.signal(Signal::TERM);
            eventually("no new connection is taken", || std::net::TcpStream::connect(gateway.address).is_err().then_some(()));
            world.scripted.release();
        });
    };
    let (first, second, ()) = tokio::join!(held(Speak::Http1), held(Speak::Http2), stop);
    for answer in [&first, &second] {
        assert_eq!(answer.shared()["data"][0]["value"], "seen");
    }
    assert!(tokio::task::block_in_place(|| gateway.ended()).success(), "{}", gateway.log());
    let settled = world.entries(&["--kind", "share.settled"]);
    assert_eq!(settled.iter().map(|line| line["entry"]["outcome"].clone()).collect::<Vec<_>>(), [json!("complete"), json!("complete")]);
    assert_eq!(world.entries(&["--kind", "gateway.stopped"]).len(), 1);
    world.verify();
}
