//! Proofs: whether the policies can ever allow what an invariant describes, over *all* requests that the schema admits
//! and not only those that somebody thought of. Cedar's symbolic compiler turns policies and question into a formula, a
//! solver that runs as a process of its own decides it, and whatever it does not decide (unknown, time over, trouble,
//! no solver) counts as *not proved*.
//!
//! - `solver` finds the program and puts questions to it, each within its time; `crew` asks several side by side;
//! - `study` holds what all questions share and asks them;
//! - `witness` makes a counterexample readable, and believes it only when Cedar's own authorizer agrees.
//!
//! A proof is about the policies: schema, invariants and `*.cedar`. It does not see what binding refuses before any
//! policy is asked, nor who the caller really is; [`Report::scope`] says so beside every verdict.

mod crew;
mod report;
mod solver;
mod study;
#[cfg(test)]
mod tests;
mod witness;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use witness::{Counterexample, Model, plain};

use super::{Policies, World};
use crate::lang::Text;
use crate::sys;
use crate::written::Place;
pub(super) use crew::{Crew, on_a_big_stack};
pub(super) use solver::{Session, Solver};
pub(super) use study::{Environment, environments, unfit};
pub(super) use witness::read;

use study::{Said, Study};

/// How to prove.
pub struct Options<'a> {
    /// The solver's program; none: what the variable `CVC5` names, else `cvc5` on the `PATH`.
    pub solver: Option<PathBuf>,
    /// How long one question may take.
    pub timeout: Duration,
    /// Questions asked side by side, each of a solver process of its own.
    pub workers: usize,
    /// The one invariant or policy to ask about; none: all.
    pub only: Option<&'a str>,
    /// Whether to look for dead and shadowed policies too.
    pub hints: bool,
    /// The moment as of which a call of the control folder is looked for.
    pub at: Timestamp,
    /// Told after each question: how many are answered, of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { solver: None, timeout: Duration::from_secs(60), workers, only: None, hints: false, at: sys::now(), progress: &|_, _| {} }
    }
}

/// What a property is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing that the invariant describes is ever allowed.
    Never,
    /// The policy can always be evaluated. On an error the gateway denies the whole call.
    NeverErrs,
}

/// What became of a property.
#[derive(Debug)]
pub enum Verdict {
    /// It holds for every request that the schema admits.
    Proved,
    /// It does not: here is one.
    Refuted(Box<Counterexample>),
    /// Neither could be shown, and why.
    NotProved(Text),
}

/// A property, and what became of it.
#[derive(Debug)]
pub struct Property {
    /// The invariant's or policy's `@id`.
    pub id: Arc<str>,
    /// What is claimed of it.
    pub claim: Claim,
    /// Where it is written.
    pub place: Place,
    /// The actions that it was asked for.
    pub actions: Vec<&'static str>,
    /// What became of it.
    pub verdict: Verdict,
    /// How long its questions took.
    pub took: Duration,
}

/// Why a policy is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Useless {
    /// No request satisfies it.
    Dead,
    /// No decision would change without it.
    Shadowed,
}

/// A policy that does nothing.
#[derive(Debug)]
pub struct Hint {
    /// Its `@id`.
    pub id: Arc<str>,
    /// Why it does nothing.
    pub useless: Useless,
    /// Where it is written.
    pub place: Place,
}

/// What came of all questions.
#[derive(Debug)]
pub struct Report {
    /// Program and version that gave the verdicts, or why there is none.
    pub solver: Result<String, Text>,
    /// How many policies were looked at.
    pub policies: usize,
    /// Invariants first, then every policy's never-errs, each in the order written.
    pub properties: Vec<Property>,
    /// Policies that do nothing: worth a look, but no failure.
    pub hints: Vec<Hint>,
    /// Policies of which it could not be said whether they do anything.
    pub unsaid: usize,
}

impl Report {
    /// Whether every property was proved.
    pub fn holds(&self) -> bool {
        self.properties.iter().all(|property| matches!(property.verdict, Verdict::Proved))
    }

    /// What a verdict covers, and what it does not.
    pub fn scope() -> Text {
        Text::new(
            "结论涵盖：模式所允许的一切请求（任何需求系统、资源、数据项、授权和情形），以及全部策略。\
             不涵盖：绑定环节在询问策略之前所作的拒绝（场景、授权、有效期、额度），调用方身份的真伪，以及数据源答复的内容。",
            "a verdict covers every request that the schema admits (any requester, resource, item, grant and circumstances) and all \
             policies. It does not cover what binding refuses before any policy is asked (scenario, grant, dates, quota), whether the \
             caller is who it says, nor what the origin answers.",
        )
    }

    /// How to get the solver.
    pub fn installation() -> Text {
        Text::new("安装求解器：`sudo apt-get install cvc5`", "to install the solver: `sudo apt-get install cvc5`")
    }
}

/// Proves what can be proved of `policies`. Every answer that is not a proof is told as such; nothing here fails open.
pub fn prove(policies: &Policies, world: World<'_>, options: &Options<'_>) -> Report {
    on_a_big_stack(|| {
        let study = Study::new(policies, world, options);
        let solver = Solver::find(options.solver.as_deref());
        let questions = study.questions();
        let crew = Crew { solver: solver.as_ref(), timeout: options.timeout, workers: options.workers, progress: options.progress };
        let answers = crew.ask(&questions, |session, question| {
            let from = sys::instant();
            let said = study.ask(session, *question);
            (said, from.elapsed())
        });
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(|| (Said::Unknown(no_answer()), Duration::ZERO))).collect();
        study.report(solver.map(|solver| solver.version), &questions, answers)
    })
    .unwrap_or_else(|| Report {
        solver: Err(Text::new("证明程序异常终止", "proving ended abnormally")),
        policies: policies.rules.index.policies().len(),
        properties: policies.rules.invariants.iter().map(unanswered).collect(),
        hints: Vec::new(),
        unsaid: 0,
    })
}

fn unanswered(invariant: &super::Invariant) -> Property {
    let (id, place) = (invariant.id.clone(), invariant.place.clone());
    Property { id, claim: Claim::Never, place, actions: Vec::new(), verdict: Verdict::NotProved(no_answer()), took: Duration::ZERO }
}

/// What stands where an answer never came: a thread that ends abnormally proves nothing.
pub(super) fn no_answer() -> Text {
    Text::new("没有得到结论：证明程序异常终止", "no answer came: proving ended abnormally")
}

/// One answer, and how long it took.
type Answer = (Said, Duration);
