//! Restarts that no caller notices: the next gateway takes the sockets of the running one, under load by callers that never
//! try anything twice; a stop that is told of before it happens; and a copy of the ledger that is taken meanwhile.

use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::support::client::Connection;
use super::support::haproxy::Haproxy;
use super::support::{Answer, Gateway, Setup, Speak, World, eventually};

const WATCHED: &str = "[control]\nwatch = \"100ms\"\n";

fn watched(setup: Setup) -> World {
    let world = World::with(setup);
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replace("[control]\n", WATCHED)).unwrap();
    world
}

fn take_over(world: &World) -> Gateway {
    Gateway::of(world.command(&["serve", "--take-over"]), world)
}

/// Calls until it is stopped, each call once and each to be answered. A connection that the gateway said goodbye on is left;
/// an HTTP/1.1 one must not end in any other way.
async fn caller(
    gateway: Arc<Gateway>,
    at: SocketAddr,
    token: String,
    speak: Speak,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> (usize, usize) {
    let client = gateway.client().speaking(speak);
    let mut connection: Option<Connection> = None;
    let (mut calls, mut connections) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let response = loop {
            let open = match &mut connection {
                Some(open) => open,
                None => {
                    connections += 1;
                    connection.insert(client.connect(at).await.expect("a connection is taken at any time"))
                }
            };
            let request = gateway.ask("GET", "/psb/population").token(&token).purpose("housing").request();
            match open.send_unless_ended(request).await {
                Some(Ok(response)) => break response,
                // GOAWAY came before the call: the library does not send it, and says so only by this error. That none of
                // them was begun all the same, the ledger shows in the end.
                Some(Err(error)) if speak == Speak::Http2 && format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)") => {
                    connection = None;
                }
                Some(Err(error)) => panic!("a call over {speak:?} was begun and not answered: {error:?}"),
                None if speak == Speak::Http2 => connection = None,
                None => panic!("a kept connection ended without notice"),
            }
        };
        let ends = response.headers().get("connection").is_some_and(|value| value == "close");
        let answer = Answer::read(response).await;
        assert!(answer.cut.is_none(), "the answer broke off: {:?}", answer.cut);
        answer.shared();
        if ends {
            connection = None;
        }
        calls += 1;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    (calls, connections)
}

/// Eight callers, half of each version of HTTP.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<(usize, usize)>>,
}

impl Load {
    fn on(gateway: &Arc<Gateway>, at: SocketAddr, token: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let caller = |number| {
            let speak = if number % 2 == 0 { Speak::Http1 } else { Speak::Http2 };
            tokio::spawn(caller(gateway.clone(), at, token.to_owned(), speak, stop.clone(), answered.clone()))
        };
        let callers = (0..8).map(caller).collect();
        Self { stop, answered, callers }
    }

    /// Waits until further calls were answered.
    fn goes_on(&self, what: &str) {
        let until = self.answered.load(Ordering::Relaxed) + 40;
        let ended = || self.callers.iter().any(JoinHandle::is_finished);
        eventually(what, || (self.answered.load(Ordering::Relaxed) > until || ended()).then_some(()));
    }

