//! Reading schema, policies and invariants. What could silently never apply is refused here, since a misspelt forbid
//! fails open: type errors and warnings, missing or repeated `@id`s, templates, names that the control folder does not
//! know, and a schema that no longer fits what the gateway itself asks with.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use super::cache::Decisions;
use super::context::Unread;
use super::entities::{Registered, TYPES, chain};
use super::index::Index;
use super::{Invariant, Known, Policies, Sources, World, conform};
use crate::lang::Text;
use crate::written::{Lines, Place, Problems, is_id, is_region, nearest, place_in};

/// Which of the two kinds of Cedar file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Decides.
    Policy,
    /// Says what may never be allowed; never asked in a decision.
    Invariant,
}

/// A policy, and where it stands.
struct Read {
    policy: Policy,
    place: Place,
}

/// See [`Policies::load`].
pub(super) fn load(sources: &Sources, world: World<'_>, problems: &Problems) -> Option<Policies> {
    let schema = read_schema(&sources.schema, problems);
    let policies = read_files(&sources.policies, Role::Policy, problems);
    let invariants = read_files(&sources.invariants, Role::Invariant, problems);
    let schema = schema?;
    let schema_place = start_of(&sources.schema.0);
    let registered = match Registered::build(world, &schema) {
        Ok(registered) => registered,
        Err(error) => {
            report_model(&schema_place, &error, problems);
            return None;
        }
    };
    let cases = super::suite::load(&sources.suites, world, problems);
    for (files, read) in [(&sources.policies, &policies), (&sources.invariants, &invariants)] {
        validate(&schema, files, read, problems);
        read.iter().for_each(|read| check_names(read, &registered, world, problems));
    }
    if !problems.is_ok() {
        return None;
    }
    let known = policies.iter().map(|read| (read.policy.id().clone(), Known::of(read))).collect::<HashMap<_, _>>();
    let invariants =
        invariants.into_iter().map(|read| Invariant { id: read.policy.id().to_string().into(), policy: read.policy, place: read.place });
    let invariants = invariants.collect();
    match Index::new(policies.into_iter().map(|read| read.policy).collect(), &schema) {
        Ok(index) => {
            let authorizer = cedar_policy::Authorizer::new();
            Some(Policies {
                schema,
                registered,
                index,
                known,
                invariants,
                authorizer,
                unread: Unread::new(),
                cache: Decisions::new(),
                cases,
            })
        }
        Err(error) => {
            report_model(&schema_place, &error, problems);
            None
        }
    }
}

