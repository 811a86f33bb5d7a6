//! Step 11: the whole log written anew and signed with its own key. What others hold catches it: the witness's memory and
//! the receipt that a requester kept.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::super::Trouble;
use super::super::client::Call;
use super::super::folder::cannot_write;
use super::super::forger::{Lie, forge};
use super::record::succeeded;
use super::step::Step;
use super::{Scene, Stage, population_in_full};
use crate::sys;

/// The last of the story.
pub(super) static SCENES: [Scene; 1] = [(
    "11",
    (
        "网关重写整部共享台账并重新签名：见证方与回执都不认",
        "the gateway rewrites its whole log and signs it anew: neither the witness nor a receipt knows it",
    ),
    (
        "所有提供都被改记到另一系统名下，条数、时间、签名俱全，自身验证通过。共享主管部门的见证方记得原来的检查点，需求系统手中有签名回执。",
        "Every share is put down to another system; count, times and signatures are all in order, and it verifies in itself. The sharing authority's witness remembers the checkpoint that was, and the requester has a signed receipt.",
    ),
    rewritten,
)];

/// Where the requester keeps its receipt, the auditor the witness's checkpoint, and the operator what is put to the witness.
const KEPT: &str = "kept-receipt.txt";
const WITNESSED: &str = "witnessed.txt";
const SUBMISSION: &str = "submission.txt";

fn rewritten(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let victim = stage.call(step, &population_in_full())?;
    let Some(index) = victim.receipt() else {
        step.shared(&victim);
        return Ok(());
    };
    stage.folder.write(KEPT, &format!("{}\n", victim.field("share-receipt")))?;
    let honest = witnessed(stage, step, index)?;
    let (from, to) = (stage.folder.path("ledger"), stage.folder.path("ledger-rewritten"));
    let lie = Lie::Blamed("housing-app", "patrol-app");
    let size = forge(&from, &to, &stage.folder.path("secrets/ledger.key"), &lie).map_err(|error| cannot_write(&to, &error))?;
    step.did(
        format!("{}：{size} 条全部重写，凡 `housing-app` 一律改为 `patrol-app`，重新计算并签名", to.display()),
        format!("{}: all {size} entries written anew, every `housing-app` now a `patrol-app`, hashed and signed again", to.display()),
    );
    let [kept, seen, key, from, to] = [stage.folder.path(KEPT), stage.folder.path(WITNESSED), from.join("log.vkey"), from, to]
        .map(|path| path.to_string_lossy().into_owned());
    let alone = stage.run(step, &["ledger", "verify", "--ledger", &to, "--key", &key], "")?;
    succeeded(step, &alone);
    refused_by_witness(stage, step, honest, &to)?;
    let since = ["ledger", "verify", "--key", &key, "--since", &seen, "--ledger"];
    let original = stage.run(step, &[&since[..], &[&from]].concat(), "")?;
    step.equal(
        "原件延续见证方的检查点：退出码",
        "the original extends the witness's checkpoint: exit code",
        0,
        original.code.unwrap_or(-1),
    );
    let forged = stage.run(step, &[&since[..], &[&to]].concat(), "")?;
    step.equal("重写的台账与之不符：退出码", "the rewritten log does not: exit code", 1, forged.code.unwrap_or(-1));
    let receipt = ["ledger", "verify", "--receipt", &kept, "--key", &key, "--log", &to];
    let broken = stage.run(step, &receipt, "")?;
    step.equal("也不守回执之信：退出码", "nor does it keep the receipt's word: exit code", 1, broken.code.unwrap_or(-1));
    let answer = stage.ask(&[&receipt[..], &["--format", "json"]].concat(), "")?;
    let verdict: Value = serde_json::from_str(&answer.out).unwrap_or_default();
    step.equal("回执签名成立", "the receipt's signature holds", true, &verdict["promises"]["signed"]);
    step.equal("台账自相矛盾", "the log contradicts itself", true, &verdict["exposed"]);
    Ok(())
}

/// Waits until the witness has cosigned what was shared, and keeps its checkpoint as an auditor would; how much it covers.
fn witnessed(stage: &Stage, step: &mut Step, index: u64) -> Result<u64, Trouble> {
    let size_of = |note: &str| note.lines().nth(1).and_then(|size| size.parse::<u64>().ok()).unwrap_or_default();
    // The share and its settlement.
    let begun = sys::instant();
    while size_of(&stage.folder.read("ledger/checkpoint.witnessed").unwrap_or_default()) < index + 2
        && begun.elapsed() < Duration::from_secs(10)
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = stage.call_at(&stage.witness.url, step, &Call::get("/checkpoint?origin=gw-1.demo.example"))?;
    let note = String::from_utf8_lossy(&answer.content).into_owned();
    let size = size_of(&note);
    step.holds("见证方已联署，涵盖此次提供", "the witness has cosigned this share", size >= index + 2, size);
    stage.folder.write(WITNESSED, &note)?;
    Ok(size)
}

/// The rewritten log is put to the witness, as its gateway would have to.
fn refused_by_witness(stage: &Stage, step: &mut Step, old: u64, ledger: &str) -> Result<(), Trouble> {
    let path = std::path::Path::new(ledger).join("checkpoint");
    let forged = fs::read_to_string(&path).map_err(|error| cannot_write(&path, &error))?;
    stage.folder.write(SUBMISSION, &format!("old {old}\n\n{forged}"))?;
    let answer = stage.call_at(&stage.witness.url, step, &Call::post_file("/add-checkpoint", SUBMISSION))?;
    // Another root of the same size (409), or a longer history that does not extend what was cosigned (422).
    step.holds("见证方拒绝联署：状态码", "the witness does not cosign it: status", matches!(answer.status, 409 | 422), answer.status);
    Ok(())
}
