//! `kanhe check`: loads all that `serve` would, and binds nothing.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::excerpt::Excerpts;
use super::{Exit, Format, Settings, out};
use crate::app;
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

/// Errors, and warnings.
type Found = (Vec<Problem>, Vec<Problem>);

/// Exit 0: all is right; 1: load errors; 2: there is no configuration or no control folder to read.
pub fn run(args: CheckArgs, settings: &Settings) -> Exit {
    let (folder, (errors, warnings)) = match args.folder {
        Some(folder) => {
            let found = match Snapshot::load(&folder) {
                Ok((_, warnings)) => (Vec::new(), warnings),
                Err(Refused { errors, warnings }) => (errors, warnings),
            };
            (Some(folder), found)
        }
        None => match configured(settings) {
            Ok(found) => found,
            Err(exit) => return exit,
        },
    };
    report(&errors, &warnings, folder.as_deref(), settings);
    match folder {
        Some(folder) if !folder.is_dir() => Exit::Trouble,
        _ if errors.is_empty() => Exit::Yes,
        _ => Exit::No,
    }
}

/// The control folder that the configuration names, and what is wrong with either.
fn configured(settings: &Settings) -> Result<(Option<PathBuf>, Found), Exit> {
    if let Err(error) = std::fs::metadata(&settings.config) {
        let path = settings.config.display();
        let text =
            Text::new(format!("无法读取配置文件 `{path}`：{error}"), format!("cannot read the configuration file `{path}`: {error}"));
        super::print_trouble(&text, settings);
        return Err(Exit::Trouble);
    }
    Ok(match Config::read(&settings.config) {
        Ok(config) => {
            let found = app::check(&config).map_or_else(|found| found, |warnings| (Vec::new(), warnings));
            (Some(config.control), found)
        }
        Err(errors) => (None, (errors, Vec::new())),
    })
}

fn report(errors: &[Problem], warnings: &[Problem], folder: Option<&Path>, settings: &Settings) {
    match settings.format {
        Format::Json => {
            let list = |problems: &[Problem]| problems.iter().map(|problem| to_json(problem, settings.lang)).collect::<Vec<_>>();
            out(&json!({"ok": errors.is_empty(), "errors": list(errors), "warnings": list(warnings)}).to_string());
        }
        Format::Human => {
            let mut excerpts = Excerpts::new(folder);
            for problem in errors.iter().chain(&marked(warnings)) {
                super::print_problems(std::slice::from_ref(problem), settings);
                print_excerpt(problem, &mut excerpts);
            }
            let (wrong, warned) = (errors.len(), warnings.len());
            let text = if wrong == 0 {
                Text::new(format!("检查通过，{warned} 条警告"), format!("all is right, {warned} warnings"))
            } else {
                Text::new(format!("{wrong} 处错误，{warned} 条警告"), format!("{wrong} errors, {warned} warnings"))
            };
            out(text.get(settings.lang));
        }
    }
}

/// The line that a problem is in, beneath what is wrong with it.
#[expect(clippy::print_stderr, reason = "a command tells people on standard error what is wrong")]
fn print_excerpt(problem: &Problem, excerpts: &mut Excerpts) {
    if let Some(excerpt) = excerpts.of(problem) {
        eprintln!("{excerpt}");
    }
}

/// Warnings, so that people can tell them from errors.
fn marked(warnings: &[Problem]) -> Vec<Problem> {
    let mark = |text: &Text| Text::new(format!("提醒：{}", text.zh), format!("warning: {}", text.en));
    warnings.iter().map(|warning| Problem { message: mark(&warning.message), ..warning.clone() }).collect()
}

fn to_json(problem: &Problem, lang: Lang) -> serde_json::Value {
    let place = &problem.place;
    let mut value = json!({
        "file": &*place.file, "line": place.line, "column": place.column, "code": problem.code, "message": problem.message.get(lang),
    });
    if let (Some(help), Some(object)) = (&problem.help, value.as_object_mut()) {
        object.insert("help".to_owned(), json!(help.get(lang)));
    }
    value
}
