//! The commands: arguments and printing only. Exit codes: 0 yes, 1 no (denied, differs, not verified, test failed, load
//! errors), 2 trouble.

mod catalogue;
mod check;
mod demo;
mod excerpt;
mod ledger;
mod policy;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Config;
use crate::lang::{Lang, Text};
use crate::written::Problem;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON value, or one a line.
    Json,
}

/// As [`Format`] on the command line, with the one that only tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArgument {
    /// For people.
    Human,
    /// For programs: one JSON value, or one a line.
    Json,
    /// For spreadsheets: `ledger query` and `ledger report` only.
    Csv,
}

/// What every command is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// How results are printed.
    pub format: Format,
    /// As a table of comma-separated values instead; only commands that print tables are told so.
    pub csv: bool,
    /// In which language.
    pub lang: Lang,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Yes, or done.
    Yes,
    /// No: denied, differs, not verified, a test failed, or load errors.
    No,
    /// Trouble: the question could not be answered.
    Trouble,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Yes => Self::from(0),
            Exit::No => Self::from(1),
            Exit::Trouble => Self::from(2),
        }
    }
}

/// Reads the configuration, or prints everything that is wrong with it.
pub fn open_config(settings: &Settings) -> Result<Config, Exit> {
    Config::read(&settings.config).map_err(|problems| {
        print_problems(&problems, settings);
        Exit::Trouble
    })
}

/// Prints problems to standard error, one a line.
#[expect(clippy::print_stderr, reason = "a command tells people on standard error what is wrong")]
pub fn print_problems(problems: &[Problem], settings: &Settings) {
    for problem in problems {
        eprintln!("{}", problem.line(settings.lang));
    }
}

/// Tells people on standard error why a command could not answer.
#[expect(clippy::print_stderr, reason = "a command tells people on standard error what is wrong")]
pub fn print_trouble(text: &Text, settings: &Settings) {
    eprintln!("kanhe: {}", text.get(settings.lang));
}

/// Prints one line of a result. A reader that went away ends nothing but the printing.
pub fn out(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[derive(Parser)]
#[command(name = "kanhe", version, about = "政务数据共享的策略网关 · a policy-driven gateway for sharing government data")]
struct Arguments {
    /// 配置文件 · the configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "./kanhe.toml")]
    config: PathBuf,
    /// 输出格式 · how results are printed
    #[arg(long, global = true, value_enum, default_value = "human")]
    format: FormatArgument,
    /// 语言（默认随 LANG）· zh or en (by default as LANG says)
    #[arg(long, global = true, value_name = "zh|en")]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 运行演示 · run the demonstration
    Demo(demo::DemoArgs),
    /// 运行网关 · run the gateway
    Serve(serve::ServeArgs),
    /// 检查配置与控制目录 · check configuration and control folder
    Check(check::CheckArgs),
    /// 策略 · policies
    Policy(policy::PolicyArgs),
    /// 数据目录 · the catalogue
    Catalogue(catalogue::CatalogueArgs),
    /// 共享台账 · the ledger
    Ledger(ledger::LedgerArgs),
}

/// Reads the arguments and runs the command.
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
            // A closed standard output leaves nobody to tell.
            let _ = error.print();
            return if asked { Exit::Yes } else { Exit::Trouble };
        }
    };
    let lang = arguments.lang.unwrap_or_else(|| {
        let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let named = variables.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
        named.and_then(|tag| Lang::from_tag(&tag)).unwrap_or_default()
    });
    let format = if arguments.format == FormatArgument::Json { Format::Json } else { Format::Human };
    let csv = arguments.format == FormatArgument::Csv;
    let settings = Settings { config: arguments.config, format, csv, lang };
    let is_table = matches!(&arguments.command, Command::Ledger(args) if args.prints_a_table());
    if csv && !is_table {
        let en = "`--format csv` is for `ledger query` and `ledger report`: write `human` or `json`";
        print_trouble(&Text::new("`--format csv` 只用于 `ledger query` 和 `ledger report`：请写 `human` 或 `json`", en), &settings);
        return Exit::Trouble;
    }
    match arguments.command {
        Command::Demo(args) => demo::run(args, &settings),
        Command::Serve(args) => serve::run(&args, &settings),
        Command::Check(args) => check::run(args, &settings),
        Command::Policy(args) => policy::run(args, &settings),
        Command::Catalogue(args) => catalogue::run(args, &settings),
        Command::Ledger(args) => ledger::run(args, &settings),
    }
}
