//! Counterexamples: what the solver found, read back as a Cedar request with its entities, held against the schema, and
//! asked of Cedar's own authorizer before it is believed.

use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, Entities, EntityUid, Policy, PolicySet, Request, Response, Schema};
use cedar_policy_symcc::Env;
use serde_json::{Value, json};

use super::study::unfit;
use crate::lang::Text;
use crate::policy::entities::chain;
use crate::policy::reach::FoundCall;

/// A request that shows a property not to hold.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The action that was asked for.
    pub action: &'static str,
    /// The policies that allow it; of a policy that errs, itself.
    pub policies: Vec<Arc<str>>,
    /// What the solver found; none where the control folder itself showed it.
    pub model: Option<Model>,
    /// A call of the control folder that shows the same; none: no call that it allows for today reaches so far.
    pub call: Option<Box<FoundCall>>,
}

/// A request in Cedar's JSON, as the solver made it up: it may name entities that nobody registered.
#[derive(Clone, Debug)]
pub struct Model {
    /// The requester, with its facts.
    pub principal: Value,
    /// The resource, item or rows, with its facts.
    pub resource: Value,
    /// The circumstances.
    pub context: Value,
    /// All other entities.
    pub others: Vec<Value>,
}

impl Counterexample {
    /// One that the solver found.
    pub(in crate::policy) fn of_model(action: &'static str, read: Read, policies: Vec<Arc<str>>, call: Option<FoundCall>) -> Self {
        Self { action, policies, model: Some(read.model), call: call.map(Box::new) }
    }

    /// One that was found among the calls of the control folder.
    pub(in crate::policy) fn of_call(action: &'static str, call: FoundCall) -> Self {
        Self { action, policies: call.policies.clone(), model: None, call: Some(Box::new(call)) }
    }
}

/// A counterexample as the authorizer can be asked about it.
pub(in crate::policy) struct Read {
    request: Request,
    entities: Entities,
    model: Model,
}

/// Reads back what the solver found. It must be a request that the schema admits.
pub(in crate::policy) fn read(schema: &Schema, found: &Env) -> Result<Read, Text> {
    let (asked, entities) = (&found.request, &found.entities);
    let (Some(principal), Some(action), Some(resource), Some(context)) =
        (asked.principal(), asked.action(), asked.resource(), asked.context())
    else {
        return Err(Text::new("求解器的反例不完整", "the solver's counterexample is not complete"));
    };
    let request = Request::new(principal.clone(), action.clone(), resource.clone(), context.clone(), Some(schema));
    let request = request.map_err(|error| outside(&error))?;
    // Action entities come from the schema itself.
    let own = entities.iter().filter(|entity| entity.uid().type_name().basename() != "Action").cloned();
    let entities = Entities::from_entities(own, Some(schema)).map_err(|error| outside(&error))?;
    let show = |uid: &EntityUid| match entities.get(uid) {
        Some(entity) => entity.to_json_value().map_err(|error| unfit(&error)),
        None => Ok(json!({ "uid": { "type": uid.type_name().to_string(), "id": uid.id().unescaped() } })),
    };
    let mut others: Vec<EntityUid> = entities.iter().map(cedar_policy::Entity::uid).collect();
    others.retain(|uid| uid != principal && uid != resource && uid.type_name().basename() != "Action");
    others.sort_unstable();
    let others = others.iter().map(show).collect::<Result<_, _>>()?;
    let context = context.to_json_value().map_err(|error| unfit(&error))?;
    let model = Model { principal: show(principal)?, resource: show(resource)?, context, others };
    Ok(Read { request, entities, model })
}

impl Read {
    /// The policies that allow it, as Cedar's authorizer says. Where it says otherwise nothing is shown.
    pub(in crate::policy) fn allowed_by(&self, policies: &PolicySet) -> Result<Vec<Arc<str>>, Text> {
        let response = self.ask(policies);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(Text::new(
                format!("求解器的反例使策略出错，网关会因此不放行：{error}"),
                format!("in the solver's counterexample a policy errs, which the gateway denies: {error}"),
            ));
        }
        if response.decision() != Decision::Allow {
            return Err(Text::new("求解器的反例未得到策略引擎证实", "the authorizer does not confirm the solver's counterexample"));
        }
        let mut reasons: Vec<Arc<str>> = response.diagnostics().reason().map(|id| Arc::from(id.to_string())).collect();
        reasons.sort_unstable();
        Ok(reasons)
    }

    /// That the policy indeed cannot be evaluated on it.
    pub(in crate::policy) fn errs(&self, policy: &Policy) -> Result<(), Text> {
        let alone = PolicySet::from_policies([policy.clone()]).map_err(|error| unfit(&error))?;
        match self.ask(&alone).diagnostics().errors().next() {
            Some(_) => Ok(()),
            None => Err(Text::new("求解器的反例未得到策略引擎证实", "the authorizer does not confirm the solver's counterexample")),
        }
    }

    fn ask(&self, policies: &PolicySet) -> Response {
        Authorizer::new().is_authorized(&self.request, policies, &self.entities)
    }
}

fn outside(error: &dyn std::error::Error) -> Text {
    let error = chain(error);
    Text::new(format!("求解器的反例不合模式：{error}"), format!("the solver's counterexample does not fit the schema: {error}"))
}

/// Cedar's JSON as Cedar writes it: `Type::"id"`, `datetime("…")`, `{a: 1}`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            if let Some(entity) = members.get("__entity").or_else(|| members.get("uid")).filter(|_| members.len() == 1) {
                return plain(entity);
            }
            if let Some(call) = members.get("__extn") {
                return format!("{}({})", call["fn"].as_str().unwrap_or_default(), call["arg"]);
            }
            if let (Some(of), Some(id), 2) = (members.get("type").and_then(Value::as_str), members.get("id"), members.len()) {
                return format!("{of}::{id}");
            }
            let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
