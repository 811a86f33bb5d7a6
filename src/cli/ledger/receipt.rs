//! `kanhe ledger receipt`: the bundle that proves a share offline, from the ledger's files.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::Trouble;
use crate::cli::{Exit, Settings, open_config, print_trouble};
use crate::lang::Text;
use crate::ledger::bundle::{Bundle, Signed};
use crate::ledger::query;
use crate::sys;

/// The longest wait for a running gateway's next checkpoint.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints the bundle of the entry at `index`.
pub(super) fn run(index: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let folder = &config.folder;
    if query::show(folder, index).map_err(Trouble::reading(folder))?.is_none() {
        print_trouble(&Text::new(format!("共享台账中没有第 {index} 条"), format!("the ledger has no entry {index}")), settings);
        return Ok(Exit::No);
    }
    let patience = (config.checkpoint_interval * 2 + Duration::from_secs(1)).min(PATIENCE);
    let begun = sys::instant();
    loop {
        // A running gateway may move the files between the checkpoint and the tiles.
        let waited = begun.elapsed() > patience;
        match read(folder, index) {
            Ok(Some(bundle)) if waited || !bundle.is_open() => {
                let line = serde_json::to_string(&bundle).map_err(|error| Trouble::reading(folder)(error.into()))?;
                writeln!(io::stdout().lock(), "{line}").map_err(Trouble::writing)?;
                return Ok(Exit::Yes);
            }
            Err(error) if waited => return Err(Trouble::reading(folder)(error)),
            Ok(None) if waited => {
                return Err(Trouble::Text(Text::new(
                    format!("检查点尚未包含第 {index} 条：启动网关后即可取得回执"),
                    format!("no checkpoint covers entry {index} yet: it has a receipt once the gateway was started again"),
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Under the checkpoint that others have seen too, where that covers share and settlement, as a gateway answers.
fn read(folder: &Path, index: u64) -> io::Result<Option<Bundle>> {
    let witnessed = Signed::witnessed(folder).and_then(|signed| signed.bundle(index).ok()?);
    if let Some(bundle) = witnessed.filter(|bundle| !bundle.is_open()) {
        return Ok(Some(bundle));
    }
    let note = std::fs::read(folder.join("checkpoint"))?;
    Signed::of(folder, &note)?.bundle(index)
}
