//! What all questions share, and the questions themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Entities, EntityTypeName, Policy, PolicySet, PrincipalConstraint, RequestEnv, ResourceConstraint, Schema};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};

use super::witness::{self, Counterexample};
use super::{Options, Session};
use crate::lang::Text;
use crate::policy::entities::{TYPES, action, chain};
use crate::policy::index::admits;
use crate::policy::reach::Reach;
use crate::policy::{Known, Policies, World};

/// One action that the gateway asks for, with the types that it asks it of.
pub(in crate::policy) struct Environment {
    pub(in crate::policy) name: &'static str,
    pub(in crate::policy) types: RequestEnv,
}

/// Every kind of question that the gateway puts to its policies.
pub(in crate::policy) fn environments() -> Vec<Environment> {
    let shares = ["query", "verify", "bulk"].map(|name| (name, &TYPES.resource));
    let forms = ["reveal", "mask", "pseudonymise", "compare"].map(|name| (name, &TYPES.item));
    let rows = [("include", &TYPES.rows)];
    let all = shares.into_iter().chain(forms).chain(rows);
    all.map(|(name, of)| Environment { name, types: RequestEnv::new(TYPES.requester.clone(), action(name), of.clone()) }).collect()
}

/// One question, by the numbers of what it is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// Is nothing allowed that the invariant describes?
    Never { invariant: usize, environment: usize },
    /// Does the invariant describe anything at all?
    Describes { invariant: usize },
    /// Can the policy always be evaluated?
    NeverErrs { policy: usize },
    /// Is there no request that satisfies the policy?
    Dead { policy: usize },
    /// Would every decision be the same without the policy?
    Shadowed { policy: usize },
}

/// Whether what was asked is so.
#[derive(Debug)]
pub(super) enum Said {
    Yes,
    No,
    Refuted(Box<Counterexample>),
    Unknown(Text),
}

type Compiled = HashMap<(usize, Box<[usize]>), Arc<CompiledPolicySet>>;

/// Everything that the questions share.
pub(super) struct Study<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) policies: &'a Policies,
    pub(super) all: &'a [Policy],
    whole: Result<PolicySet, Text>,
    pub(super) environments: Vec<Environment>,
    /// For each policy, the environments in which it is not trivially unsatisfied.
    relevant: Vec<Vec<usize>>,
    compiled: Mutex<Compiled>,
    reach: Reach<'a>,
}

impl<'a> Study<'a> {
    pub(super) fn new(policies: &'a Policies, world: World<'a>, options: &'a Options<'a>) -> Self {
        let (all, environments) = (policies.rules.index.policies(), environments());
        let relevant = all.iter().map(|policy| relevant(policy, &environments, &policies.rules.schema)).collect();
        let whole = PolicySet::from_policies(all.iter().cloned()).map_err(|error| unfit(&error));
        let reach = Reach { world, at: options.at };
        Self { options, policies, all, whole, environments, relevant, compiled: Mutex::default(), reach }
    }

    /// Everything to ask: what verdicts rest on first.
    pub(super) fn questions(&self) -> Vec<Question> {
        let asked = |id: &str| self.options.only.is_none_or(|only| only == id);
        let mut questions = Vec::new();
        for (invariant, never) in self.policies.rules.invariants.iter().enumerate().filter(|(_, never)| asked(&never.id)) {
            questions.push(Question::Describes { invariant });
            let environments = relevant(&never.policy, &self.environments, &self.policies.rules.schema);
            questions.extend(environments.into_iter().map(|environment| Question::Never { invariant, environment }));
        }
        let policies = || (0..self.all.len()).filter(|number| self.known(*number).is_some_and(|known| asked(&known.id)));
        questions.extend(policies().map(|policy| Question::NeverErrs { policy }));
        if self.options.hints {
            questions.extend(policies().flat_map(|policy| [Question::Dead { policy }, Question::Shadowed { policy }]));
        }
        questions
    }

