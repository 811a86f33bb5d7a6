//! What a requester holds, judged offline with the log's public key alone: the `Share-Receipt` of an answer, or a
//! bundle. Each says which promise holds: *signed*, the log put its name to the entry; *included*, a signed checkpoint
//! covers it; *witnessed*, others saw that checkpoint too. Held against a log, either exposes one that left the entry out.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use serde::Deserialize;
use sfv::{BareItem, Item, Parser};
use tlog_tiles::{Hash, check_record, record_hash};

use super::keys::{Seen, Witness};
use super::log::Log;
use super::{Keys, Signed};
use crate::lang::Text;

/// Which promises hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// What was judged: a field's value, not a bundle.
    pub field: bool,
    /// The log's name, as the receipt says it.
    pub origin: String,
    /// Index of the entry.
    pub index: u64,
    /// Its leaf, base64.
    pub leaf: String,
    /// Index of the settled entry in a bundle.
    pub settled: Option<u64>,
    /// The log signed for the entry.
    pub signed: bool,
    /// Size of the signed tree that is proven to hold it.
    pub included: Option<u64>,
    /// Trusted witnesses that signed that tree.
    pub witnessed: Vec<String>,
    /// How many entries the witnesses had cosigned when the field was made: its word alone.
    pub told_witnessed: Option<u64>,
    /// When a trusted witness had not seen the entry yet, and when one first had: between the two it was published.
    pub between: (Option<Timestamp>, Option<Timestamp>),
    /// The log contradicts what it signed.
    pub exposed: bool,
    /// Why the receipt does not hold, or is not honoured.
    pub reason: Option<Text>,
}

/// What is asked of a receipt.
pub struct Question<'a> {
    /// Keys of the log; what a bundle brings along is never trusted.
    pub keys: &'a Keys,
    /// Witnesses whose signatures count.
    pub witnesses: &'a [Witness],
    /// An earlier checkpoint that the witnesses signed before the entry was there.
    pub earlier: Option<&'a [u8]>,
    /// A log's folder, a checkpoint or another bundle to hold the receipt against.
    pub against: Option<&'a Path>,
}

/// Judges the text of a receipt.
pub fn judge(text: &str, question: &Question<'_>) -> Finding {
    let mut finding = Finding::default();
    let judged =
        if text.trim_start().starts_with('{') { bundle(text, question, &mut finding) } else { field(text, question, &mut finding) };
    finding.reason = judged.err();
    finding
}

fn no(zh: &str, en: &str) -> Text {
    Text::new(zh, en)
}

/// A field's value, with or without its name.
fn field(text: &str, question: &Question<'_>, finding: &mut Finding) -> Result<(), Text> {
    finding.field = true;
    let not_one =
        || no("不是回执：既不是 Share-Receipt 的值，也不是回执包", "not a receipt: neither a value of Share-Receipt nor a bundle");
    let value = text.trim();
    let named = value.get(..14).filter(|name| name.eq_ignore_ascii_case("share-receipt:")).is_some();
    let value = if named { value.get(14..).unwrap_or_default().trim() } else { value };
    let item: Item = Parser::new(value).parse().map_err(|_| not_one())?;
    let number = |name: &str| item.params.get(name).and_then(BareItem::as_integer).and_then(|n| u64::try_from(i64::from(n)).ok());
    let bytes = |name: &str| item.params.get(name).and_then(BareItem::as_byte_sequence);
    item.bare_item.as_string().ok_or_else(not_one)?.as_str().clone_into(&mut finding.origin);
    finding.index = number("index").ok_or_else(not_one)?;
    let leaf: [u8; 32] = bytes("leaf").and_then(|leaf| leaf.try_into().ok()).ok_or_else(not_one)?;
    finding.leaf = BASE64_STANDARD.encode(leaf);
    finding.told_witnessed = number("witnessed");
    same_log(&finding.origin, question.keys)?;

    let unsigned = || no("回执没有签名，只是一项陈述", "the receipt is not signed: it is a mere statement");
    let (first, count) = (number("first").ok_or_else(unsigned)?, number("count").ok_or_else(unsigned)?);
    let (proof, signature) = (bytes("proof").ok_or_else(unsigned)?, bytes("sig").ok_or_else(unsigned)?);
    let key = item.params.get("key").and_then(BareItem::as_string).ok_or_else(unsigned)?;
    let position = finding.index.checked_sub(first).filter(|position| *position < count);
    let position = position.ok_or_else(|| no("回执的批次不包含此序号", "the batch of the receipt does not hold its index"))?;
    let (proof, rest) = proof.as_chunks::<32>();
    let root = rest.is_empty().then(|| root_of(leaf, position, count, proof)).flatten();
    let root = root.ok_or_else(|| no("回执的批次证明有误", "the proof within the batch is wrong"))?;
    let text = format!("kanhe batch v1\n{}\n{first}\n{count}\n{}\n", finding.origin, BASE64_STANDARD.encode(root));
    match question.keys.signed(key.as_str(), &text, signature) {
        Some(true) => finding.signed = true,
        Some(false) => return Err(no("回执的签名不成立", "the receipt's signature does not hold")),
        None => return Err(no("回执由另一把密钥签名", "the receipt is signed with a key that is not trusted")),
    }
    match question.against {
        Some(path) => against(path, Hash(leaf), None, question, finding),
        None => Ok(()),
    }
}

