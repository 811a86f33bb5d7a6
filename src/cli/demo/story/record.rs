//! Steps 8 to 10: who asked about me, and what happens to a ledger that somebody changed, or took a share out of.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::super::Trouble;
use super::super::folder::{cannot_write, copy};
use super::super::forger::{Lie, forge};
use super::super::gateway::Printed;
use super::super::people::applicant;
use super::step::{Step, text};
use super::{Scene, Stage, population_in_full};
use crate::sys;

/// In the order told.
pub(super) static SCENES: [Scene; 3] = [
    (
        "8",
        ("谁查询过我？", "who asked about me?"),
        (
            "身份证号从标准输入读入，只与带密钥的摘要比对；共享台账里没有一个人的号码。",
            "The number is read from standard input and compared as a keyed digest only; no person's number is in the ledger.",
        ),
        who_asked,
    ),
    (
        "9",
        ("共享台账副本被改动一个字节：验证指出该条", "one byte changed in a copy of the ledger: verify names the entry"),
        ("原件验证通过，副本不通过。", "The original verifies, the copy does not."),
        tampered,
    ),
    (
        "10",
        (
            "运维人员删去一次提供并重新签名：需求部门留存的回执揭穿",
            "an operator deletes a share and signs the log anew: the kept receipt exposes it",
        ),
        (
            "掌握密钥的人可以做出自身毫无破绽的台账；需求系统手中的签名回执与之矛盾。",
            "Whoever holds the key can make a log without fault in itself; the signed receipt in the requester's hands contradicts it.",
        ),
        rewritten,
    ),
];

fn who_asked(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let number = applicant().id_number();
    let printed = stage.run(step, &["ledger", "query", "--subject", "-"], &number)?;
    succeeded(step, &printed);
    let answer = stage.ask(&["ledger", "query", "--subject", "-", "--format", "json"], &number)?;
    let entries: Vec<Value> = answer.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let granted = entries.iter().filter(|found| found["entry"]["kind"] == "share.granted").count();
    // In 2a, 2b, 2c, twice in 3b and with the bound token. Patrol was refused before anyone read whom it was about.
    step.equal("六次提供", "six shares", 6, granted);
    step.equal(
        "均由住房保障系统发起",
        "all by housing's system",
        true,
        entries.iter().all(|found| found["entry"]["requester"] == "housing-app"),
    );
    step.equal("输出中没有号码", "the number is nowhere in it", false, printed.out.contains(&number) || answer.out.contains(&number));
    Ok(())
}

fn tampered(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let victim = stage.call(step, &population_in_full())?;
    let Some(index) = victim.receipt() else {
        step.shared(&victim);
        return Ok(());
    };
    wait_for_checkpoint(stage, index);
    let printed = stage.run(step, &["ledger", "verify"], "")?;
    succeeded(step, &printed);
    let (from, to) = (stage.folder.path("ledger"), stage.folder.path("ledger-copy"));
    copy(&from, &to).map_err(|error| cannot_write(&to, &error))?;
    let changed = flip(&to, index)?;
    step.did(
        format!("副本 {} 中第 {index} 条改动一个字节", changed.display()),
        format!("one byte of entry {index} changed in the copy {}", changed.display()),
    );
    let place = to.to_string_lossy().into_owned();
    let printed = stage.run(step, &["ledger", "verify", "--ledger", &place], "")?;
    step.equal("副本不通过：退出码", "the copy does not verify: exit code", 1, printed.code.unwrap_or_default());
    let answer = stage.ask(&["ledger", "verify", "--ledger", &place, "--format", "json"], "")?;
    let verdict: Value = serde_json::from_str(&answer.out).unwrap_or_default();
    step.equal("指出该条", "the entry is named", index, &verdict["first_bad"]["index"]);
    step.holds("并说明原因", "with a reason", !text(&verdict["first_bad"]["reason"]).is_empty(), &verdict["first_bad"]["reason"]);
    Ok(())
}

