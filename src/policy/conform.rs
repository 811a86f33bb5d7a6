//! The schema file is the department's, but the gateway asks with a fixed model: a sample of everything that it ever
//! asks with is held against the schema at load, so that a deviation is a load error and no call's surprise.

use std::collections::HashMap;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression as Value, Schema};

use super::entities::{TYPES, action, chain, reference, references, uid};

/// Whether the model's entities and requests, with every optional member there and absent, conform.
pub(super) fn check(schema: &Schema) -> Result<(), String> {
    let entities = sample()?;
    Entities::from_entities(entities, Some(schema)).map_err(|error| chain(&error))?;
    let shares = ["query", "verify", "bulk"].map(|name| (name, uid(&TYPES.resource, "a.b")));
    let forms = ["reveal", "mask", "pseudonymise", "compare"].map(|name| (name, uid(&TYPES.item, "a.b#c")));
    let rows = [("include", uid(&TYPES.rows, "a.b@990000"))];
    let hierarchy = schema.action_entities().map_err(|error| chain(&error))?;
    for (name, resource) in shares.into_iter().chain(forms).chain(rows) {
        for granted in [true, false] {
            let request = Request::new(uid(&TYPES.requester, "r"), action(name), resource.clone(), context(granted)?, Some(schema));
            request.map_err(|error| format!("`{name}`: {}", chain(&error)))?;
        }
    }
    for (group, members) in [("share", &["query", "verify", "bulk"][..]), ("disclose", &["reveal", "mask", "pseudonymise", "compare"])] {
        if let Some(member) = members.iter().find(|member| !hierarchy.is_ancestor_of(&action(group), &action(member))) {
            return Err(format!("action `{member}` must be in `{group}`"));
        }
    }
    Ok(())
}

fn entity(uid: EntityUid, attributes: Vec<(&str, Value)>, parents: Vec<EntityUid>) -> Result<Entity, String> {
    let attributes: HashMap<_, _> = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents.into_iter().collect()).map_err(|error| error.to_string())
}

fn sample() -> Result<Vec<Entity>, String> {
    let region = uid(&TYPES.region, "990100");
    let class = uid(&TYPES.class, "k");
    let department = uid(&TYPES.department, "a");
    let scenario = uid(&TYPES.scenario, "s");
    let grant = uid(&TYPES.grant, "g");
    let resource = uid(&TYPES.resource, "a.b");
    let item = uid(&TYPES.item, "a.b#c");
    let text = |value: &str| Value::new_string(value.to_owned());
    let (yes, grade) = (Value::new_bool(true), Value::new_long(1));
    let one = |uid: &EntityUid| references([uid.clone()]);
    let facts = vec![
        ("provider", reference(department.clone())),
        ("sharing", text("conditional")),
        ("level", text("general")),
        ("grade", grade.clone()),
        ("personal", yes.clone()),
    ];
    let mut item_facts = facts.clone();
    item_facts.push(("sensitive", yes.clone()));
    let department_facts = vec![("tier", text("province")), ("region", reference(region.clone())), ("authority", yes)];
    let requester_facts = vec![("department", reference(department.clone())), ("clearance", grade), ("region", reference(region.clone()))];
    let mut approved = vec![("resource", reference(resource.clone())), ("regions", one(&region))];
    approved.extend(["reveal", "mask", "pseudonymise", "compare"].map(|form| (form, one(&item))));
    let requester_parents = vec![department.clone(), region.clone(), uid(&TYPES.role, "o"), scenario.clone(), grant.clone()];
    Ok(vec![
        entity(region.clone(), vec![], vec![uid(&TYPES.region, "990000")])?,
        entity(class.clone(), vec![], vec![uid(&TYPES.class, "j")])?,
        entity(uid(&TYPES.role, "o"), vec![], vec![])?,
        entity(department.clone(), department_facts, vec![uid(&TYPES.department, "z")])?,
        entity(scenario, vec![("lead", reference(department.clone())), ("participants", one(&department))], vec![])?,
        entity(grant, approved, vec![])?,
        entity(uid(&TYPES.requester, "r"), requester_facts, requester_parents)?,
        entity(resource.clone(), facts, vec![department, class.clone()])?,
        entity(item, item_facts, vec![resource.clone(), class])?,
        entity(uid(&TYPES.rows, "a.b@990100"), vec![("region", reference(region.clone()))], vec![resource, region])?,
    ])
}

fn context(granted: bool) -> Result<Context, String> {
    let yes = || Value::new_bool(true);
    let mut members = vec![
        ("scenario", reference(uid(&TYPES.scenario, "s"))),
        ("has_case", yes()),
        ("emergency", yes()),
        ("work_time", yes()),
        ("network", Value::new_string("other".to_owned())),
        ("bound", yes()),
        ("operator_roles", references([uid(&TYPES.role, "o")])),
        ("operator_clearance", Value::new_long(0)),
        ("time", Value::new_datetime("2026-01-01T00:00:00.000Z")),
        ("source", Value::new_ip("127.0.0.1")),
    ];
    if granted {
        members.push(("grant", reference(uid(&TYPES.grant, "g"))));
    }
    Context::from_pairs(members.into_iter().map(|(name, value)| (name.to_owned(), value))).map_err(|error| chain(&error))
}
