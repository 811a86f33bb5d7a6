//! From answers to verdicts: one bad answer is the verdict, and a missing one is never a proof.

use std::time::Duration;

use super::study::{Question, Said, Study};
use super::{Answer, Claim, Hint, Property, Report, Useless, Verdict};
use crate::lang::Text;

impl Study<'_> {
    /// Gathers the answers, which stand in the order of their questions.
    pub(super) fn report(&self, solver: Result<String, Text>, questions: &[Question], answers: Vec<Answer>) -> Report {
        let never = self.policies.rules.invariants.iter();
        let mut properties: Vec<Property> = never.map(|never| open(&never.id, Claim::Never, &never.place)).collect();
        let mut errs = Vec::with_capacity(self.all.len());
        let (mut hints, mut unsaid, mut dead) = (Vec::new(), 0, false);
        for (question, (said, took)) in questions.iter().zip(answers) {
            match *question {
                Question::Describes { invariant } => properties[invariant].add(described(said), took),
                Question::Never { invariant, environment } => {
                    properties[invariant].actions.push(self.environments[environment].name);
                    properties[invariant].add(verdict(said), took);
                }
                Question::NeverErrs { policy } => {
                    if let Some(known) = self.known(policy) {
                        let mut property = open(&known.id, Claim::NeverErrs, &known.place);
                        property.add(verdict(said), took);
                        errs.push(property);
                    }
                }
                Question::Dead { policy } | Question::Shadowed { policy } => {
                    let useless = if matches!(question, Question::Dead { .. }) { Useless::Dead } else { Useless::Shadowed };
                    // A dead policy is shadowed too; it is told once.
                    let told = std::mem::replace(&mut dead, useless == Useless::Dead && matches!(said, Said::Yes));
                    match (said, self.known(policy)) {
                        (Said::Yes, Some(known)) if !told => {
                            hints.push(Hint { id: known.id.clone(), useless, place: known.place.clone() });
                        }
                        (Said::Unknown(_), _) => unsaid += 1,
                        _ => {}
                    }
                }
            }
        }
        properties.retain(|property| self.options.only.is_none_or(|only| only == &*property.id));
        properties.extend(errs);
        Report { solver, policies: self.all.len(), properties, hints, unsaid }
    }
}

fn open(id: &std::sync::Arc<str>, claim: Claim, place: &crate::written::Place) -> Property {
    let (id, place) = (id.clone(), place.clone());
    Property { id, claim, place, actions: Vec::new(), verdict: Verdict::Proved, took: Duration::ZERO }
}

impl Property {
    /// One more answer: a counterexample outweighs a missing answer, and either outweighs a proof. Of two
    /// counterexamples the one with a call is kept.
    fn add(&mut self, verdict: Verdict, took: Duration) {
        self.took += took;
        match (&self.verdict, &verdict) {
            (Verdict::Proved, _) | (Verdict::NotProved(_), Verdict::Refuted(_)) => self.verdict = verdict,
            (Verdict::Refuted(old), Verdict::Refuted(new)) if old.call.is_none() && new.call.is_some() => self.verdict = verdict,
            _ => {}
        }
    }
}

fn verdict(said: Said) -> Verdict {
    match said {
        Said::Yes => Verdict::Proved,
        Said::Refuted(example) => Verdict::Refuted(example),
        Said::Unknown(why) => Verdict::NotProved(why),
        Said::No => Verdict::NotProved(Text::new("没有反例", "there is no counterexample to show")),
    }
}

/// An invariant that describes nothing is proved by anything: it protects nothing.
fn described(said: Said) -> Verdict {
    match said {
        Said::No => Verdict::NotProved(Text::new(
            "不变式没有描述任何可能的请求，证明它没有意义",
            "the invariant describes no possible request, so that a proof would mean nothing",
        )),
        said => verdict(said),
    }
}
