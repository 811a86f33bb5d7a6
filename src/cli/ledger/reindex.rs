//! `kanhe ledger reindex`: makes the register anew from the log, gateway running or not.

use std::io::IsTerminal;

use super::super::{Exit, Settings, open_config, out, print_trouble};
use super::Trouble;
use crate::lang::Text;
use crate::ledger::{Register, register};

/// Runs to the end, or says why not.
pub(super) fn run(settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    if config.register == Register::Off {
        let en = "`[ledger] register` is `off`: there is no register to make";
        return Err(Trouble::Text(Text::new("`[ledger] register` 为 `off`：没有登记库可重建", en)));
    }
    if !config.folder.join("checkpoint").exists() {
        return Err(Trouble::reading(&config.folder)(std::io::ErrorKind::NotFound.into()));
    }
    let shows = std::io::stderr().is_terminal();
    let mut done = 0;
    let rebuilt = register::rebuild(&config.folder, |end, size| {
        // A line for every million is enough to see that it goes on.
        if shows && end / 1_000_000 > done / 1_000_000 {
            print_trouble(&Text::new(format!("已登记 {end} / {size} 条"), format!("{end} of {size} entries registered")), settings);
        }
        done = end;
        true
    });
    rebuilt
        .map_err(|broken| Trouble::Text(Text::new(format!("登记库未能重建：{broken}"), format!("the register was not made: {broken}"))))?;
    out(Text::new("登记库已由台账重建".to_owned(), "the register is made anew from the log".to_owned()).get(settings.lang));
    Ok(Exit::Yes)
}
