//! `kanhe check`: loads what `serve` would load, binds nothing, and tells everything that is wrong.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Format, Settings, out, print_trouble};
use crate::config::Config;
use crate::lang::{Lang, Text};
use crate::snapshot::{Refused, Snapshot};
use crate::written::Problem;

/// Arguments of `kanhe check`.
#[derive(Args)]
pub struct CheckArgs {
    /// 只检查此控制目录，不读配置文件 · this control folder only, without a configuration file
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Yes: it loads. No: it does not. Trouble: there is nothing to load.
pub fn run(args: CheckArgs, settings: &Settings) -> Exit {
    let folder = match args.folder {
        Some(folder) => folder,
        None => match Config::read(&settings.config) {
            Ok(config) => config.control,
            Err(errors) => {
                report(None, &errors, &[], settings);
                return if settings.config.is_file() { Exit::No } else { Exit::Trouble };
            }
        },
    };
    if !folder.is_dir() {
        let shown = folder.display();
        print_trouble(&Text::new(format!("控制目录 `{shown}` 不存在"), format!("there is no control folder `{shown}`")), settings);
        return Exit::Trouble;
    }
    match Snapshot::load(&folder) {
        Ok((snapshot, warnings)) => {
            report(Some(&snapshot), &[], &warnings, settings);
            Exit::Yes
        }
        Err(Refused { errors, warnings }) => {
            report(None, &errors, &warnings, settings);
            Exit::No
        }
    }
}

fn report(snapshot: Option<&Snapshot>, errors: &[Problem], warnings: &[Problem], settings: &Settings) {
    match settings.format {
        Format::Json => {
            let list = |problems: &[Problem]| problems.iter().map(|problem| as_json(problem, settings.lang)).collect::<Vec<_>>();
            let mut answer = json!({ "ok": errors.is_empty(), "errors": list(errors), "warnings": list(warnings) });
            if let Some(snapshot) = snapshot {
                answer["snapshot"] = Value::from(snapshot.digest.clone());
            }
            out(&answer.to_string());
        }
        Format::Human => {
            super::print_problems(errors, settings);
            print_warnings(warnings, settings);
            if let Some(snapshot) = snapshot {
                out(&summary(snapshot).get(settings.lang).to_owned());
            }
        }
    }
}

fn as_json(problem: &Problem, lang: Lang) -> Value {
    json!({
        "file": &*problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "code": problem.code,
        "message": problem.message.get(lang),
        "help": problem.help.as_ref().map(|help| help.get(lang)),
    })
}

#[expect(clippy::print_stderr, reason = "a command tells people on standard error what should be looked at")]
fn print_warnings(warnings: &[Problem], settings: &Settings) {
    let word = Text::new("提醒：", "warning: ");
    for warning in warnings {
        let marked = Problem {
            message: Text::new(format!("{}{}", word.zh, warning.message.zh), format!("{}{}", word.en, warning.message.en)),
            ..warning.clone()
        };
        eprintln!("{}", marked.line(settings.lang));
    }
}

fn summary(snapshot: &Snapshot) -> Text {
    let (digest, resources) = (&snapshot.digest, snapshot.catalogue.resources.len());
    let (scenarios, grants) = (snapshot.purposes.scenarios.len(), snapshot.purposes.grants.len());
    Text::new(
        format!("可以加载：数据资源 {resources} 个，场景 {scenarios} 个，授权 {grants} 份；快照 {digest}"),
        format!("loads: {resources} resources, {scenarios} scenarios, {grants} grants; snapshot {digest}"),
    )
}
