//! `[control]`: where the control folder is, and what a snapshot of it must pass before it is put in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use signed_note::{StandardVerifier, Verifier as _};

use crate::lang::Text;
use crate::written::{Table, units};

/// The shortest interval at which the folder is looked at.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);

/// One part of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// It loads without a warning.
    Check,
    /// It has test cases, and all come out as told.
    Test,
    /// Every invariant, and that no policy errs, is proved.
    Prove,
    /// No call that the ledger holds would be allowed that was refused, or show more than it did.
    Replay,
}

impl Requirement {
    /// The word in `require` and in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Test => "test",
            Self::Prove => "prove",
            Self::Replay => "replay",
        }
    }
}

const REQUIREMENTS: [Requirement; 4] = [Requirement::Check, Requirement::Test, Requirement::Prove, Requirement::Replay];

/// `[control]` without its `folder`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publishing {
    /// What must hold.
    pub require: BTreeSet<Requirement>,
    /// How many people must have approved.
    pub approvals: usize,
    /// Their verifier keys, as C2SP signed-note writes them.
    pub approvers: Vec<Arc<str>>,
    /// Where their signed notes are.
    pub approval_folder: PathBuf,
    /// A control folder that is decided beside the one in force, and never enforced.
    pub shadow: Option<PathBuf>,
    /// How often the folders are looked at for changes; none: a reload is asked for.
    pub watch: Option<Duration>,
}

impl Publishing {
    /// Reads `[control]`; the control folder comes first.
    pub fn read(table: Table<'_, '_>, base: &Path) -> Option<(PathBuf, Self)> {
        let folder = table.filled("folder").map(|folder| base.join(folder.value));
        let mut publishing = Self { approval_folder: base.join("approvals"), ..Self::default() };
        for word in table.strings("require") {
            match REQUIREMENTS.iter().find(|requirement| requirement.name() == word.value) {
                Some(requirement) => {
                    publishing.require.insert(*requirement);
                }
                None => {
                    let message = Text::new(format!("没有 `{}` 这项要求", word.value), format!("there is no requirement `{}`", word.value));
                    let words: Vec<_> = REQUIREMENTS.iter().map(|requirement| format!("`{}`", requirement.name())).collect();
                    let words = words.join(", ");
                    let help = Text::new(format!("可用：{words}"), format!("there are {words}"));
                    table.problems().error(&word.place, "wrong_value", message, Some(help));
                }
            }
        }
        for word in table.strings("approvers") {
            match StandardVerifier::new(&word.value) {
                Ok(key) if publishing.approvers.iter().any(|known| name_of(known) == key.name()) => {
                    let name = key.name();
                    let message = Text::new(format!("审批人 `{name}` 重复"), format!("approver `{name}` is listed twice"));
                    table.problems().error(&word.place, "wrong_value", message, None);
                }
                Ok(_) => publishing.approvers.push(word.value.into()),
                Err(error) => {
                    let message = Text::new(format!("验签公钥无法识别：{error}"), format!("the verifier key cannot be read: {error}"));
                    let help = Text::new("用 `kanhe policy keygen` 生成", "`kanhe policy keygen` makes one");
                    table.problems().error(&word.place, "wrong_value", message, Some(help));
                }
            }
        }
        let most = i64::try_from(publishing.approvers.len()).unwrap_or(i64::MAX);
        let approvals = table.opt_integer("approvals", 0..=64).unwrap_or(0);
        if approvals > most {
            let message = Text::new(
                format!("要求 {approvals} 人批准，而 `approvers` 只有 {most} 人"),
                format!("{approvals} approvals are required, but `approvers` lists {most}"),
            );
            table.error("approvals", "wrong_value", message, None);
        }
        publishing.approvals = usize::try_from(approvals).unwrap_or(0);
        if let Some(folder) = table.opt_string("approval_folder") {
            publishing.approval_folder = base.join(folder.value);
        }
        publishing.shadow = table.opt_string("shadow").filter(|shadow| !shadow.value.is_empty()).map(|shadow| base.join(shadow.value));
        publishing.watch = table.opt_parsed("watch", interval).and_then(|watch| watch.value);
        table.finish();
        Some((folder?, publishing))
    }
}

/// The name in a verifier key.
pub(super) fn name_of(key: &str) -> &str {
    key.split_once('+').map_or(key, |(name, _)| name)
}

fn interval(text: &str) -> Result<Option<Duration>, Text> {
    if text == "off" {
        return Ok(None);
    }
    match units::duration(text) {
        Ok(interval) if interval >= SHORTEST_WATCH => Ok(Some(interval)),
        _ => Err(Text::new("应为 `off` 或不短于 100ms 的时长，例如 `500ms`", "`off`, or a duration of at least 100ms, such as `500ms`")),
    }
}