/// The root that a proof leads to (RFC 9162 section 2.1.3.2), whatever it is: the signature then says whether it is right.
fn root_of(leaf: [u8; 32], position: u64, count: u64, proof: &[[u8; 32]]) -> Option<[u8; 32]> {
    let (mut at, mut last, mut hash) = (position, count.checked_sub(1)?, Hash(leaf));
    let mut rest = proof.iter().map(|hash| Hash(*hash));
    while last > 0 {
        if at % 2 == 1 {
            hash = tlog_tiles::node_hash(rest.next()?, hash);
        } else if at < last {
            hash = tlog_tiles::node_hash(hash, rest.next()?);
        }
        (at, last) = (at / 2, last / 2);
    }
    rest.next().is_none().then_some(hash.0)
}

#[derive(Deserialize)]
struct Bundle {
    v: u64,
    origin: String,
    index: u64,
    entry: String,
    settled: Option<Settled>,
    proof: Vec<String>,
    checkpoint: String,
}

#[derive(Deserialize)]
struct Settled {
    index: u64,
    entry: String,
    proof: Vec<String>,
}

#[derive(Deserialize)]
struct Settles {
    kind: String,
    receipt_of: u64,
}

fn decoded(text: &str) -> Result<Vec<u8>, Text> {
    BASE64_STANDARD.decode(text).map_err(|error| Text::new(format!("Base64 有误：{error}"), format!("base64: {error}")))
}

fn read_bundle(text: &str) -> Result<Bundle, Text> {
    let bundle: Bundle =
        serde_json::from_str(text).map_err(|error| Text::new(format!("不是回执包：{error}"), format!("not a bundle: {error}")))?;
    if bundle.v == 1 { Ok(bundle) } else { Err(no("未知的回执包版本", "a bundle of an unknown version")) }
}

/// The leaf of an entry that is proven to be under the signed root.
fn proven(entry: &str, index: u64, proof: &[String], signed: &Signed) -> Result<Hash, Text> {
    let leaf = record_hash(&decoded(entry)?);
    let hash = |text: &String| {
        decoded(text)?.try_into().map(Hash).map_err(|_| no("证明中有长度不符的哈希", "a hash of the proof is not 32 bytes"))
    };
    let proof = proof.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
    let wrong = |_| {
        Text::new(format!("第 {index} 条的包含证明不成立"), format!("the proof that entry {index} is under the signed root does not hold"))
    };
    check_record(&proof, signed.size, signed.root, index, leaf).map_err(wrong)?;
    Ok(leaf)
}

fn bundle(text: &str, question: &Question<'_>, finding: &mut Finding) -> Result<(), Text> {
    let bundle = read_bundle(text)?;
    finding.origin.clone_from(&bundle.origin);
    finding.index = bundle.index;
    finding.leaf = BASE64_STANDARD.encode(record_hash(&decoded(&bundle.entry)?).0);
    same_log(&bundle.origin, question.keys)?;
    let signed = question.keys.checkpoint(bundle.checkpoint.as_bytes())?;
    let leaf = proven(&bundle.entry, bundle.index, &bundle.proof, &signed)?;
    if let Some(settled) = &bundle.settled {
        proven(&settled.entry, settled.index, &settled.proof, &signed)?;
        let entry = serde_json::from_slice::<Settles>(&decoded(&settled.entry)?);
        if !entry.is_ok_and(|entry| entry.kind == "share.settled" && entry.receipt_of == bundle.index) {
            return Err(no("结清记录属于另一次提供", "the settled entry is that of another share"));
        }
        finding.settled = Some(settled.index);
    }
    (finding.signed, finding.included) = (true, Some(signed.size));
    let saw = |note: &[u8]| question.witnesses.iter().filter_map(|witness| Some((witness, witness.saw(note)?))).collect::<Vec<_>>();
    let seen = saw(bundle.checkpoint.as_bytes());
    finding.witnessed = seen.iter().map(|(witness, _)| witness.name().to_owned()).collect();
    finding.between.1 = seen.iter().filter_map(|(_, seen)| seen.time).min();
    if let Some(earlier) = question.earlier {
        finding.between.0 = Some(not_yet(earlier, bundle.index, &seen, question)?);
    }
    match question.against {
        Some(path) => against(path, leaf, Some(&signed), question, finding),
        None => Ok(()),
    }
}