    /// Puts one question.
    pub(super) fn ask(&self, session: &mut Result<Session, Text>, question: Question) -> Said {
        let said = match session {
            Ok(session) => match question {
                Question::Never { invariant, environment } => self.never(session, invariant, environment),
                Question::Describes { invariant } => self.describes(session, invariant),
                Question::NeverErrs { policy } => self.never_errs(session, policy),
                Question::Dead { policy } => self.dead(session, policy),
                Question::Shadowed { policy } => self.shadowed(session, policy),
            },
            Err(missing) => Err(missing.clone()),
        };
        let said = said.unwrap_or_else(Said::Unknown);
        match (said, question) {
            // What no solver decided may still be seen in a call of the control folder.
            (Said::Unknown(why), Question::Never { invariant, environment }) => {
                let name = self.environments[environment].name;
                let found = self.reach.find(self.policies, &self.policies.rules.invariants[invariant].policy, name);
                found.map_or(Said::Unknown(why), |call| Said::Refuted(Box::new(Counterexample::of_call(name, call))))
            }
            (said, _) => said,
        }
    }

    fn never(&self, session: &mut Session, invariant: usize, environment: usize) -> Result<Said, Text> {
        let never = &self.policies.rules.invariants[invariant].policy;
        let (name, types) = (self.environments[environment].name, &self.environments[environment].types);
        let against = self.compiled(environment, |_, policy| overlap(policy, never))?;
        let compiled = CompiledPolicy::compile(never, types, &self.policies.rules.schema).map_err(|error| unfit(&error))?;
        let compiled = compiled.into_compiled_policyset();
        let found = session.ask(async |compiler| compiler.check_disjoint_with_counterexample_opt(&against, &compiled).await)?;
        let Some(model) = found else { return Ok(Said::Yes) };
        let read = witness::read(&self.policies.rules.schema, &model)?;
        let described = PolicySet::from_policies([never.clone()]).map_err(|error| unfit(&error))?;
        let policies = read.allowed_by(self.whole.as_ref().map_err(Clone::clone)?)?;
        read.allowed_by(&described)?;
        let call = self.reach.find(self.policies, never, name);
        Ok(Said::Refuted(Box::new(Counterexample::of_model(name, read, policies, call))))
    }

    fn describes(&self, session: &mut Session, invariant: usize) -> Result<Said, Text> {
        let never = &self.policies.rules.invariants[invariant].policy;
        let empty = self.never_matches(session, never, &relevant(never, &self.environments, &self.policies.rules.schema))?;
        Ok(if empty { Said::No } else { Said::Yes })
    }

    fn never_errs(&self, session: &mut Session, number: usize) -> Result<Said, Text> {
        let (policy, schema) = (&self.all[number], &self.policies.rules.schema);
        for environment in self.admitted(policy)? {
            let Environment { name, types } = &self.environments[environment];
            let compiled = CompiledPolicy::compile(policy, types, schema).map_err(|error| unfit(&error))?;
            let found = session.ask(async |compiler| compiler.check_never_errors_with_counterexample_opt(&compiled).await)?;
            if let Some(model) = found {
                let read = witness::read(schema, &model)?;
                read.errs(policy)?;
                let policies = vec![policy.id().to_string().into()];
                return Ok(Said::Refuted(Box::new(Counterexample::of_model(name, read, policies, None))));
            }
        }
        Ok(Said::Yes)
    }

    fn dead(&self, session: &mut Session, policy: usize) -> Result<Said, Text> {
        let dead = self.never_matches(session, &self.all[policy], &self.relevant[policy])?;
        Ok(if dead { Said::Yes } else { Said::No })
    }

    fn shadowed(&self, session: &mut Session, number: usize) -> Result<Said, Text> {
        // Its flag is what such a policy is for.
        if self.known(number).is_some_and(|known| known.flag.is_some()) {
            return Ok(Said::No);
        }
        let subject = &self.all[number];
        for &environment in &self.relevant[number] {
            let with = self.compiled(environment, |_, policy| overlap(policy, subject))?;
            let without = self.compile(environment, |other, policy| other != number && overlap(policy, subject))?;
            if !session.ask(async |compiler| compiler.check_equivalent_opt(&with, &without).await)? {
                return Ok(Said::No);
            }
        }
        Ok(Said::Yes)
    }

