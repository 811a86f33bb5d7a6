//! `kanhe policy explain`: why a recorded or supposed call comes out as it does, and who may get what.

mod call;
mod people;
mod programs;
mod survey;

pub(super) use call::not_a_call;
use clap::Args;
use jiff::tz::TimeZone;

use super::{Exit, Settings, entry, load_configured, open_config, print_trouble};
use crate::cli::{Format, out};
use crate::lang::Text;
use crate::policy::explain::{Alternatives, RegionWhy};
use crate::policy::supposed::Supposed;
use crate::replay::{self, Recorded};
use crate::snapshot::Snapshot;

/// Arguments of `kanhe policy explain`.
#[derive(Args)]
pub(super) struct ExplainArgs {
    /// 台账序号；不写则按下列选项设想一次调用 · index of a recorded entry; without it, a call is supposed
    #[arg(conflicts_with_all = ["requester", "resource", "who"])]
    index: Option<u64>,
    #[command(flatten)]
    call: call::CallArgs,
    /// 该行政区划的记录会否提供，可写几个 · whether records of this region are shown; may be repeated
    #[arg(long = "region", value_name = "CODE", conflicts_with_all = ["who", "item"])]
    regions: Vec<String>,
    /// 谁能得到某数据项 · who may get the item
    #[arg(long)]
    who: bool,
    /// 数据项 RESOURCE#ITEM · the item, RESOURCE#ITEM
    #[arg(long, value_name = "RESOURCE#ITEM")]
    item: Option<String>,
}

/// Exit 0: let pass, or somebody gets something; 1: not; 2: the question could not be answered.
pub(super) fn run(args: ExplainArgs, settings: &Settings) -> Exit {
    let done = match args.index {
        Some(index) => recorded(index, &args.regions, settings),
        None if args.call.is_whole() => supposed(&args, settings),
        None if args.regions.is_empty() => survey::run(&args, settings),
        None => {
            let message = Text::new(
                "`--region` 须与序号，或与 `--requester` 和 `--resource` 同用",
                "`--region` goes with an index, or with `--requester` and `--resource`",
            );
            print_trouble(&message, settings);
            Err(Exit::Trouble)
        }
    };
    done.unwrap_or_else(|exit| exit)
}

fn recorded(index: u64, regions: &[String], settings: &Settings) -> Result<Exit, Exit> {
    let config = open_config(settings)?;
    let bytes = entry(&config.ledger.folder, index, settings)?;
    let trouble = |text| {
        print_trouble(&text, settings);
        Exit::Trouble
    };
    let recorded = Recorded::read(&bytes).ok_or_else(|| trouble(call::not_a_call(index)))?;
    let snapshot = replay::snapshot(&config.ledger.folder, recorded.snapshot.as_deref()).map_err(|error| trouble(error.text()))?;
    let mut supposed = recorded.supposed(&snapshot, None).map_err(|error| trouble(error.text()))?;
    supposed.given.emergency = recorded.emergency;
    supposed.given.work_time = recorded.work_time;
    let alternatives = Alternatives { networks: config.networks.names() };
    Ok(tell(Some((index, &recorded)), (&supposed, regions), &snapshot, &alternatives, settings))
}

fn supposed(args: &ExplainArgs, settings: &Settings) -> Result<Exit, Exit> {
    let config = open_config(settings)?;
    let snapshot = load_configured(settings)?;
    let supposed = args.call.suppose(&snapshot, &config.networks).map_err(|text| {
        print_trouble(&text, settings);
        Exit::Trouble
    })?;
    let alternatives = Alternatives { networks: config.networks.names() };
    Ok(tell(None, (&supposed, &args.regions), &snapshot, &alternatives, settings))
}

/// A call as it is told: where it is recorded, and under which snapshot.
struct Told<'t> {
    entry: Option<(u64, &'t Recorded<'t>)>,
    supposed: &'t Supposed,
    snapshot: &'t str,
    zone: &'t TimeZone,
    regions: Vec<RegionWhy>,
}

fn tell(
    entry: Option<(u64, &Recorded<'_>)>,
    (supposed, regions): (&Supposed, &[String]),
    snapshot: &Snapshot,
    alternatives: &Alternatives,
    settings: &Settings,
) -> Exit {
    let explanation = snapshot.policies.explain(supposed, snapshot.world(), alternatives);
    let regions = snapshot.policies.explain_regions(supposed, snapshot.world(), regions);
    let told = Told { entry, supposed, regions, snapshot: &snapshot.digest, zone: &snapshot.parties.time_zone };
    match settings.format {
        Format::Json => out(&programs::explanation(&told, &explanation, settings.lang).to_string()),
        Format::Human => out(&people::explanation(&told, &explanation, settings.lang)),
    }
    if explanation.outcome == "allow" { Exit::Yes } else { Exit::No }
}