impl Known {
    fn of(read: &Read) -> Self {
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

fn read_files(files: &[(String, String)], role: Role, problems: &Problems) -> Vec<Read> {
    let mut read: Vec<Read> = Vec::new();
    let mut ids: BTreeMap<String, Place> = BTreeMap::new();
    for (file, text) in files {
        let set = match PolicySet::from_str(text) {
            Ok(set) => set,
            Err(errors) => {
                for error in errors.iter() {
                    let message = Text::new(format!("Cedar 语法错误：{error}"), format!("not valid Cedar: {error}"));
                    problems.error(&place_of(error, file, text), "cedar_syntax", message, help_of(error));
                }
                continue;
            }
        };
        // Found once for all policies of a file, of which there may be ten thousand.
        let (path, starts, lines) = (Arc::from(file.as_str()), starts(text), Lines::of(text));
        let place = |id: &PolicyId| {
            let number = id.to_string().strip_prefix("policy").and_then(|number| number.parse::<usize>().ok());
            lines.place(&path, text, number.and_then(|number| starts.get(number)).copied().unwrap_or(0))
        };
        for template in set.templates() {
            let message = Text::new("不支持策略模板：授权是数据，不是策略", "templates are not supported: grants are data, not policies");
            let help = Text::new(
                "写明主体和资源，不用 `?principal`、`?resource`",
                "name principal and resource instead of `?principal` and `?resource`",
            );
            problems.error(&place(template.id()), "template", message, Some(help));
        }
        for policy in set.policies() {
            let place = place(policy.id());
            if let Some(policy) = name(policy, role, &place, &mut ids, problems) {
                read.push(Read { policy, place });
            }
        }
    }
    read
}

/// Gives the policy its `@id` and holds its other annotations against its role.
fn name(policy: &Policy, role: Role, place: &Place, ids: &mut BTreeMap<String, Place>, problems: &Problems) -> Option<Policy> {
    let never = policy.annotation("never").is_some();
    if role == Role::Policy && never {
        let message = Text::new("带 `@never` 的是不变式，不是策略", "a policy with `@never` is an invariant, not a policy");
        let help = Text::new("移到 invariants/ 下", "move it to invariants/");
        problems.error(place, "never_outside_invariants", message, Some(help));
    }
    if role == Role::Invariant && (!never || policy.effect() != Effect::Permit) {
        let message = Text::new("不变式应写成带 `@never` 的 permit", "an invariant is written as a permit with `@never`");
        problems.error(place, "not_an_invariant", message, None);
    }
    let Some(id) = policy.annotation("id") else {
        let message = Text::new("策略缺少 `@id`", "the policy has no `@id`");
        let help = Text::new("在策略前写 `@id(\"…\")`，台账据此记录依据", "write `@id(\"…\")` before it: the ledger names it by that");
        problems.error(place, "missing_id", message, Some(help));
        return None;
    };
    if !is_id(id) {
        let message = Text::new(format!("`@id` 的值 `{id}` 不是合法标识"), format!("`@id` is `{id}`, which is not an identifier"));
        let help = Text::new(
            "以字母开头，只含字母、数字、点、下划线、连字符，最长 64 个字符",
            "a letter, then letters, digits, `.`, `_` or `-`, at most 64",
        );
        problems.error(place, "wrong_id", message, Some(help));
        return None;
    }
    if let Some(first) = ids.insert(id.to_owned(), place.clone()) {
        let first = format!("{}:{}", first.file, first.line);
        let message = Text::new(format!("`@id` `{id}` 重复，已见于 {first}"), format!("the `@id` `{id}` is already used at {first}"));
        problems.error(place, "duplicate_id", message, None);
        return None;
    }
    Some(policy.new_id(PolicyId::new(id)))
}

/// Byte offsets at which the policies of a file begin. A policy ends with `;`, which occurs elsewhere only in
/// comments and strings.
fn starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let (mut starts, mut at, mut inside) = (Vec::new(), 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            byte if byte.is_ascii_whitespace() => {}
            _ if !inside => {
                starts.push(at);
                inside = true;
                continue;
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b';' => inside = false,
            _ => {}
        }
        at += 1;
    }
    starts
}

/// Strict validation; a warning is an error, since a policy that can never apply only warns.
fn validate(schema: &Schema, files: &[(String, String)], read: &[Read], problems: &Problems) {
    let places: HashMap<&PolicyId, &Place> = read.iter().map(|read| (read.policy.id(), &read.place)).collect();
    let set = match PolicySet::from_policies(read.iter().map(|read| read.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            let message = error.to_string();
            return problems.error(&start_of("*.cedar"), "cedar_syntax", Text::new(message.clone(), message), None);
        }
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let locate = |id: &PolicyId, found: &dyn Diagnostic| {
        let policy = places.get(id).copied().cloned().unwrap_or_default();
        let text = files.iter().find(|(file, _)| **file == *policy.file).map(|(_, text)| text.as_str());
        match (text, found.labels().and_then(|mut labels| labels.next())) {
            (Some(text), Some(label)) => place_in(&policy.file, text, label.offset()),
            _ => policy,
        }
    };
    for error in result.validation_errors() {
        let message = Text::new(format!("策略与模式不符：{error}"), error.to_string());
        problems.error(&locate(error.policy_id(), error), "cedar_type", message, help_of(error));
    }
    for warning in result.validation_warnings() {
        let message = Text::new(format!("策略可能永不生效或易被误读：{warning}"), warning.to_string());
        problems.error(&locate(warning.policy_id(), warning), "cedar_warning", message, help_of(warning));
    }
}

/// Every entity that a policy names must be registered.
fn check_names(read: &Read, registered: &Registered, world: World<'_>, problems: &Problems) {
    let mut names = read.policy.entity_literals();
    names.sort_unstable();
    names.dedup();
    for name in names.iter().filter(|name| !is_known(name, registered, world)) {
        let written = name.id().unescaped();
        let known: Vec<String> = match name.type_name() {
            of if *of == TYPES.grant => world.purposes.grants.keys().map(ToString::to_string).collect(),
            of => registered.ids_of(of).collect(),
        };
        let policy = read.policy.id();
        let message = Text::new(
            format!("策略 `{policy}` 写到的 `{name}` 在控制目录中没有登记"),
            format!("policy `{policy}` names `{name}`, which the control folder does not register"),
        );
        let near = nearest(written, known.iter().map(String::as_str));
        let help = near.map(|near| Text::new(format!("是否应为 `{near}`？"), format!("did you mean `{near}`?")));
        problems.error(&read.place, "unknown_entity", message, help);
    }
}

fn is_known(name: &EntityUid, registered: &Registered, world: World<'_>) -> bool {
    let (of, id) = (name.type_name(), name.id().unescaped());
    if of.basename() == "Action" || registered.knows(name) {
        return true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_begin_where_they_are_written() {
        let text = "// a; comment\n\n@id(\"a;b\\\";\")\npermit (principal, action, resource) // ; here\nwhen { \"x;\" == \"//\" };\n  forbid (principal, action, resource);\n";
        assert_eq!(starts(text), vec![15, text.find("forbid").unwrap()]);
        assert!(starts("// nothing").is_empty());
        assert_eq!(starts("\"unfinished \\"), vec![0]);
    }
}