fn rewritten(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let victim = stage.call(step, &population_in_full())?;
    let Some(index) = victim.receipt() else {
        step.shared(&victim);
        return Ok(());
    };
    stage.folder.write("kept-receipt.txt", &format!("{}\n", victim.field("share-receipt")))?;
    // Life goes on: whatever is taken out, something else then stands in its place.
    let later = stage.call(step, &population_in_full())?;
    wait_for_checkpoint(stage, later.receipt().unwrap_or(index) + 1);
    let (from, to) = (stage.folder.path("ledger"), stage.folder.path("ledger-forged"));
    forge(&from, &to, &stage.folder.path("secrets/ledger.key"), &Lie::Gone(index)).map_err(|error| cannot_write(&to, &error))?;
    step.did(
        format!("{}：第 {index} 条及其结清记录已删去，其余重新排列、重新签名", to.display()),
        format!("{}: entry {index} and its settlement are gone, the rest put together and signed anew", to.display()),
    );
    let (kept, key) = (stage.folder.path("kept-receipt.txt"), from.join("log.vkey"));
    let [kept, key, from, to] = [kept, key, from, to].map(|path| path.to_string_lossy().into_owned());
    let printed = stage.run(step, &["ledger", "verify", "--ledger", &to, "--key", &key], "")?;
    succeeded(step, &printed);
    let receipt = ["ledger", "verify", "--receipt", &kept, "--key", &key, "--log"];
    let honest = stage.run(step, &[&receipt[..], &[&from]].concat(), "")?;
    step.equal("原件守信：退出码", "the original keeps its word: exit code", 0, honest.code.unwrap_or(-1));
    let forged = stage.run(step, &[&receipt[..], &[&to]].concat(), "")?;
    step.equal("伪造的台账不守信：退出码", "the forged log does not: exit code", 1, forged.code.unwrap_or(-1));
    let answer = stage.ask(&[&receipt[..], &[&to, "--format", "json"]].concat(), "")?;
    let verdict: Value = serde_json::from_str(&answer.out).unwrap_or_default();
    step.equal("签名成立", "the signature holds", true, &verdict["promises"]["signed"]);
    step.equal("台账自相矛盾", "the log contradicts itself", true, &verdict["exposed"]);
    Ok(())
}

pub(super) fn succeeded(step: &mut Step, printed: &Printed) {
    step.equal("退出码", "exit code", 0, printed.code.unwrap_or(-1));
}

/// The checkpoint follows the entries within its interval.
fn wait_for_checkpoint(stage: &Stage, index: u64) {
    let begun = sys::instant();
    while begun.elapsed() < Duration::from_secs(5) {
        let checkpoint = stage.folder.read("ledger/checkpoint").unwrap_or_default();
        if checkpoint.lines().nth(1).and_then(|size| size.parse::<u64>().ok()).is_some_and(|size| size > index) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Changes one byte in the middle of an entry, in every bundle of the copy that holds it.
fn flip(ledger: &Path, index: u64) -> Result<PathBuf, Trouble> {
    let mut changed = None;
    for path in bundles(ledger, index / 256) {
        let mut bytes = fs::read(&path).map_err(|error| cannot_write(&path, &error))?;
        if let Some((start, length)) = locate(&bytes, usize::try_from(index % 256).unwrap_or_default()) {
            if let Some(byte) = bytes.get_mut(start + length / 2) {
                *byte ^= 0x01;
            }
            fs::write(&path, &bytes).map_err(|error| cannot_write(&path, &error))?;
            changed = Some(path);
        }
    }
    changed.ok_or_else(|| Trouble::new(format!("副本中没有第 {index} 条"), format!("the copy holds no entry {index}")))
}

/// The full bundle, and the partial ones, of a tile (C2SP tlog-tiles: three digits a folder, `x` before all but the last).
fn bundles(ledger: &Path, tile: u64) -> Vec<PathBuf> {
    let mut name = format!("{:03}", tile % 1000);
    let mut rest = tile / 1000;
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    let full = ledger.join("tile/entries").join(&name);
    let partial = ledger.join("tile/entries").join(format!("{name}.p"));
    let mut found: Vec<PathBuf> = fs::read_dir(partial).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    if full.is_file() {
        found.push(full);
    }
    found
}

/// Where the n-th entry of a bundle stands: each is its length in two bytes, then its bytes.
fn locate(bundle: &[u8], n: usize) -> Option<(usize, usize)> {
    let mut at = 0;
    for _ in 0..n {
        at += 2 + usize::from(u16::from_be_bytes([*bundle.get(at)?, *bundle.get(at + 1)?]));
    }
    let length = usize::from(u16::from_be_bytes([*bundle.get(at)?, *bundle.get(at + 1)?]));
    bundle.get(at + 2..at + 2 + length).map(|_| (at + 2, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_changed_lies_in_the_entry_meant() {
        let ledger = std::env::temp_dir().join(format!("kanhe-demo-flip-{}", hex::encode(sys::random::<6>())));
        fs::create_dir_all(ledger.join("tile/entries/000.p")).unwrap();
        let bundle = b"\x00\x03abc\x00\x05defgh\x00\x02ij";
        fs::write(ledger.join("tile/entries/000.p/3"), bundle).unwrap();
        fs::write(ledger.join("tile/entries/000.p/1"), &bundle[..5]).unwrap();
        let changed = flip(&ledger, 1).unwrap();
        assert!(changed.ends_with("000.p/3"));
        assert_eq!(fs::read(changed).unwrap(), b"\x00\x03abc\x00\x05deggh\x00\x02ij");
        assert_eq!(fs::read(ledger.join("tile/entries/000.p/1")).unwrap(), &bundle[..5]);
        assert!(flip(&ledger, 7).is_err());
        fs::remove_dir_all(ledger).unwrap();
    }

    #[test]
    fn large_tile_numbers_are_spread_over_folders() {
        assert_eq!(locate(b"\x00\x01a", 1), None);
        assert!(bundles(Path::new("/nowhere"), 1_234_067).is_empty());
    }
}
