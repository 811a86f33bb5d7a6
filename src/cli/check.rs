//! `kanhe check`: loads all that `serve` would, and binds nothing.

use clap::Args;
use serde_json::json;

use super::{Exit, Format, Settings, out};
use crate::app;
use crate::config::Config;
use crate::lang::{Lang, Text};
use crate::written::Problem;

/// Arguments of `kanhe check`.
#[derive(Args)]
pub struct CheckArgs {}

/// Exit 0: all is right; 1: load errors; 2: the configuration cannot be read.
pub fn run(_: CheckArgs, settings: &Settings) -> Exit {
    if let Err(error) = std::fs::metadata(&settings.config) {
        let path = settings.config.display();
        let text =
            Text::new(format!("无法读取配置文件 `{path}`：{error}"), format!("cannot read the configuration file `{path}`: {error}"));
        super::print_trouble(&text, settings);
        return Exit::Trouble;
    }
    let (errors, warnings) = match Config::read(&settings.config) {
        Ok(config) => match app::check(&config) {
            Ok(warnings) => (Vec::new(), warnings),
            Err(found) => found,
        },
        Err(errors) => (errors, Vec::new()),
    };
    match settings.format {
        Format::Json => {
            let list = |problems: &[Problem]| problems.iter().map(|problem| to_json(problem, settings.lang)).collect::<Vec<_>>();
            out(&json!({"ok": errors.is_empty(), "errors": list(&errors), "warnings": list(&warnings)}).to_string());
        }
        Format::Human => {
            super::print_problems(&errors, settings);
            super::print_problems(&warnings, settings);
            let (wrong, warned) = (errors.len(), warnings.len());
            let text = if wrong == 0 {
                Text::new(format!("检查通过，{warned} 条警告"), format!("all is right, {warned} warnings"))
            } else {
                Text::new(format!("{wrong} 处错误，{warned} 条警告"), format!("{wrong} errors, {warned} warnings"))
            };
            out(text.get(settings.lang));
        }
    }
    if errors.is_empty() { Exit::Yes } else { Exit::No }
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
