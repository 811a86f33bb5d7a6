//! The commands: arguments and printing only. Exit codes: 0 yes, 1 no (denied, differs, not verified, test failed, load
//! errors), 2 trouble.

pub mod demo;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::lang::Lang;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON value, or one a line.
    Json,
}

/// What every command is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// How results are printed.
    pub format: Format,
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