/// When a witness signed an earlier checkpoint without the entry. It must have signed the later one as well: that one
/// continues the other is its word.
fn not_yet(earlier: &[u8], index: u64, seen: &[(&Witness, Seen)], question: &Question<'_>) -> Result<Timestamp, Text> {
    let signed = question.keys.checkpoint(earlier)?;
    if index < signed.size {
        let (zh, en) = (
            format!("先前的检查点（{} 条）已包含第 {index} 条：请用更早的", signed.size),
            format!("the earlier checkpoint of {} entries holds entry {index} already: take one from before it", signed.size),
        );
        return Err(Text::new(zh, en));
    }
    let times = seen.iter().filter_map(|(witness, _)| witness.saw(earlier)?.time);
    times
        .max()
        .ok_or_else(|| no("没有一个可信的见证方为两个检查点都注明时间会签", "no trusted witness signed both checkpoints with its time"))
}

fn same_log(origin: &str, keys: &Keys) -> Result<(), Text> {
    if origin == keys.name() {
        return Ok(());
    }
    let name = keys.name();
    Err(Text::new(
        format!("回执属于台账 `{origin}`，公钥属于 `{name}`"),
        format!("the receipt is of the log `{origin}`, the key of `{name}`"),
    ))
}

/// Holds a receipt that is signed against a log.
fn against(path: &Path, leaf: Hash, seen: Option<&Signed>, question: &Question<'_>, finding: &mut Finding) -> Result<(), Text> {
    if path.is_dir() {
        return against_log(&Log::open(path, question.keys)?, leaf, seen, finding);
    }
    let failed = |error| Text::new(format!("`{}`：{error}", path.display()), format!("`{}`: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let (other, held) = if text.trim_start().starts_with('{') {
        let bundle = read_bundle(&text)?;
        let signed = question.keys.checkpoint(bundle.checkpoint.as_bytes())?;
        let held = proven(&bundle.entry, bundle.index, &bundle.proof, &signed)?;
        (signed, (bundle.index == finding.index).then_some(held))
    } else {
        (question.keys.checkpoint(text.as_bytes())?, None)
    };
    if let Some(held) = held {
        return held_to(held, leaf, other.size, finding);
    }
    match seen.filter(|seen| seen.size == other.size) {
        Some(seen) if seen.root != other.root => {
            finding.exposed = true;
            Err(no("台账就同样多的记录签署了两个不同的根", "the log signed two roots over as many entries"))
        }
        Some(_) => Ok(()),
        None => covered(other.size, finding),
    }
}

fn against_log(log: &Log<'_>, leaf: Hash, seen: Option<&Signed>, finding: &mut Finding) -> Result<(), Text> {
    let size = log.signed.size;
    if let Some(seen) = seen
        && !log.continues(seen)?
    {
        finding.exposed = true;
        let (zh, en) = (
            format!("台账（{size} 条）不是它曾签署的 {} 条记录的延续：记录被删除或改动", seen.size),
            format!(
                "the log of {size} entries does not continue the {} entries that it signed: entries were removed or changed",
                seen.size
            ),
        );
        return Err(Text::new(zh, en));
    }
    covered(size, finding)?;
    held_to(log.leaf(finding.index)?, leaf, size, finding)
}

/// Whether a log of this size could hold the entry at all.
fn covered(size: u64, finding: &Finding) -> Result<(), Text> {
    let index = finding.index;
    if index < size {
        return Ok(());
    }
    Err(Text::new(
        format!("台账只签署到 {size} 条，尚未包含第 {index} 条；超过检查点间隔仍未包含，即为违背承诺"),
        format!(
            "the log has signed {size} entries, entry {index} not among them: once the checkpoint interval is over, that is a promise broken"
        ),
    ))
}

fn held_to(held: Hash, leaf: Hash, size: u64, finding: &mut Finding) -> Result<(), Text> {
    let index = finding.index;
    if held == leaf {
        finding.included = Some(size);
        return Ok(());
    }
    finding.exposed = true;
    Err(Text::new(
        format!("台账签署过第 {index} 条，其中却是另一条记录：记录被删除或改动"),
        format!("the log signed for entry {index} and holds another in its place: entries were removed or changed"),
    ))
}
