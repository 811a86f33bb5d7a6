//! A wish for the next portion of a day, and what becomes of it.

use std::sync::Arc;
use std::time::Instant;

use jiff::civil::Date;
use tokio::sync::oneshot;

use crate::ledger::register::Portion;

/// What is said to whoever draws portions.
#[derive(Debug)]
pub enum Message {
    /// A portion is wanted.
    Wish(Wish),
    /// No call is under way any more: what is unused goes back.
    End,
}

/// One call's wish; or, where nobody waits for it, that of a gateway whose portion is half used.
#[derive(Debug)]
pub struct Wish {
    /// The grant.
    pub grant: Arc<str>,
    /// Of which day.
    pub day: Date,
    /// The grant's calls and records a day, where it limits them.
    pub limits: [Option<u64>; 2],
    /// What the call needs.
    pub wanted: Portion,
    /// Who waits.
    pub answer: Option<oneshot::Sender<Told>>,
    /// Since when.
    pub since: Instant,
}

/// What becomes of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is more now.
    Given,
    /// Nothing is left of the day.
    Spent,
    /// Nothing is left that another gateway does not hold unused.
    Later,
    /// The book cannot be asked.
    Unavailable,
}

impl Wish {
    /// Whether somebody waits for it: nobody does for the next portion, nor once the caller went away.
    pub fn is_waited_for(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }

    /// Tells whoever waits.
    pub fn tell(self, told: Told) {
        if let Some(answer) = self.answer {
            // Whoever went away needs no answer.
            let _ = answer.send(told);
        }
    }
}
