//! `kanhe policy format`: lays out Cedar files alike.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Settings, open_config, print_problems, print_trouble};
use crate::cli::out;
use crate::lang::Text;
use crate::policy::format::format;

/// Arguments of `kanhe policy format`.
#[derive(Args)]
pub(super) struct FormatArgs {
    /// 文件（默认控制目录下的全部策略和不变式）；`-` 由标准输入读取并写到标准输出
    /// · files (by default all of the control folder); `-` reads standard input and writes standard output
    files: Vec<PathBuf>,
    /// 只检查，不改写 · change nothing, only tell what would be
    #[arg(long)]
    check: bool,
}

/// Exit 0: all are laid out (now); 1: `--check` found some that are not; 2: a file cannot be read, written or understood.
pub(super) fn run(args: &FormatArgs, settings: &Settings) -> Exit {
    if let [file] = args.files.as_slice()
        && file == Path::new("-")
    {
        return filter(args.check, settings);
    }
    let files = if args.files.is_empty() {
        match open_config(settings) {
            Ok(config) => {
                [config.control.clone(), config.control.join("invariants")].iter().flat_map(|folder| cedar_files(folder)).collect()
            }
            Err(exit) => return exit,
        }
    } else {
        args.files.clone()
    };
    let mut exit = Exit::Yes;
    for file in &files {
        match lay_out(file, args.check, settings) {
            Ok(false) => {}
            Ok(true) => {
                out(&file.display().to_string());
                if args.check && exit == Exit::Yes {
                    exit = Exit::No;
                }
            }
            Err(trouble) => exit = trouble,
        }
    }
    exit
}

/// An editor's filter: standard input to standard output.
fn filter(check: bool, settings: &Settings) -> Exit {
    let mut text = String::new();
    if let Err(error) = io::stdin().lock().read_to_string(&mut text) {
        return trouble(Path::new("-"), &error, settings);
    }
    match format("-", &text) {
        Ok(formatted) if check => {
            if formatted == text {
                Exit::Yes
            } else {
                Exit::No
            }
        }
        Ok(formatted) => match io::stdout().lock().write_all(formatted.as_bytes()) {
            Ok(()) => Exit::Yes,
            Err(error) => trouble(Path::new("-"), &error, settings),
        },
        Err(problems) => {
            print_problems(&problems, settings);
            Exit::Trouble
        }
    }
}

/// Whether the file is, or had to be, laid out otherwise.
fn lay_out(file: &Path, check: bool, settings: &Settings) -> Result<bool, Exit> {
    let text = fs::read_to_string(file).map_err(|error| trouble(file, &error, settings))?;
    let formatted = format(&file.display().to_string(), &text).map_err(|problems| {
        print_problems(&problems, settings);
        Exit::Trouble
    })?;
    if formatted == text {
        return Ok(false);
    }
    if !check {
        // Beside it and then in its place: a reload meanwhile sees the one or the other, whole.
        // Names that begin with a dot are not looked at.
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let beside = file.with_file_name(format!(".{name}.new"));
        fs::write(&beside, formatted).and_then(|()| fs::rename(&beside, file)).map_err(|error| trouble(file, &error, settings))?;
    }
    Ok(true)
}

fn trouble(file: &Path, error: &io::Error, settings: &Settings) -> Exit {
    let file = file.display();
    print_trouble(&Text::new(format!("`{file}`：{error}"), format!("`{file}`: {error}")), settings);
    Exit::Trouble
}

fn cedar_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file() && path.extension().is_some_and(|found| found == "cedar")).collect();
    files.sort();
    files
}
