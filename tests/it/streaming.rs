//! Large answers: flat memory, and a share settled as what became of it.

use http_body_util::BodyExt;
use serde_json::Value;

use super::support::{Setup, Speak, World, eventually};

/// How much the gateway may grow while it passes on whatever it passes on.
const ROOM_KIB: u64 = 24 << 10;

fn settled(world: &World) -> Value {
    eventually("the share is settled", || world.entries(&["--kind", "share.settled"]).pop())["entry"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_streams_with_flat_memory() {
    let size = std::env::var("KANHE_STREAM_MIB").map_or(1024, |mib| mib.parse::<u64>().unwrap()) << 20;
    let world = World::with(Setup { telemetry: "log = \"warn\"", ..Setup::default() });
    world.nginx.sparse("large.bin", size);
    let gateway = world.serve();
    let token = world.housing();
    let warm = gateway.ask("GET", "/mca/files/small.bin").token(&token).purpose("housing").send().await;
    assert_eq!(warm.status, 200);
    let before = gateway.memory("VmHWM");
    let mut connection = gateway.client().connect(gateway.address).await.unwrap();
    let ask = gateway.ask("GET", "/mca/files/large.bin").token(&token).purpose("housing").request();
    let mut body = connection.send(ask).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, |data| data.len() as u64);
    }
    assert_eq!(received, size);
    let after = gateway.memory("VmHWM");
    eprintln!("{} MiB passed; peak resident size {before} KiB before, {after} KiB after", size >> 20);
    assert!(after < before + ROOM_KIB, "{before} KiB became {after} KiB");
    let settled =
        eventually("it is settled", || world.entries(&["--kind", "share.settled"]).into_iter().find(|line| line["entry"]["bytes"] == size));
    assert_eq!(settled["entry"]["outcome"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_is_settled_as_cut() {
    for speak in [Speak::Http1, Speak::Http2] {
        let world = World::new();
        let gateway = world.serve();
        let client = gateway.client().speaking(speak);
        let mut connection = client.connect(gateway.address).await.unwrap();
        let ask = gateway.ask("GET", "/stream/endless").token(&world.housing()).purpose("housing").by(&client).request();
        let mut body = connection.send(ask).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop((body, connection));
        let entry = tokio::task::block_in_place(|| settled(&world));
        assert_eq!(entry["outcome"], "cut", "{entry}");
        assert!(entry["bytes"].as_u64().unwrap() > 0, "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_before_the_answer_is_settled_too() {
    let world = World::new();
    let gateway = world.serve();
    let mut connection = gateway.client().connect(gateway.address).await.unwrap();
    let ask = gateway.ask("GET", "/odd/hold").token(&world.housing()).purpose("housing").request();
    let waiting = tokio::spawn(async move { connection.send(ask).await.map(drop) });
    world.scripted.arrival().await;
    waiting.abort();
    let entry = tokio::task::block_in_place(|| settled(&world));
    assert_eq!((entry["outcome"].as_str(), entry["bytes"].as_u64()), (Some("cut"), Some(0)), "{entry}");
}