    fn never_matches(&self, session: &mut Session, policy: &Policy, environments: &[usize]) -> Result<bool, Text> {
        for &environment in environments {
            let types = &self.environments[environment].types;
            let compiled = CompiledPolicy::compile(policy, types, &self.policies.rules.schema).map_err(|error| unfit(&error))?;
            if !session.ask(async |compiler| compiler.check_never_matches_opt(&compiled).await)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The environments in which the policy's scope lets it be evaluated.
    fn admitted(&self, policy: &Policy) -> Result<Vec<usize>, Text> {
        let hierarchy: Entities = self.policies.rules.schema.action_entities().map_err(|error| unfit(&error))?;
        let constraint = policy.action_constraint();
        let environments = self.environments.iter().enumerate();
        Ok(environments.filter(|(_, one)| admits(&constraint, one.types.action(), &hierarchy)).map(|(number, _)| number).collect())
    }

    /// The chosen policies as one formula, kept for the next question about the same.
    fn compiled(&self, environment: usize, chosen: impl Fn(usize, &Policy) -> bool) -> Result<Arc<CompiledPolicySet>, Text> {
        let key = (environment, self.chosen(environment, chosen));
        if let Some(compiled) = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(compiled.clone());
        }
        let compiled = Arc::new(self.compile_these(environment, &key.1)?);
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(key, compiled.clone());
        Ok(compiled)
    }

    fn compile(&self, environment: usize, chosen: impl Fn(usize, &Policy) -> bool) -> Result<CompiledPolicySet, Text> {
        self.compile_these(environment, &self.chosen(environment, chosen))
    }

    fn chosen(&self, environment: usize, chosen: impl Fn(usize, &Policy) -> bool) -> Box<[usize]> {
        let relevant = self.all.iter().enumerate().filter(|(number, _)| self.relevant[*number].contains(&environment));
        relevant.filter(|(number, policy)| chosen(*number, policy)).map(|(number, _)| number).collect()
    }

    fn compile_these(&self, environment: usize, numbers: &[usize]) -> Result<CompiledPolicySet, Text> {
        let chosen = numbers.iter().map(|&number| self.all[number].clone());
        let set = PolicySet::from_policies(chosen).map_err(|error| unfit(&error))?;
        CompiledPolicySet::compile(&set, &self.environments[environment].types, &self.policies.rules.schema).map_err(|error| unfit(&error))
    }

    pub(super) fn known(&self, number: usize) -> Option<&'a Known> {
        self.policies.rules.known.get(self.all[number].id())
    }
}

/// The environments in which the policy is not trivially unsatisfied, as Cedar's typechecker finds.
fn relevant(policy: &Policy, environments: &[Environment], schema: &Schema) -> Vec<usize> {
    let valid: Vec<RequestEnv> = policy.get_valid_request_envs(schema).collect();
    let asked = |one: &Environment| {
        valid
            .iter()
            .any(|env| (env.principal(), env.action(), env.resource()) == (one.types.principal(), one.types.action(), one.types.resource()))
    };
    environments.iter().enumerate().filter(|(_, one)| asked(one)).map(|(number, _)| number).collect()
}

/// Whether one request could be in both scopes. Only what two `==` exclude is excluded: anything may be in anything.
fn overlap(one: &Policy, other: &Policy) -> bool {
    let principals = match (one.principal_constraint(), other.principal_constraint()) {
        (PrincipalConstraint::Eq(one), PrincipalConstraint::Eq(other)) => one == other,
        _ => true,
    };
    let resources = match (one.resource_constraint(), other.resource_constraint()) {
        (ResourceConstraint::Eq(one), ResourceConstraint::Eq(other)) => one == other,
        (ResourceConstraint::Eq(uid), ResourceConstraint::Is(of)) | (ResourceConstraint::Is(of), ResourceConstraint::Eq(uid)) => {
            let named: &EntityTypeName = uid.type_name();
            *named == of
        }
        _ => true,
    };
    principals && resources
}

/// Why a question cannot be put at all.
pub(in crate::policy) fn unfit(error: &dyn std::error::Error) -> Text {
    let error = chain(error);
    Text::new(format!("无法提问：{error}"), format!("the question cannot be put: {error}"))
}
