//! The comparison over all requests that the schema admits.

use cedar_policy::{Policy, PolicySet, Schema};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};

use super::own::Pair;
use super::{Change, Found, Options, Policywise};
use crate::lang::Text;
use crate::policy::prove::{Counterexample, Crew, Environment, Session, Solver, environments, no_answer, read, unfit};

/// Both versions as formulas for one action, under one schema.
struct Both<'a> {
    schema: &'a Schema,
    from: CompiledPolicySet,
    to: CompiledPolicySet,
}

/// Asks, for every action, whether the new version allows more, and whether it allows less.
pub(super) fn compare(pair: &Pair<'_>, changes: &Policywise, solver: &Solver, options: &Options<'_>) -> Vec<Change> {
    let environments = environments();
    let crew = Crew { solver: Ok(solver), timeout: options.timeout, workers: options.workers, progress: options.progress };
    let answers = crew.ask(&environments, |session, environment| match session {
        Ok(session) => one(pair, changes, session, environment),
        Err(missing) => (Found::Unknown(missing.clone()), Found::Unknown(missing.clone())),
    });
    let lost = || (Found::Unknown(no_answer()), Found::Unknown(no_answer()));
    let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(lost));
    environments.iter().zip(answers).map(|(one, (wider, narrower))| Change { action: one.name, wider, narrower }).collect()
}

fn one(pair: &Pair<'_>, changes: &Policywise, session: &mut Session, environment: &Environment) -> (Found, Found) {
    let both = match compile(pair, environment) {
        Ok(both) => both,
        Err(why) => return (Found::Unknown(why.clone()), Found::Unknown(why)),
    };
    let mut found = [true, false].map(|wider| match direction(pair, &both, session, environment, wider) {
        Ok(Some(example)) => Found::One(example),
        Ok(None) => Found::None,
        Err(why) => Found::Unknown(why),
    });
    // A policy that errs denies the call at the gateway, which the formulas do not say: what is then missing from
    // them must not pass for sameness.
    if found.iter().any(|found| matches!(found, Found::None))
        && let Err(why) = never_err(pair, changes, both.schema, session, environment)
    {
        for found in found.iter_mut().filter(|found| matches!(found, Found::None)) {
            *found = Found::Unknown(why.clone());
        }
    }
    let [wider, narrower] = found;
    (wider, narrower)
}

/// Under the new schema, or under the old one where the old policies do not fit the new.
fn compile<'a>(pair: &Pair<'a>, environment: &Environment) -> Result<Both<'a>, Text> {
    let (old, new) = (pair.from.policies, pair.to.policies);
    let set = |policies: &[Policy]| PolicySet::from_policies(policies.iter().cloned()).map_err(|error| unfit(&error));
    let (from, to) = (set(old.rules.index.policies())?, set(new.rules.index.policies())?);
    let under = |schema: &'a Schema| {
        let compile = |set: &PolicySet| CompiledPolicySet::compile(set, &environment.types, schema).map_err(|error| unfit(&error));
        Ok(Both { schema, from: compile(&from)?, to: compile(&to)? })
    };
    under(&new.rules.schema).or_else(|why: Text| under(&old.rules.schema).map_err(|_: Text| why))
}

/// A request that only one of the versions allows, which both versions' policies confirm.
fn direction(
    pair: &Pair<'_>,
    both: &Both<'_>,
    session: &mut Session,
    environment: &Environment,
    wider: bool,
) -> Result<Option<Box<Counterexample>>, Text> {
    let (less, more) = if wider { (&both.from, &both.to) } else { (&both.to, &both.from) };
    let found = session.ask(async |compiler| compiler.check_implies_with_counterexample_opt(more, less).await)?;
    let Some(model) = found else { return Ok(None) };
    let read = read(both.schema, &model)?;
    let (denying, allowing) = if wider { (pair.from, pair.to) } else { (pair.to, pair.from) };
    let set = |policies: &[Policy]| PolicySet::from_policies(policies.iter().cloned()).map_err(|error| unfit(&error));
    let policies = read.allowed_by(&set(allowing.policies.rules.index.policies())?)?;
    if read.passes(&set(denying.policies.rules.index.policies())?) {
        return Err(Text::new("求解器的反例未得到策略引擎证实", "the authorizer does not confirm the solver's counterexample"));
    }
    let call = pair.find(environment.name, wider);
    Ok(Some(Box::new(Counterexample::of_model(environment.name, read, policies, call))))
}

/// That no policy which one version alone holds can err; one that both hold errs on both sides alike.
fn never_err(pair: &Pair<'_>, changes: &Policywise, schema: &Schema, session: &mut Session, environment: &Environment) -> Result<(), Text> {
    let touched = |policy: &&Policy| {
        let id = policy.id().to_string();
        [&changes.added, &changes.removed, &changes.changed].into_iter().flatten().any(|touched| **touched == *id)
    };
    let sides = [pair.from, pair.to].map(|side| side.policies.rules.index.policies());
    for policy in sides.into_iter().flatten().filter(touched) {
        let compiled = CompiledPolicy::compile(policy, &environment.types, schema).map_err(|error| unfit(&error))?;
        if !session.ask(async |compiler| compiler.check_never_errors_opt(&compiled).await)? {
            let id = policy.id();
            return Err(Text::new(
                format!("策略 `{id}` 可能出错，出错时网关不放行：先用 `kanhe policy prove` 查明"),
                format!("policy `{id}` can err, which the gateway denies: see `kanhe policy prove` first"),
            ));
        }
    }
    Ok(())
}
