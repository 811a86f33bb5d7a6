//! `kanhe ledger erase`: forgets the salts of shares, so that their content can no longer be proven from a copy.

use std::io::{self, Write};

use clap::Args;
use serde_json::json;

use super::Trouble;
use super::query::read_number;
use crate::cli::{Exit, Format, Settings, open_config};
use crate::lang::Text;
use crate::ledger::{SubjectKeys, retention};

/// Which shares, and why.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// 各次提供的序号 · indices of the shares
    #[arg(value_name = "INDEX", required_unless_present = "subject", conflicts_with = "subject")]
    indices: Vec<u64>,
    /// 有关此人的各次提供；标识只从标准输入读取 · every share about a person, whose number is read from standard input
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    subject: Option<String>,
    /// 原因，记入台账 · why; recorded in the ledger
    #[arg(long)]
    reason: String,
}

/// Erases, and says how many salts there were.
pub(super) fn run(args: &EraseArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let folder = &config.folder;
    let indices = match args.subject.as_deref() {
        None => args.indices.clone(),
        Some("-") => {
            let number = read_number()?;
            let keys = SubjectKeys::read(&config.subject_key, &config.subject_keys_old).map_err(|error| Trouble::Text(error.text()))?;
            retention::shares_about(folder, keys.all_digests(&number)).map_err(Trouble::reading(folder))?
        }
        Some(_) => {
            let zh = "个人信息主体标识只从标准输入读取：请写 `--subject -`";
            return Err(Trouble::Text(Text::new(zh, "a person's number is read from standard input only: write `--subject -`")));
        }
    };
    let erased = retention::erase(folder, &indices, &args.reason).map_err(Trouble::forgetting(folder))?;
    let (asked, before) = (indices.len(), indices.len() - erased);
    let text = Text::new(
        format!("{asked} 次提供：已抹除 {erased} 个盐值，{before} 个此前已不存在"),
        format!("{asked} shares: {erased} salts erased, {before} were gone before"),
    );
    let line = match settings.format {
        Format::Json => json!({"shares": asked, "erased": erased}).to_string(),
        Format::Human => text.get(settings.lang).to_owned(),
    };
    writeln!(io::stdout().lock(), "{line}").map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}
