//! Why a ledger does not open, in both languages.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::lang::Text;

/// Why the ledger does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is none, and none was to be created.
    Missing {
        /// Where it should be.
        folder: PathBuf,
    },
    /// The system refused.
    Io {
        /// What could not be read or written.
        path: PathBuf,
        /// What the system said.
        message: String,
        /// Its number.
        errno: Option<i32>,
    },
    /// What lies there does not add up.
    Refused {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: Text,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), message: error.to_string(), errno: error.raw_os_error() }
    }

    pub(super) fn refused(path: &Path, zh: &str, en: &str) -> Self {
        Self::Refused { path: path.to_owned(), reason: Text::new(zh, en) }
    }

    /// The message for people.
    pub fn text(&self) -> Text {
        match self {
            Self::Missing { folder } => {
                let folder = folder.display();
                Text::new(
                    format!("`{folder}` 中没有共享台账；首次启动请加 `--create-ledger`"),
                    format!("there is no ledger in `{folder}`; the first start needs `--create-ledger`"),
                )
            }
            Self::Io { path, message, .. } => {
                let path = path.display();
                Text::new(format!("共享台账 `{path}`：{message}"), format!("ledger `{path}`: {message}"))
            }
            Self::Refused { path, reason } => {
                let path = path.display();
                Text::new(format!("共享台账 `{path}`：{}", reason.zh), format!("ledger `{path}`: {}", reason.en))
            }
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl std::error::Error for OpenError {}
