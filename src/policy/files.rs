//! Reads Cedar files: large ones in parts, on every core, and only those that changed since the snapshot before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use super::index::Facts;
use crate::cores::on_every_core;
use crate::lang::Text;
use crate::written::{Lines, Place, Problems, is_id, place_in};

/// About how many bytes are read as one part.
const PART: usize = 64 << 10;

/// Which of the two kinds of Cedar file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Decides.
    Policy,
    /// Says what may never be allowed; never asked in a decision.
    Invariant,
}

/// A policy under its `@id`, where it stands, and what it names and reads.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) policy: Policy,
    pub(super) place: Place,
    pub(super) facts: Arc<Facts>,
}

/// The files of one role as they were last read.
#[derive(Debug)]
pub(super) struct Files(BTreeMap<Arc<str>, File>);

#[derive(Debug)]
struct File {
    digest: [u8; 32],
    read: Vec<Arc<Read>>,
}

impl Files {
    /// Every policy, in the order in which they are written.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<Read>> {
        self.0.values().flat_map(|file| &file.read)
    }

    /// Whether these are the same files with the same content.
    pub(super) fn same(&self, files: &[(String, String)]) -> bool {
        files.len() == self.0.len() && files.iter().all(|(name, text)| self.known(name, text).is_some())
    }

    fn known(&self, name: &str, text: &str) -> Option<&File> {
        self.0.get(name).filter(|file| file.digest == digest_of(text))
    }
}

/// A part of a file: where its first policy begins, and the end of its last.
struct Part<'t> {
    file: usize,
    name: Arc<str>,
    whole: &'t str,
    range: Range<usize>,
}

impl Part<'_> {
    fn text(&self) -> &str {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }
}

/// Reads every file that is not as it was before, and holds its policies against the schema. Whatever was kept before
/// had no fault, under the same schema.
pub(super) fn read(files: &[(String, String)], role: Role, schema: Option<&Schema>, before: Option<&Files>, problems: &Problems) -> Files {
    let known: Vec<Option<&File>> = files.iter().map(|(name, text)| before.and_then(|before| before.known(name, text))).collect();
    let changed = files.iter().enumerate().filter(|(number, _)| known[*number].is_none());
    let parts: Vec<Part<'_>> = changed.flat_map(|(number, (name, text))| cut(number, name, text)).collect();
    let validator = schema.cloned().map(Validator::new);
    let outcomes = on_every_core(&parts, |part| read_part(part, role, validator.as_ref()));
    let mut read: Vec<Vec<Arc<Read>>> = known.iter().map(|known| known.map(|file| file.read.clone()).unwrap_or_default()).collect();
    let mut broken: Option<usize> = None;
    for (part, outcome) in parts.iter().zip(outcomes) {
        match outcome {
            Ok((policies, found)) => {
                read[part.file].extend(policies.into_iter().map(Arc::new));
                problems.add(found.into_parts().0, Vec::new());
            }
            // Told once, from the whole file: a part may be cut in the midst of what is wrong.
            Err(()) if broken == Some(part.file) => {}
            Err(()) => {
                broken = Some(part.file);
                report_syntax(&part.name, part.whole, problems);
            }
        }
    }
    let files = files.iter().zip(read).map(|((name, text), read)| (name.as_str().into(), File { digest: digest_of(text), read }));
    let files = Files(files.collect());
    report_twice(&files, problems);
    files
}

fn digest_of(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

fn cut<'t>(file: usize, name: &str, text: &'t str) -> Vec<Part<'t>> {
    let name: Arc<str> = name.into();
    let part = |range| Part { file, name: name.clone(), whole: text, range };
    let (mut parts, mut begin) = (Vec::new(), 0);
    for start in starts(text) {
        if start - begin > PART {
            parts.push(part(begin..start));
            begin = start;
        }
    }
    parts.push(part(begin..text.len()));
    parts
}

/// The policies of a part and what is wrong with them, or that it is not Cedar.
fn read_part(part: &Part<'_>, role: Role, validator: Option<&Validator>) -> Result<(Vec<Read>, Problems), ()> {
    let (problems, text) = (Problems::default(), part.text());
    let set = PolicySet::from_str(text).map_err(drop)?;
    // Found once for all policies of a file, of which there may be ten thousand.
    let (starts, lines) = (starts(text), Lines::of(part.whole));
    let number = |id: &PolicyId| id.to_string().strip_prefix("policy").and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
    let at = |offset: usize| lines.place(&part.name, part.whole, part.range.start + offset);
    let place = |id: &PolicyId| at(starts.get(number(id)).copied().unwrap_or(0));
    for template in set.templates() {
        let message = Text::new("不支持策略模板：授权是数据，不是策略", "templates are not supported: grants are data, not policies");
        let help = Text::new(
            "写明主体和资源，不用 `?principal`、`?resource`",
            "name principal and resource instead of `?principal` and `?resource`",
        );
        problems.error(&place(template.id()), "template", message, Some(help));
    }
    if let Some(validator) = validator {
        validate(validator, &set, &place, &at, &problems);
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy.id()));
    let read = policies.into_iter().filter_map(|policy| {
        let place = place(policy.id());
        let policy = name(policy, role, &place, &problems)?;
        match Facts::of(&policy) {
            Ok(facts) => Some(Read { policy, place, facts: Arc::new(facts) }),
            Err(error) => {
                problems.error(&place, "cedar_syntax", Text::new(error.clone(), error), None);
                None
            }
        }
    });
    Ok((read.collect(), problems))
}

