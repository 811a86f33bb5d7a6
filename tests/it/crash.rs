//! `kill -9` under load, again and again: whatever a caller received is in the ledger, at its index, with its leaf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::client::Receipt;
use super::support::{Answer, Ask, Client, Gateway, Setup, Speak, World};

/// Callers at a time.
const CALLERS: usize = 6;

/// Calls until the connection breaks; the receipt of every answer that came whole.
async fn call_until_killed(gateway: Arc<Gateway>, token: String, client: Client, answers: Arc<AtomicUsize>) -> Vec<Receipt> {
    let mut received = Vec::new();
    let Ok(mut connection) = client.connect(gateway.address).await else { return received };
    loop {
        let ask = Ask::new(&gateway, "GET", "/psb/population").by(&client).token(&token).purpose("housing");
        let Ok(response) = connection.send(ask.request()).await else { return received };
        let answer = Answer::read(response).await;
        // The head alone is a promise: a byte of an answer may have been seen.
        assert_eq!(answer.status, 200, "{answer:?}");
        received.push(answer.receipt());
        answers.fetch_add(1, Ordering::SeqCst);
        if answer.cut.is_some() {
            return received;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_received_answer_survives_a_kill() {
    let rounds = std::env::var("KANHE_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let world = World::with(Setup { telemetry: "log = \"warn\"", ..Setup::default() });
    let token = world.housing();
    let mut total = 0;
    for round in 0..rounds {
        let gateway = Arc::new(world.serve());
        let answers = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|at| {
                let client = gateway.client().speaking(if at % 2 == 0 { Speak::Http1 } else { Speak::Http2 });
                tokio::spawn(call_until_killed(gateway.clone(), token.clone(), client, answers.clone()))
            })
            .collect();
        // A different moment each round, in the midst of calls.
        let enough = 1 + usize::from(kanhe::sys::random::<1>()[0]) / 4;
        while answers.load(Ordering::SeqCst) < enough && callers.iter().any(|caller| !caller.is_finished()) {
            tokio::task::yield_now().await;
        }
        gateway.kill();
        let mut received = BTreeMap::new();
        for caller in callers {
            for receipt in caller.await.unwrap() {
                assert!(received.insert(receipt.index, receipt.leaf).is_none(), "round {round}: two answers have one entry");
            }
        }
        assert!(received.len() >= enough, "round {round}");
        drop(gateway);

        // Before any recovery has run, and after it.
        check(&world, &received, round);
        world.serve().stop();
        check(&world, &received, round);
        world.verify();
        total += received.len();
    }
    eprintln!("{rounds} kills, {total} answers received, each in the ledger");

    // Nothing stays open: what no process could settle is unknown.
    let granted = world.entries(&["--kind", "share.granted"]).len();
    let settled = world.entries(&["--kind", "share.settled"]);
    assert_eq!(settled.len(), granted);
}

fn check(world: &World, received: &BTreeMap<u64, String>, round: usize) {
    let entries: BTreeMap<u64, serde_json::Value> =
        world.entries(&["--kind", "share.granted"]).into_iter().map(|line| (line["index"].as_u64().unwrap(), line)).collect();
    for (index, leaf) in received {
        let line = entries.get(index).unwrap_or_else(|| panic!("round {round}: entry {index} is lost"));
        assert_eq!(line["leaf"], *leaf, "round {round}");
    }
}
