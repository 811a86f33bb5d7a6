//! The command line around the gateway: what it starts on, what it refuses to start on, and what it says.

use super::support::{Setup, World};

#[test]
fn a_missing_ledger_is_never_made_by_accident() {
    let world = World::new();
    let output = world.kanhe(&["serve"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--create-ledger") && output.stdout.is_empty(), "{told}");
    assert!(!world.folder.path().join("ledger").exists());
    world.serve().stop();
    world.serve().stop();
    // The history went away: that is trouble, not a new history.
    std::fs::rename(world.folder.path().join("ledger"), world.folder.path().join("elsewhere")).unwrap();
    assert_eq!(world.kanhe(&["serve"]).status.code(), Some(2));
}

#[test]
fn a_ledger_that_is_not_empty_is_not_created_over() {
    let world = World::new();
    world.folder.write("ledger/notes.txt", "somebody's");
    let output = world.kanhe(&["serve", "--create-ledger"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(world.folder.path().join("ledger/notes.txt").exists());
}

#[test]
fn one_ledger_has_one_gateway() {
    let world = World::new();
    let _first = world.serve();
    let output = world.kanhe(&["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
}

#[test]
fn health_and_metrics_are_told_on_the_admin_listener() {
    let world = World::new();
    let gateway = world.serve();
    assert_eq!(gateway.admin("/livez").0, 200);
    assert_eq!(gateway.admin("/readyz").0, 200);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send());
    assert_eq!(answer.status, 200);
    runtime.block_on(gateway.ask("GET", "/ungranted").token(&world.housing()).purpose("housing").send()).refused(403, "policy_denied");
    let (status, metrics) = gateway.admin("/metrics");
    assert_eq!(status, 200);
    let shared = |words: &[&str]| metrics.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(shared(&["psb.population"]) && shared(&["policy_denied"]) && shared(&["ledger"]), "{metrics}");
}

#[test]
fn a_configuration_that_means_nothing_is_refused_with_its_place() {
    let world = World::new();
    let good = std::fs::read_to_string(world.config()).unwrap();
    for (from, to, code_word) in [
        ("[control]\n", "[control]\nfodler = \"x\"\n", "fodler"),
        ("checkpoint_interval = \"1s\"", "checkpoint_interval = \"1\"", "checkpoint_interval"),
        ("client_auth = \"optional\"", "client_auth = \"maybe\"", "client_auth"),
        ("retention = \"3y\"", "retention = \"1y\"", "1y"),
        ("name = \"gw-1.test.example\"\n", "", "name"),
    ] {
        assert!(good.contains(from), "{from}");
        world.folder.write("kanhe.toml", good.replacen(from, to, 1));
        let output = world.kanhe(&["--lang", "en", "serve", "--create-ledger"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{to}: {told}");
        assert!(told.contains("kanhe.toml:") && told.contains(code_word), "{to}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn plain_http_is_for_the_loopback_alone() {
    let world = World::with(Setup { client_auth: None, ..Setup::default() });
    let good = std::fs::read_to_string(world.config()).unwrap();
    world.folder.write("kanhe.toml", good.replacen("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"", 1));
    let output = world.kanhe(&["serve", "--create-ledger"]);
    assert_eq!(output.status.code(), Some(2));
    world.folder.write("kanhe.toml", good);
    let gateway = world.serve();
    assert!(gateway.address.ip().is_loopback());
}

#[test]
fn commands_end_as_told() {
    let world = World::new();
    assert_eq!(world.kanhe(&["--help"]).status.code(), Some(0));
    assert_eq!(world.kanhe(&["nonsense"]).status.code(), Some(2));
    assert_eq!(world.kanhe(&["ledger", "verify"]).status.code(), Some(2), "there is no ledger yet");
    for (args, word) in [(["catalogue", "card", "mca.marriage"], "id_number"), (["catalogue", "show", "mca.marriage"], "mca.marriage")] {
        let output = world.kanhe(&args);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(word));
    }
    assert_eq!(world.kanhe(&["catalogue", "list"]).status.code(), Some(0));
    let gateway = world.serve();
    gateway.stop();
    world.verify();
    assert_eq!(world.kanhe(&["ledger", "show", "999999"]).status.code(), Some(1), "there is no such entry");
}

#[test]
fn a_changed_byte_is_named_by_verify() {
    let world = World::new();
    let gateway = world.serve();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send());
    let index = answer.receipt().index;
    gateway.stop();
    world.verify();
    let needle = b"housing-app";
    let changed =
        world.folder.files().into_iter().filter(|(name, _)| name.starts_with("ledger/tile/entries/")).find_map(|(name, mut content)| {
            let at = content.windows(needle.len()).position(|window| window == needle)?;
            content[at] = b'H';
            Some((name, content))
        });
    let (name, content) = changed.unwrap();
    world.folder.write(&name, content);
    let output = world.kanhe(&["--format", "json", "ledger", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    let verified: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verified["ok"], &verified["first_bad"]["index"]), (&false.into(), &index.into()), "{verified}");
}
