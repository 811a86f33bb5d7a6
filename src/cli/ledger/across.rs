//! `kanhe ledger query --log`: asks the database that several gateways fill.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::super::{Exit, Format, Settings};
use super::Trouble;
use crate::lang::Text;
use crate::ledger::Config;
use crate::ledger::query::Filter;
use crate::ledger::register::Registered;

/// Prints the entries that fit, of the log of this name or of all, by time.
pub(super) fn run(config: &Config, log: &str, filter: &Filter, limit: u64, count: bool, settings: &Settings) -> Result<Exit, Trouble> {
    let Some(database) = &config.database else {
        let zh = "`--log` 检索各网关共用的登记库：请在 `[ledger] register` 写 `postgres://…`";
        return Err(Trouble::Text(Text::new(
            zh,
            "`--log` asks the register of several gateways: `[ledger] register` must be `postgres://…`",
        )));
    };
    let log = Some(log).filter(|log| *log != "all");
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut found, mut printed) = (0, Ok(()));
    let each = |entry: Registered| {
        if found == limit {
            return ControlFlow::Break(());
        }
        found += 1;
        if !count {
            printed = write(&mut out, &entry, settings.format);
        }
        if printed.is_ok() && found < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    database.search(log, filter, each).map_err(|broken| {
        Trouble::Text(Text::new(format!("登记库无法检索：{broken}"), format!("the register cannot be asked: {broken}")))
    })?;
    if count {
        printed = match settings.format {
            Format::Json => writeln!(out, r#"{{"count":{found}}}"#),
            Format::Human => writeln!(out, "{found}"),
        };
    }
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}

/// The entry's exact bytes within one line, as other queries print them, with the log's name before it.
fn write(out: &mut impl Write, found: &Registered, format: Format) -> io::Result<()> {
    let Registered { log, index, entry } = found;
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