fn report_syntax(file: &Arc<str>, text: &str, problems: &Problems) {
    match PolicySet::from_str(text) {
        Err(errors) => {
            for error in errors.iter() {
                let message = Text::new(format!("Cedar 语法错误：{error}"), format!("not valid Cedar: {error}"));
                problems.error(&super::load::place_of(error, file, text), "cedar_syntax", message, super::load::help_of(error));
            }
        }
        // Its parts are no Cedar, the whole is: nothing of it may be left out without a word.
        Ok(_) => {
            let message = Text::new("无法分段读取此文件", "the file cannot be read in parts");
            problems.error(&place_in(file, text, 0), "cedar_syntax", message, None);
        }
    }
}

/// Strict validation; a warning is an error, since a policy that can never apply only warns.
fn validate(validator: &Validator, set: &PolicySet, place: &dyn Fn(&PolicyId) -> Place, at: &dyn Fn(usize) -> Place, problems: &Problems) {
    let result = validator.validate(set, ValidationMode::Strict);
    let locate = |id: &PolicyId, found: &dyn Diagnostic| {
        let label = found.labels().and_then(|mut labels| labels.next());
        label.map_or_else(|| place(id), |label| at(label.offset()))
    };
    // Told by the name that the ledger knows the policy by.
    let named = |id: &PolicyId, text: String| match set.policy(id).and_then(|policy| policy.annotation("id")) {
        Some(name) => text.replace(&format!("`{id}`"), &format!("`{name}`")),
        None => text,
    };
    for error in result.validation_errors() {
        let (id, told) = (error.policy_id(), named(error.policy_id(), error.to_string()));
        let message = Text::new(format!("策略与模式不符：{told}"), told);
        problems.error(&locate(id, error), "cedar_type", message, super::load::help_of(error));
    }
    for warning in result.validation_warnings() {
        let (id, told) = (warning.policy_id(), named(warning.policy_id(), warning.to_string()));
        let message = Text::new(format!("策略可能永不生效或易被误读：{told}"), told);
        problems.error(&locate(id, warning), "cedar_warning", message, super::load::help_of(warning));
    }
}

/// Gives the policy its `@id` and holds its other annotations against its role.
fn name(policy: &Policy, role: Role, place: &Place, problems: &Problems) -> Option<Policy> {
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
    Some(policy.new_id(PolicyId::new(id)))
}

fn report_twice(files: &Files, problems: &Problems) {
    let mut ids: BTreeMap<&PolicyId, &Place> = BTreeMap::new();
    for read in files.policies() {
        let id = read.policy.id();
        if let Some(first) = ids.insert(id, &read.place) {
            let first = format!("{}:{}", first.file, first.line);
            let message = Text::new(format!("`@id` `{id}` 重复，已见于 {first}"), format!("the `@id` `{id}` is already used at {first}"));
            problems.error(&read.place, "duplicate_id", message, None);
        }
    }
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

    fn many(count: usize) -> String {
        let policy = |n| format!("// 第 {n} 条; \"\n@id(\"p-{n}\")\nforbid (principal, action, resource) when {{ \"；;\" == \"{n}\" }};\n");
        (0..count).map(policy).collect()
    }

    #[test]
    fn a_large_file_is_read_in_parts_as_it_is_written() {
        let text = many(3000);
        assert!(cut(0, "a.cedar", &text).len() > 1);
        let problems = Problems::default();
        let files = [("a.cedar".to_owned(), text)];
        let read = read(&files, Role::Policy, None, None, &problems);
        assert!(problems.is_ok(), "{problems:?}");
        let told: Vec<_> = read.policies().map(|read| (read.policy.id().to_string(), read.place.line)).collect();
        let expected: Vec<_> = (0..3000).map(|n| (format!("p-{n}"), 3 * n + 2)).collect();
        assert_eq!(told, expected);
        assert!(read.same(&files));
        // What is as it was is the same, and not read again.
        let more = [files[0].clone(), ("b.cedar".to_owned(), many(1).replace("p-0", "q"))];
        assert!(!read.same(&more));
        let again = super::read(&more, Role::Policy, None, Some(&read), &problems);
        assert!(read.policies().zip(again.policies()).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!(again.policies().count(), 3001);
    }

    #[test]
    fn what_is_wrong_in_a_large_file_is_told_once_with_its_place() {
        let text = many(3000);
        for (broken, code, line) in [
            (text.replacen("\"p-2500\")\nforbid (principal", "\"p-2500\")\nforbid (principle", 1), "cedar_syntax", 7503),
            (text.replacen("p-2500", "p-7", 1), "duplicate_id", 7502),
            (text.replacen("@id(\"p-2500\")", "@note(\"p-2500\")", 1), "missing_id", 7502),
            (text.replacen("// 第 2500 条; \"", "\"", 1), "cedar_syntax", 0),
        ] {
            let problems = Problems::default();
            read(&[("a.cedar".to_owned(), broken)], Role::Policy, None, None, &problems);
            let (errors, _) = problems.into_parts();
            let told: Vec<_> = errors.iter().map(|error| error.code).collect();
            assert_eq!(told, [code], "{errors:?}");
            assert!(line == 0 || errors[0].place.line == line, "{errors:?}");
        }
    }
}
