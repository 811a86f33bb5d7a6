//! Publishing from outside: the gate, approvals, rollback, watched folders, suspensions that end running answers, the
//! shadow, and reloads back to back.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::{Gateway, World, eventually};

const CASES: &str = r#"
[[cases]]
name = "housing sees the masked number"
requester = "housing-app"
resource = "psb.population"
kind = "query"
scenario = "housing"
time = "2026-11-23T08:00:00+08:00"
expect = "allow"
"#;

/// Adds these lines to `[control]`.
fn control(world: &World, lines: &str) {
    let text = std::fs::read_to_string(world.config()).unwrap();
    world.folder.write("kanhe.toml", text.replace("folder = \"policies\"\n", &format!("folder = \"policies\"\n{lines}\n")));
}

fn succeeds(world: &World, args: &[&str]) -> String {
    let output = world.kanhe(args);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{args:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

fn fails(world: &World, args: &[&str], code: i32) -> String {
    let output = world.kanhe(args);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    told
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(drop).unwrap() }
    }
}

fn activated(world: &World) -> Vec<Value> {
    world.entries(&["--kind", "snapshot.activated"]).into_iter().map(|line| line["entry"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_the_gate_is_not_put_in_force() {
    let world = World::new();
    control(&world, "require = [\"check\", \"test\"]");
    // `check` takes no warning, and a mask over what the caller itself sent is one.
    world.edit("grants/all.toml", |text| text.replacen("id_number = [\"mask\"]", "id_number = [\"reveal\", \"mask\"]", 1));
    let refused = fails(&world, &["--lang", "en", "serve", "--create-ledger"], 2);
    assert!(refused.contains("there is none in tests/"), "a folder without a case cannot be tested: {refused}");

    world.folder.write("policies/tests/all.toml", CASES);
    let gateway = world.serve();
    assert_eq!(activated(&world)[0]["required"], json!(["check", "test"]));
    world.edit("tests/all.toml", |text| text.replace("\"allow\"", "\"policy_denied\"") + &CASES.replace("sees", "still sees"));
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    assert!(gateway.log().contains("housing sees the masked number"), "the log names the case");
    let (status, ready) = gateway.admin("/readyz");
    assert_eq!((status, serde_json::from_str::<Value>(&ready).unwrap()["reload_refused"].clone()), (200, json!(1)));
    assert!(fails(&world, &["--lang", "en", "policy", "gate"], 1).contains("expected policy_denied"));
    assert_eq!(gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.status, 200);

    world.edit("tests/all.toml", |text| text.replace("\"policy_denied\"", "\"allow\""));
    succeeds(&world, &["policy", "gate"]);
    assert!(gateway.reload().starts_with("snapshot "));
    assert!(serde_json::from_str::<Value>(&gateway.admin("/readyz").1).unwrap().get("reload_refused").is_none());
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_would_show_a_recorded_call_more_is_not_put_in_force() {
    let world = World::new();
    control(&world, "require = [\"replay\"]");
    let gateway = world.serve();
    assert_eq!(gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.status, 200);
    let (masked, shown) = ("name = [\"mask\"], telephone", "name = [\"reveal\", \"mask\"], telephone");
    world.edit("grants/all.toml", |text| {
        assert!(text.contains(masked));
        text.replace(masked, shown)
    });
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    assert!(gateway.log().contains("psb.population#name: mask would become reveal"), "the log names the item: {}", gateway.log());
    assert!(fails(&world, &["--lang", "en", "policy", "gate"], 1).contains("mask would become reveal"));
    let answer = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
    assert!(
        answer.field("share-disclosure").contains("mask=(id_number") && answer.field("share-disclosure").contains("name)"),
        "{answer:?}"
    );

    // Showing less stands in nobody's way.
    world.edit("grants/all.toml", |text| text.replace(shown, "telephone"));
    succeeds(&world, &["policy", "gate"]);
    assert!(gateway.reload().starts_with("snapshot "));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_must_approve_before_a_snapshot_is_in_force() {
    let world = World::new();
    let key = |name: &str| succeeds(&world, &["policy", "keygen", "--name", name, "--out", &secret(&world, name)]).trim().to_owned();
    let keys = ["li", "wang", "zhao"].map(key);
    assert!(fails(&world, &["policy", "keygen", "--name", "li", "--out", &secret(&world, "li")], 2).contains("li.key"));
    control(&world, &format!("approvals = 2\napprovers = [\"{}\", \"{}\"]", keys[0], keys[1]));
    let approve = |name: &str| ["policy", "approve", "--name", name, "--author", "sun", "--key"].map(str::to_owned);
    let sign = |name: &str| {
        let mut args = approve(name).to_vec();
        args.push(secret(&world, name));
        args
    };
    let run = |args: &[String]| world.kanhe(&args.iter().map(String::as_str).collect::<Vec<_>>()).status.code();
    let refused = fails(&world, &["--lang", "en", "serve", "--create-ledger"], 2);
    assert!(refused.contains("needs 2 approvals and has 0") && refused.contains("not yet: li, wang"), "{refused}");
    assert_eq!((run(&sign("li")), run(&sign("wang")), run(&sign("zhao"))), (Some(0), Some(0), Some(2)), "zhao is no approver");
    let gateway = world.serve();
    let first = &activated(&world)[0];
    assert_eq!((&first["author"], &first["approvers"]), (&json!("sun"), &json!(["li", "wang"])));

    // Another digest needs approvals of its own; one that is changed afterwards has none.
    world.edit("scenarios/housing.toml", |text| text.replace("\"示例办法\"", "\"示例办法第二条\""));
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    assert_eq!(run(&sign("li")), Some(0));
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    assert_eq!(run(&sign("wang")), Some(0));
    world.edit("scenarios/housing.toml", |text| text.replace("第二条", "第三条"));
    assert_eq!(gateway.reload(), "reload refused: 1 errors");
    world.edit("scenarios/housing.toml", |text| text.replace("第三条", "第二条"));
    assert!(gateway.reload().starts_with("snapshot "));
    gateway.stop();
    // A restart with what was let pass before asks nobody again.
    std::fs::remove_dir_all(world.folder.path().join("approvals")).unwrap();
    world.serve().stop();
    world.verify();
}

fn secret(world: &World, name: &str) -> String {
    world.folder.path().join(format!("secrets/{name}.key")).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_published_and_a_recorded_one_put_back() {
    for link in [false, true] {
        let world = World::new();
        let root = world.folder.path().to_owned();
        if link {
            std::fs::rename(root.join("policies"), root.join("policies-1")).unwrap();
            std::os::unix::fs::symlink("policies-1", root.join("policies")).unwrap();
        }
        let gateway = world.serve();
        let (token, first) = (world.housing(), gateway.snapshot.clone());
        let ask = || gateway.ask("GET", "/psb/population").token(&token).purpose("housing");
        copy(&root.join("policies"), &root.join("next"));
        let scenario = root.join("next/scenarios/housing.toml");
        let text = std::fs::read_to_string(&scenario).unwrap().replace("\"approved\"", "\"suspended\"");
        std::fs::write(&scenario, &text).unwrap();
        succeeds(&world, &["policy", "publish", root.join("next").to_str().unwrap()]);
        assert_ne!(gateway.reload(), format!("snapshot {first}"));
        ask().send().await.refused(403, "purpose_not_granted");
        std::fs::write(&scenario, text + "unknown_key = 1\n").unwrap();
        assert!(fails(&world, &["policy", "publish", root.join("next").to_str().unwrap()], 1).contains("unknown_key"));

        fails(&world, &["policy", "rollback", "sha256:ffffffff"], 2);
        succeeds(&world, &["policy", "rollback", &first[..20]]);
        assert_eq!(std::fs::symlink_metadata(root.join("policies")).unwrap().is_symlink(), link);
        assert_eq!(gateway.reload(), format!("snapshot {first}"));
        assert_eq!(ask().send().await.status, 200);
        let entries = activated(&world);
        assert_eq!((&entries[2]["snapshot"], &entries[2]["previous"]), (&json!(first), &entries[1]["snapshot"]));

        // What the ledger keeps is held against its digest before it decides anything.
        let kept = root.join("ledger/snapshots").join(&first[7..]).join("base.cedar");
        std::fs::write(&kept, "// changed").unwrap();
        assert!(fails(&world, &["--lang", "en", "policy", "rollback", &first], 2).contains("was changed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_within_a_second_and_ends_running_answers() {
    let changes: [(&str, &str, &str); 2] = [
        ("requesters.toml", "status = \"active\"", "status = \"suspended\""),
        ("grants/all.toml", "status = \"active\"", "status = \"suspended\""),
    ];
    for (file, from, to) in changes {
        let world = World::new();
        control(&world, "watch = \"200ms\"");
        let gateway = world.serve();
        let token = world.housing();
        let mut connection = gateway.client().connect(gateway.address).await.unwrap();
        let ask = gateway.ask("GET", "/stream/endless").token(&token).purpose("housing").request();
        let mut body = connection.send(ask).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        let suspended = Instant::now();
        world.edit(file, |text| text.replace(from, to));
        let broken = loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        };
        let took = suspended.elapsed();
        assert!(broken.is_some_and(|frame| frame.is_err()), "the answer is aborted, not ended");
        eprintln!("{file}: the running answer ended {took:?} after the change was written");
        assert!(gateway.line().starts_with("snapshot "));
        let settled = tokio::task::block_in_place(|| {
            eventually("the share is settled", || world.entries(&["--kind", "share.settled"]).pop())["entry"].clone()
        });
        assert_eq!(settled["outcome"], "cut", "{settled}");
        assert_ne!(gateway.ask("GET", "/psb/population").token(&token).purpose("housing").send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_its_origin_while_it_is_suspended_is_refused() {
    let world = World::new();
    // The origin waits for a reload, however long that takes on a busy machine.
    let patient = |text: String| text.lines().filter(|line| !line.contains("_timeout")).collect::<Vec<_>>().join("\n") + "\n";
    world.edit("catalogue/psb.odd.toml", patient);
    let gateway = world.serve();
    let token = world.housing();
    let hold = gateway.ask("GET", "/odd/hold").token(&token).purpose("housing").send();
    let reload = async {
        world.scripted.arrival().await;
        tokio::task::block_in_place(|| {
            world.edit("scenarios/housing.toml", |text| text.replace("\"approved\"", "\"suspended\""));
            assert!(gateway.reload().starts_with("snapshot "));
            world.scripted.release();
        });
    };
    let (held, ()) = tokio::join!(hold, reload);
    held.refused(403, "purpose_not_granted");
    let settled = tokio::task::block_in_place(|| eventually("it is settled", || world.entries(&["--kind", "share.settled"]).pop()));
    assert_eq!((&settled["entry"]["outcome"], &settled["entry"]["bytes"]), (&json!("failed"), &json!(0)), "{settled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shadow_counts_what_it_would_decide_otherwise_and_enforces_nothing() {
    let world = World::new();
    let root = world.folder.path().to_owned();
    copy(&root.join("policies"), &root.join("next"));
    let base = root.join("next/base.cedar");
    let number =
        "\n@id(\"no-number\") forbid (principal, action in Action::\"disclose\", resource == Item::\"psb.population#id_number\");\n";
    std::fs::write(&base, std::fs::read_to_string(&base).unwrap() + number).unwrap();
    let patrol = root.join("next/scenarios/patrol.toml");
    std::fs::write(&patrol, std::fs::read_to_string(&patrol).unwrap().replace("\"approved\"", "\"ended\"")).unwrap();
    control(&world, "shadow = \"next\"");
    world.edit("requesters.toml", |text| text.replacen("roles = []", "roles = [\"officer\"]", 1));
    copy(&root.join("policies/requesters.toml").parent().unwrap().join("catalogue"), &root.join("next/catalogue"));
    let gateway = world.serve();
    let token = world.housing();
    for _ in 0..3 {
        let answer = gateway.ask("GET", "/psb/population").token(&token).purpose("housing").send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.field("share-disclosure").contains("id_number"), "the folder in force decides");
    }
    let report = tokio::task::block_in_place(|| eventually("three calls are compared", || report(&gateway, &token, 3)));
    let shadow = &report["shadow"];
    assert_eq!((&shadow["differences"]["narrower"], &shadow["differences"]["newly_denied"]), (&json!(3), &json!(0)), "{report}");
    assert_eq!(shadow["newest"][0]["items"], json!(["id_number"]), "{report}");
    assert!(gateway.admin("/metrics").1.contains("kanhe_shadow_differences_total{kind=\"narrower\"} 3"));
    assert!(gateway.log().contains("the shadow decides otherwise"));
    // One that does not load is told of, and stands in nobody's way.
    std::fs::write(&base, "nonsense").unwrap();
    assert!(gateway.reload().starts_with("snapshot "));
    assert!(gateway.log().contains("the shadow is not loaded"));
    assert_eq!(gateway.admin("/api/control").0, 401, "only officers see it");
}

/// `/api/control` as an officer sees it, once this many calls are compared.
fn report(gateway: &Gateway, token: &str, compared: u64) -> Option<Value> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(gateway.admin).unwrap();
    let host = gateway.admin;
    write!(stream, "GET /api/control HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let report: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1.trim()).unwrap_or_else(|_| panic!("{answer}"));
    (report["shadow"]["compared"].as_u64()? >= compared).then_some(report)
}

/// Grants of one system for one resource and scenario, a day each.
fn many_grants(first: usize, count: usize, document: &str) -> String {
    let mut text = String::new();
    for n in first..first + count {
        let day = jiff::civil::date(1900, 1, 1).checked_add(jiff::Span::new().days(i64::try_from(n).unwrap())).unwrap();
        let approval = |side: &str| {
            format!(
                "[[grants.approvals]]\nside = \"{side}\"\nname = \"a\"\npost = \"b\"\ndate = \"1899-12-01\"\ndocument = \"{document}\"\n"
            )
        };
        write!(
            text,
            "[[grants]]\nid = \"many-{n}\"\nrequester = \"sealed-app\"\nresource = \"psb.population\"\nscenario = \"housing\"\nkinds = [\"query\"]\nitems = {{ id_number = [\"mask\"], name = [\"mask\"], region_code = [\"reveal\"] }}\nregions = []\nquota = {{}}\napplication = \"application {n}\"\nlegal_basis = \"示例办法\"\nmode = \"service_interface\"\nvalid_from = \"{day}\"\nvalid_until = \"{day}\"\nstatus = \"active\"\n{}{}",
            approval("demander"),
            approval("provider")
        )
        .unwrap();
    }
    text
}

/// Grants in one file.
const PER_FILE: usize = 1000;

/// What one of two alternating snapshots takes from the grant, and what it forbids.
const GRANTED: &str = "telephone = [\"pseudonymise\"], ";
const FORBIDDEN: &str = "@id(\"soak\") forbid (principal, action in Action::\"disclose\", resource == Item::\"psb.population#name\");\n";

/// In an ordinary run a few seconds and 3,000 grants; `KANHE_SOAK_SECONDS=60 KANHE_SOAK_GRANTS=100000` is the long one.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_back_to_back_fail_no_call_and_grow_no_memory() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seconds, grants) = (number("KANHE_SOAK_SECONDS", 5), usize::try_from(number("KANHE_SOAK_GRANTS", 3000)).unwrap());
    let world = World::with(super::support::Setup { telemetry: "log = \"warn\"", ..Default::default() });
    let file = |n: usize, document: &str| {
        world.folder.write(&format!("policies/grants/many-{n}.toml"), many_grants(n * PER_FILE, PER_FILE, document));
    };
    (0..grants / PER_FILE).for_each(|n| file(n, "1"));
    let gateway = Arc::new(world.serve());
    let token = world.housing();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, token, stop, answered) = (gateway.clone(), token.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = gateway.ask("GET", "/psb/population").token(&token).purpose("housing").send().await;
                    assert_eq!(answer.status, 200);
                    // Grant and policy change together: a mixture of two snapshots would show one of both items.
                    let field = answer.field("share-disclosure");
                    let shown = field.split("omit=").next().unwrap();
                    assert_eq!(shown.contains("telephone"), shown.contains(" name"), "{field}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (until, mut reloads, mut memory) = (Instant::now() + Duration::from_secs(seconds), 0_u64, Vec::new());
    while Instant::now() < until {
        let line = tokio::task::block_in_place(|| {
            file(usize::try_from(reloads).unwrap() % (grants / PER_FILE), &reloads.to_string());
            let narrow = reloads % 2 == 0;
            let (from, to) = if narrow {
                (GRANTED, "")
            } else {
                ("name = [\"mask\"], region", "name = [\"mask\"], telephone = [\"pseudonymise\"], region")
            };
            world.edit("grants/all.toml", |text| text.replace(from, to));
            world.folder.write("policies/soak.cedar", if narrow { FORBIDDEN } else { "// nothing more\n" });
            gateway.reload()
        });
        assert!(line.starts_with("snapshot "), "{line}: {}", gateway.log());
        reloads += 1;
        memory.push(gateway.memory("VmRSS"));
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let answered = answered.load(Ordering::Relaxed);
    let (early, late) = (memory[memory.len() / 3], memory[memory.len() - 1]);
    eprintln!("{reloads} reloads with {grants} grants, {answered} calls; resident {early} KiB after a third, {late} KiB at the end");
    assert!(reloads >= 2 && answered > 0);
    assert!(late < early + early / 4 + (16 << 10), "{memory:?}");
    gateway.stop();
    world.verify();
}
