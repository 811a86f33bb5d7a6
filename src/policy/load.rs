//! Reading schema, policies and invariants. What could silently never apply is refused here, since a misspelt forbid
//! fails open: type errors and warnings, missing or repeated `@id`s, templates, names that the control folder does not
//! know, and a schema that no longer fits what the gateway itself asks with.

use std::sync::Arc;

use cedar_policy::{EntityUid, Schema};
use miette::Diagnostic;

use super::cache::Decisions;
use super::context::Unread;
use super::entities::{Registered, TYPES, chain};
use super::files::{self, Files, Read, Role};
use super::index::Index;
use super::{Former, Invariant, Known, Policies, Rules, Sources, World, conform};
use crate::lang::Text;
use crate::written::{Place, Problems, did_you_mean, is_region, place_in};

/// See [`Policies::load`].
pub(super) fn load(sources: &Sources, world: World<'_>, former: Option<Former<'_>>, problems: &Problems) -> Option<Policies> {
    let unchanged = former.filter(|former| former.policies.rules.same(sources));
    let rules = match unchanged {
        Some(former) => former.policies.rules.clone(),
        None => Arc::new(read(sources, former.map(|former| &*former.policies.rules), problems)?),
    };
    let registered = match unchanged.filter(|former| former.registers) {
        Some(former) => former.policies.registered.clone(),
        None => {
            let named = rules.files.iter().flat_map(Files::policies).flat_map(|read| &read.facts.named);
            match Registered::build(world, &rules.schema, named) {
                Ok(registered) => Arc::new(registered),
                Err(error) => {
                    report_model(&start_of(&sources.schema.0), &error, problems);
                    return None;
                }
            }
        }
    };
    let cases = super::suite::load(&sources.suites, world, problems);
    rules.files.iter().flat_map(Files::policies).for_each(|read| check_names(read, &registered, world, problems));
    let authorizer = cedar_policy::Authorizer::new();
    problems.is_ok().then(|| Policies { rules, registered, authorizer, unread: Unread::new(), cache: Decisions::new(), cases })
}

/// Reads what changed since `before`, and files it anew.
fn read(sources: &Sources, before: Option<&Rules>, problems: &Problems) -> Option<Rules> {
    let schema = read_schema(&sources.schema, problems);
    let before = before.filter(|before| before.schema_text == sources.schema.1).map(|before| &before.files);
    let read = |sources, role, number: usize| files::read(sources, role, schema.as_ref(), before.map(|files| &files[number]), problems);
    let files = [read(&sources.policies, Role::Policy, 0), read(&sources.invariants, Role::Invariant, 1)];
    let schema = schema.filter(|_| problems.is_ok())?;
    let [policies, invariants] = &files;
    let known = policies.policies().map(|read| (read.policy.id().clone(), Known::of(read))).collect();
    let invariant =
        |read: &Arc<Read>| Invariant { id: read.policy.id().to_string().into(), policy: read.policy.clone(), place: read.place.clone() };
    let invariants = invariants.policies().map(invariant).collect();
    let (all, facts) = policies.policies().map(|read| (read.policy.clone(), read.facts.clone())).unzip();
    match Index::new(all, facts, &schema) {
        Ok(index) => Some(Rules { schema_text: sources.schema.1.clone(), schema, index, known, invariants, files }),
        Err(error) => {
            report_model(&start_of(&sources.schema.0), &error, problems);
            None
        }
    }
}

impl Rules {
    fn same(&self, sources: &Sources) -> bool {
        let [policies, invariants] = &self.files;
        self.schema_text == sources.schema.1 && policies.same(&sources.policies) && invariants.same(&sources.invariants)
    }
}

impl Known {
    fn of(read: &Arc<Read>) -> Self {
        let flag = read.policy.annotation("flag").map(Arc::from);
        let condition = read.policy.annotation("condition").map(Arc::from);
        Self { id: Arc::from(read.policy.id().to_string()), flag, place: read.place.clone(), condition }
    }
}

fn start_of(file: &str) -> Place {
    Place { file: file.into(), line: 1, column: 1 }
}

fn report_model(place: &Place, error: &str, problems: &Problems) {
    let message =
        Text::new(format!("模式文件与网关所用的模型不符：{error}"), format!("the schema does not fit the gateway's model: {error}"));
    let help = Text::new(
        "实体、操作和 `Circumstances` 的定义须保留出厂内容，可以增加可选属性",
        "keep the entities, actions and `Circumstances` as shipped; only optional attributes may be added",
    );
    problems.error(place, "schema_model", message, Some(help));
}

fn read_schema((file, text): &(String, String), problems: &Problems) -> Option<Schema> {
    match Schema::from_cedarschema_str(text) {
        Ok((schema, _)) => match conform::check(&schema) {
            Ok(()) => Some(schema),
            Err(error) => {
                report_model(&start_of(file), &error, problems);
                None
            }
        },
        Err(error) => {
            let message = chain(&error);
            let message = Text::new(format!("模式文件有误：{message}"), message);
            problems.error(&place_of(&error, file, text), "cedar_schema", message, help_of(&error));
            None
        }
    }
}

/// Where Cedar's error points to, else the start of the file.
pub(super) fn place_of(error: &dyn Diagnostic, file: &str, text: &str) -> Place {
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    place_in(&file.into(), text, offset)
}

pub(super) fn help_of(error: &dyn Diagnostic) -> Option<Text> {
    error.help().map(|help| Text::new(help.to_string(), help.to_string()))
}

/// Every entity that a policy names must be registered.
fn check_names(read: &Read, registered: &Registered, world: World<'_>, problems: &Problems) {
    for name in read.facts.named.iter().filter(|name| !is_known(name, registered, world)) {
        let written = name.id().unescaped();
        let known: Vec<String> = match name.type_name() {
            of if *of == TYPES.grant => world.purposes.grants.keys().map(ToString::to_string).collect(),
            of if *of == TYPES.requester => world.parties.requesters.keys().map(ToString::to_string).collect(),
            of => registered.ids_of(of).collect(),
        };
        let policy = read.policy.id();
        let message = Text::new(
            format!("策略 `{policy}` 写到的 `{name}` 在控制目录中没有登记"),
            format!("policy `{policy}` names `{name}`, which the control folder does not register"),
        );
        let help = did_you_mean(written, known.iter().map(String::as_str));
        problems.error(&read.place, "unknown_entity", message, help);
    }
}

fn is_known(name: &EntityUid, registered: &Registered, world: World<'_>) -> bool {
    let (of, id) = (name.type_name(), name.id().unescaped());
    if of.basename() == "Action" || registered.knows(name) {
        return true;
    }
    if *of == TYPES.requester {
        return world.parties.requesters.contains_key(id);
    }
    if *of == TYPES.grant {
        return world.purposes.grants.contains_key(id);
    }
    // Without regions.toml every region code is one, its parents read from its digits.
    let region = |id: &str| is_region(id) && (!world.parties.regions_registered || world.parties.regions.contains_key(id));
    if *of == TYPES.region {
        return region(id);
    }
    *of == TYPES.rows && id.split_once('@').is_some_and(|(resource, code)| world.catalogue.resources.contains_key(resource) && region(code))
}