    /// How many calls were answered: all that were begun. Every caller opened at least so many connections.
    async fn end(self, connections: usize) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for caller in self.callers {
            let (answered, opened) = caller.await.unwrap();
            assert!(opened >= connections, "the caller saw the gateways change: {opened} connections");
            calls += answered;
        }
        calls
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_follow_each_other_and_policies_are_published_and_no_call_fails() {
    let world = watched(Setup::default());
    let first = Arc::new(world.serve());
    let load = Load::on(&first, first.address, &world.housing());
    let mut running = first.clone();
    tokio::task::block_in_place(|| {
        for round in 0..3 {
            load.goes_on("calls are answered");
            world.edit("scenarios/housing.toml", |text| format!("{text}# {round}\n"));
            let line = running.line();
            assert!(line.starts_with("snapshot sha256:"), "{line}");
            load.goes_on("calls are answered under the new snapshot");
            let next = Arc::new(take_over(&world));
            assert_eq!((next.address, next.admin), (running.address, running.admin));
            assert_eq!(line, format!("snapshot {}", next.snapshot));
            assert!(running.ended().success(), "{}", running.log());
            running = next;
        }
        load.goes_on("calls are answered by the last");
    });
    let calls = load.end(4).await;
    tokio::task::block_in_place(|| {
        assert!(running.admin("/readyz").1.contains(&running.snapshot));
        running.stop();
    });
    let settled = world.entries(&["--kind", "share.settled"]);
    assert_eq!(settled.len(), calls, "every answered call is in the one ledger, once, and no other");
    assert_eq!(world.entries(&["--kind", "share.granted"]).len(), calls);
    assert!(settled.iter().all(|line| line["entry"]["outcome"] == "complete"));
    world.verify();
}

fn logged(gateway: &Gateway, word: &str) {
    eventually(word, || gateway.log().contains(word).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_the_sockets_change_hands_is_in_force_afterwards() {
    let world = watched(Setup { limits: "notice = \"3s\"", ..Setup::default() });
    world.edit("catalogue/psb.odd.toml", |text| text.replace("_timeout = \"1s\"", "_timeout = \"20s\""));
    let first = world.serve();
    let token = world.housing();
    let held = first.ask("GET", "/odd/hold").token(&token).purpose("housing").send();
    let handover = async {
        world.scripted.arrival().await;
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let next = scope.spawn(|| take_over(&world));
                logged(&first, "another gateway has taken the sockets");
                assert_eq!(first.admin("/readyz").0, 200, "no balancer has to hear of it");
                world.edit("scenarios/housing.toml", |text| format!("{text}# published meanwhile\n"));
                let published = first.line();
                logged(&first, "stopping: calls in flight finish");
                world.scripted.release();
                let next = next.join().unwrap();
                assert_ne!(next.snapshot, first.snapshot);
                assert_eq!(published, format!("snapshot {}", next.snapshot));
                assert!(first.ended().success());
                next
            })
        })
    };
    let (answer, next) = tokio::join!(held, handover);
    assert_eq!(answer.shared()["data"][0]["value"], "seen");
    assert_eq!(answer.field("connection"), "close", "whoever keeps the connection hears that it ends");
    assert_eq!(next.ask("GET", "/psb/population").token(&token).purpose("housing").send().await.status, 200);
    tokio::task::block_in_place(|| next.stop());
    let kinds = |kind: &str| world.entries(&["--kind", kind]).len();
    assert_eq!((kinds("gateway.started"), kinds("gateway.stopped"), kinds("snapshot.activated")), (2, 2, 3));
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_cannot_start_takes_nothing() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let refused = |word: &str| {
        let output = world.kanhe(&["--lang", "en", "serve", "--take-over"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(word) && output.stdout.is_empty(), "{told}");
    };
    tokio::task::block_in_place(|| {
        // Whatever copies the ledger's folder meets nothing that it cannot read.
        for entry in std::fs::read_dir(world.folder.path().join("ledger")).unwrap() {
            let kind = entry.unwrap().file_type().unwrap();
            assert!(kind.is_file() || kind.is_dir());
        }
        world.edit("scenarios/housing.toml", |text| text + "unknown_key = 1\n");
        refused("unknown_key");
        world.edit("scenarios/housing.toml", |text| text.replace("unknown_key = 1\n", ""));
        let config = std::fs::read_to_string(world.config()).unwrap();
        let port = gateway.address.port() ^ 1;
        world.folder.write("kanhe.toml", config.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1));
        refused("another address needs a stop and a start");
        world.folder.write("kanhe.toml", config);
        // Whoever connects and says nothing, or something else, changes nothing either.
        let ledger = std::fs::metadata(world.folder.path().join("ledger")).unwrap();
        let name = format!("kanhe/take-over/{:x}/{:x}", ledger.dev(), ledger.ino());
        let mut other = UnixStream::connect_addr(&UnixAddress::from_abstract_name(name).unwrap()).unwrap();
        std::io::Write::write_all(&mut other, b"what?").unwrap();
        logged(&gateway, "this one goes on");
    });
    let answer = gateway.ask("GET", "/psb/population").token(&token).purpose("housing").send().await;
    assert!(answer.status == 200 && !answer.fields.contains_key("connection"));
    tokio::task::block_in_place(|| {
        let next = take_over(&world);
        assert!(gateway.ended().success());
        next.kill();
        // The socket of one that was killed is nobody's: an ordinary start.
        take_over(&world).stop();
    });
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_notice_says_that_it_stops_and_still_answers() {
    let world = World::with(Setup { limits: "notice = \"2s\"", ..Setup::default() });
    let gateway = world.serve();
    let token = world.housing();
    let ask = || gateway.ask("GET", "/psb/population").token(&token).purpose("housing");
    let mut kept = gateway.client().connect(gateway.address).await.unwrap();
    assert_eq!(Answer::read(kept.send(ask().request()).await.unwrap()).await.status, 200);
    tokio::task::block_in_place(|| {
        gateway.signal(Signal::TERM);
        eventually("it says so", || (gateway.admin("/readyz").0 == 503).then_some(()));
    });
    assert!(tokio::task::block_in_place(|| gateway.admin("/readyz")).1.contains("\"draining\""));
    let answers = [Answer::read(kept.send(ask().request()).await.unwrap()).await, ask().send().await];
    for answer in answers {
        answer.shared();
        assert_eq!(answer.field("connection"), "close");
    }
    let answer = ask().by(&gateway.client().speaking(Speak::Http2)).send().await;
    assert!(answer.status == 200 && !answer.fields.contains_key("connection"));
    tokio::task::block_in_place(|| {
        // Said again, it does not wait any longer.
        gateway.signal(Signal::TERM);
        assert!(gateway.ended().success());
    });
    world.verify();
}

