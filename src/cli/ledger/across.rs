//! `kanhe ledger query --log`: asks the database that several gateways fill. With `--prove`, what it returns is held against
//! the logs that signed it.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::super::{Exit, Format, Settings, print_trouble};
use super::{Trouble, verify};
use crate::lang::Text;
use crate::ledger::Config;
use crate::ledger::query::Filter;
use crate::ledger::register::Registered;
use crate::ledger::verify::Keys;
use crate::ledger::verify::rows::{Prover, Unproven};

/// What rows are held against: this gateway's own log, and copies of others.
pub(super) fn prover(config: &Config, copies: &[PathBuf], keys: &[String]) -> Result<Prover, Trouble> {
    let keys = keys.iter().map(|key| Keys::parse(&verify::written(key)?).map_err(Trouble::Text));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let mut prover = Prover::begin();
    for folder in std::iter::once(&config.folder).chain(copies) {
        prover.add(folder, &keys).map_err(Trouble::Text)?;
    }
    Ok(prover)
}

/// Prints the entries that fit, of the log of this name or of all, by time: at most so many, or only how many.
pub(super) fn run(
    config: &Config,
    log: &str,
    filter: &Filter,
    mut proof: Option<Prover>,
    (limit, count): (u64, bool),
    settings: &Settings,
) -> Result<Exit, Trouble> {
    let Some(database) = &config.database else {
        let zh = "`--log` 和 `--prove` 检索各网关共用的登记库：请在 `[ledger] register` 写 `postgres://…`";
        return Err(Trouble::Text(Text::new(
            zh,
            "`--log` and `--prove` ask the register of several gateways: `[ledger] register` must be `postgres://…`",
        )));
    };
    let log = Some(log).filter(|log| *log != "all");
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut found, mut printed, mut proven) = (0, Ok(()), true);
    let mut name = |unproven: &Unproven| {
        proven = false;
        say_unproven(unproven, settings);
    };
    let proving = proof.is_some();
    let each = |entry: Registered| {
        if found == limit {
            return ControlFlow::Break(());
        }
        if let Some(Err(unproven)) = proof.as_mut().map(|proof| proof.row(&entry)) {
            unproven.iter().for_each(&mut name);
            return ControlFlow::Continue(());
        }
        found += 1;
        if !count {
            printed = write(&mut out, &entry, settings.format);
        }
        if printed.is_ok() && found < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    database.search(log, filter, proving, each).map_err(|broken| {
        Trouble::Text(Text::new(format!("登记库无法检索：{broken}"), format!("the register cannot be asked: {broken}")))
    })?;
    // Where only some were asked for, the others are not missing.
    if let Some(proof) = &mut proof
        && found < limit
    {
        proof.missing(log, filter, |unproven| name(&unproven));
    }
    if count {
        printed = match settings.format {
            Format::Json => writeln!(out, r#"{{"count":{found}}}"#),
            Format::Human => writeln!(out, "{found}"),
        };
    }
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(if proven { Exit::Yes } else { Exit::No })
}

fn say_unproven(unproven: &Unproven, settings: &Settings) {
    let Unproven { log, index, why } = unproven;
    let (zh, en) = match index {
        Some(index) => (format!("{log} 第 {index} 条"), format!("{log} entry {index}")),
        None => (log.clone(), log.clone()),
    };
    print_trouble(&Text::new(format!("未证明：{zh}：{}", why.zh), format!("not proven: {en}: {}", why.en)), settings);
}

/// The entry's exact bytes within one line, as other queries print them, with the log's name before it.
fn write(out: &mut impl Write, found: &Registered, format: Format) -> io::Result<()> {
    let Registered { log, index, entry, .. } = found;
    match format {
        Format::Json => {
            write!(out, r#"{{"log":{},"index":{index},"leaf":"{}","entry":"#, serde_json::Value::from(log.as_str()), found.leaf())?;
            out.write_all(entry)?;
            out.write_all(b"}\n")
        }
        Format::Human => {
            let entry = String::from_utf8_lossy(entry);
            writeln!(out, "{log} {index} {entry}")
        }
    }
}
