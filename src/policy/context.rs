//! Cedar's context of one call: the circumstances, and what subject and purpose add to them.

use cedar_policy::{Context, RestrictedExpression};

use super::decide::Call;
use super::entities::{TYPES, chain, reference, references, uid};
use super::reads::Reads;

/// What stands for the members that no policy of a call reads. Cedar reads their type's name and the value anew each
/// time, which costs as much as a tenth of a decision.
#[derive(Debug)]
pub(super) struct Unread {
    time: RestrictedExpression,
    source: RestrictedExpression,
}

impl Unread {
    pub(super) fn new() -> Self {
        Self { time: RestrictedExpression::new_datetime("1970-01-01"), source: RestrictedExpression::new_ip("0.0.0.0") }
    }
}

/// The whole context; the schema's `Circumstances` names the same members.
pub(super) fn of(call: &Call<'_>, reads: &Reads, unread: &Unread) -> Result<Context, String> {
    let Call { subject, circumstances, .. } = call;
    let yes_no = RestrictedExpression::new_bool;
    let time = match reads.unbounded || !reads.times.is_empty() {
        true => RestrictedExpression::new_datetime(circumstances.time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()),
        false => unread.time.clone(),
    };
    let source = match reads.unbounded || reads.source {
        true => RestrictedExpression::new_ip(circumstances.source.to_string()),
        false => unread.source.clone(),
    };
    let roles = subject.operator_roles.iter().map(|role| uid(&TYPES.role, role));
    let grant = call.grant.map(|grant| ("grant", reference(uid(&TYPES.grant, &grant.id))));
    let members = [
        ("scenario", reference(uid(&TYPES.scenario, &call.scenario.id))),
        ("has_case", yes_no(call.has_case)),
        ("emergency", yes_no(circumstances.emergency)),
        ("work_time", yes_no(circumstances.work_time)),
        ("network", RestrictedExpression::new_string(circumstances.network.to_string())),
        ("bound", yes_no(subject.bound)),
        ("operator_roles", references(roles)),
        ("operator_clearance", RestrictedExpression::new_long(subject.operator_clearance)),
        ("time", time),
        ("source", source),
    ];
    let members = members.into_iter().chain(grant).map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(members).map_err(|error| chain(&error))
}