/// A gateway of this world with a configuration, name and ledger of its own.
fn another(world: &World, number: usize) -> (Command, String) {
    let (name, file) = (format!("gw-{number}.test.example"), format!("kanhe-{number}.toml"));
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.replace("gw-1.test.example", &name).replace("\"ledger\"", &format!("\"ledger-{number}\""));
    world.folder.write(&file, config);
    (serving(world, &file), file)
}

fn serving(world: &World, file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
    command.arg("--config").arg(world.folder.path().join(file)).arg("serve");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_behind_haproxy_are_restarted_in_turn_and_no_call_fails() {
    let world = watched(Setup { limits: "notice = \"5s\"", ..Setup::default() });
    let (mut gateways, mut files) = (Vec::new(), Vec::new());
    for number in [1, 2] {
        let (mut command, file) = another(&world, number);
        let gateway = Arc::new(Gateway::of(
            {
                command.arg("--create-ledger");
                command
            },
            &world,
        ));
        // From now on at these addresses.
        let config = std::fs::read_to_string(world.folder.path().join(&file)).unwrap();
        let config = config.replacen("127.0.0.1:0", &gateway.address.to_string(), 1).replacen("127.0.0.1:0", &gateway.admin.to_string(), 1);
        world.folder.write(&file, config);
        gateways.push(gateway);
        files.push(file);
    }
    let balancer = Haproxy::start(&[&gateways[0], &gateways[1]]);
    let load = Load::on(&gateways[0], balancer.address, &world.housing());
    tokio::task::block_in_place(|| {
        for at in 0..2 {
            load.goes_on("calls are answered");
            world.edit("scenarios/housing.toml", |text| format!("{text}# {at}\n"));
            let lines = [gateways[0].line(), gateways[1].line()];
            assert!(lines[0].starts_with("snapshot ") && lines[0] == lines[1], "{lines:?}");
            gateways[at].stop();
            load.goes_on("calls are answered by the other");
            gateways[at] = Arc::new(Gateway::of(serving(&world, &files[at]), &world));
            balancer.sees(at);
        }
        load.goes_on("calls are answered by both");
    });
    let calls = load.end(2).await;
    let mut settled = 0;
    for (gateway, file) in gateways.iter().zip(&files) {
        tokio::task::block_in_place(|| gateway.stop());
        let mut query = Command::new(env!("CARGO_BIN_EXE_kanhe"));
        query.arg("--config").arg(world.folder.path().join(file));
        let output = query.args(["--format", "json", "ledger", "query", "--kind", "share.settled"]).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(lines.lines().all(|line| line.contains("\"outcome\":\"complete\"")));
        assert!(lines.lines().count() > 0, "both were called");
        settled += lines.lines().count();
    }
    assert_eq!(settled, calls, "every answered call is in one of the ledgers, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_taken_in_order_under_load_verifies_and_can_be_gone_on_with() {
    let world = World::new();
    let gateway = Arc::new(world.serve());
    let load = Load::on(&gateway, gateway.address, &world.housing());
    let config = std::fs::read_to_string(world.config()).unwrap();
    world.folder.write("copy.toml", config.replace("folder = \"ledger\"", "folder = \"copy\""));
    // As the chapter on operations tells, until nothing went away underneath.
    let order = "rm -rf ../copy && mkdir ../copy && cp checkpoint ../copy/ && cp -r journal ../copy/ && cp -r log.vkey tile salts snapshots ../copy/";
    let copied =
        || Command::new("sh").args(["-c", order]).current_dir(world.folder.path().join("ledger")).output().unwrap().status.success();
    let verified = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
        command.arg("--config").arg(world.folder.path().join("copy.toml")).args(["ledger", "verify"]).output().unwrap().status.success()
    };
    tokio::task::block_in_place(|| {
        for _ in 0..3 {
            load.goes_on("calls are answered");
            eventually("a copy verifies", || (copied() && verified()).then_some(()));
        }
    });
    let answered = load.end(1).await;
    tokio::task::block_in_place(|| {
        gateway.stop();
        let restored = Gateway::of(serving(&world, "copy.toml"), &world);
        restored.stop();
        assert!(verified() && answered > 0);
    });
}
