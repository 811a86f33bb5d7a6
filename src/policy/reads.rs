//! Which circumstances a policy reads, so that decisions are cached under exactly those. Read from the policy's own
//! syntax tree; whatever is not understood counts as reading everything.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

/// The members of the context that policies read, beside scenario and grant, which every cached decision is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) has_case: bool,
    pub(super) emergency: bool,
    pub(super) work_time: bool,
    pub(super) network: bool,
    pub(super) bound: bool,
    pub(super) operator_roles: bool,
    pub(super) operator_clearance: bool,
    pub(super) source: bool,
    /// The constants that `time` is compared with, in milliseconds, ascending.
    pub(super) times: Vec<i64>,
    /// `time` or the whole context is used in another way: a decision holds for this call only.
    pub(super) unbounded: bool,
}

impl Reads {
    /// What the policy with this JSON syntax tree reads.
    pub(super) fn of(policy: &Value) -> Self {
        let mut reads = Self::default();
        reads.expression(policy.get("conditions").unwrap_or(policy));
        reads
    }

    /// What either reads.
    pub(super) fn merge(&mut self, other: &Self) {
        self.has_case |= other.has_case;
        self.emergency |= other.emergency;
        self.work_time |= other.work_time;
        self.network |= other.network;
        self.bound |= other.bound;
        self.operator_roles |= other.operator_roles;
        self.operator_clearance |= other.operator_clearance;
        self.source |= other.source;
        self.unbounded |= other.unbounded;
        for &time in &other.times {
            if let Err(at) = self.times.binary_search(&time) {
                self.times.insert(at, time);
            }
        }
    }

    /// Between (or on) which of the compared constants `time` lies: no comparison tells two times of one slot apart.
    pub(super) fn slot(&self, time: Timestamp) -> usize {
        match self.times.binary_search(&time.as_millisecond()) {
            Ok(at) => 2 * at + 1,
            Err(at) => 2 * at,
        }
    }

    fn member(&mut self, name: &str) {
        match name {
            "scenario" | "grant" => {}
            "has_case" => self.has_case = true,
            "emergency" => self.emergency = true,
            "work_time" => self.work_time = true,
            "network" => self.network = true,
            "bound" => self.bound = true,
            "operator_roles" => self.operator_roles = true,
            "operator_clearance" => self.operator_clearance = true,
            "source" => self.source = true,
            _ => self.unbounded = true,
        }
    }

    fn expression(&mut self, value: &Value) {
        let members = match value {
            Value::Object(members) => members,
            Value::Array(elements) => return elements.iter().for_each(|element| self.expression(element)),
            _ => return,
        };
        for (key, inner) in members {
            match key.as_str() {
                // A literal holds no expression, whatever its keys look like.
                "Value" => {}
                "Var" if inner == "context" => self.unbounded = true,
                "." | "has" if is_context(inner.get("left")) => match inner.get("attr").and_then(Value::as_str) {
                    Some(name) => self.member(name),
                    None => self.unbounded = true,
                },
                "<" | "<=" | ">" | ">=" | "==" | "!=" => self.comparison(inner),
                "Record" => inner.as_object().into_iter().flat_map(|record| record.values()).for_each(|value| self.expression(value)),
                _ => self.expression(inner),
            }
        }
    }

    fn comparison(&mut self, sides: &Value) {
        let (left, right) = (sides.get("left"), sides.get("right"));
        let constant = match (is_time(left), is_time(right)) {
            (true, false) => moment(right),
            (false, true) => moment(left),
            _ => None,
        };
        match constant {
            Some(time) => self.merge(&Self { times: vec![time], ..Self::default() }),
            None => self.expression(sides),
        }
    }
}

fn is_context(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("Var")).is_some_and(|name| name == "context")
}

fn is_time(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("."))
        .is_some_and(|access| is_context(access.get("left")) && access.get("attr").is_some_and(|a| a == "time"))
}

/// The milliseconds of a `datetime("…")` constant.
fn moment(value: Option<&Value>) -> Option<i64> {
    let written = value?.get("datetime")?.get(0)?.get("Value")?.as_str()?;
    if written.len() == 10 {
        let date: Date = written.parse().ok()?;
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        return jiff::tz::TimeZone::UTC.to_timestamp(midnight).ok().map(Timestamp::as_millisecond);
    }
    let offset = written.strip_suffix('Z').map_or_else(|| written.to_owned(), |bare| format!("{bare}+0000"));
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", offset).ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        let policy: cedar_policy::Policy = format!("permit (principal, action, resource) when {{ {condition} }};").parse().unwrap();
        Reads::of(&policy.to_json().unwrap())
    }

    #[test]
    fn each_member_is_found_where_it_is_read() {
        let found = reads("context.work_time && (if context.network == \"x\" then context.operator_clearance > 2 else !context.has_case)");
        let expected = Reads { work_time: true, network: true, operator_clearance: true, has_case: true, ..Reads::default() };
        assert_eq!(found, expected);
        assert!(reads("context.source.isInRange(ip(\"10.0.0.0/8\"))").source);
        assert!(reads("context.operator_roles.contains(Role::\"a\")").operator_roles);
        assert!(reads("{ Var: context.bound } == { Var: true }").bound);
        assert_eq!(reads("context has grant && context.grant.reveal.contains(resource)"), Reads::default());
        assert_eq!(reads("\"context\" == \"context\""), Reads::default());
    }

    #[test]
    fn time_is_bounded_by_the_constants_it_is_compared_with() {
        let found = reads("context.time < datetime(\"2026-06-01\") || datetime(\"2026-01-01T08:00:00+0800\") <= context.time");
        assert!(!found.unbounded);
        assert_eq!(found.times.len(), 2);
        let at = |text: &str| found.slot(text.parse().unwrap());
        assert_eq!(at("2025-12-31T23:59:59.999Z"), 0);
        assert_eq!(at("2026-01-01T00:00:00Z"), 1);
        assert_eq!(at("2026-03-01T00:00:00Z"), 2);
        assert_eq!(at("2026-06-01T00:00:00Z"), 3);
        assert_eq!(at("2027-01-01T00:00:00Z"), 4);
    }

    #[test]
    fn any_other_use_of_time_or_context_is_unbounded() {
        for condition in [
            "context.time.toDate() == datetime(\"2026-01-01\")",
            "context.time.offset(duration(\"1d\")) < datetime(\"2026-01-01\")",
            "context.time == context.time",
            "context == context",
            "[context].isEmpty()",
            "context has later",
        ] {
            assert!(reads(condition).unbounded, "{condition}");
        }
    }
}
