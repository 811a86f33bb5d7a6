//! Cedar's context of one call: the circumstances, and what subject and purpose add to them.

use cedar_policy::{Context, RestrictedExpression};

use super::decide::Call;
use super::entities::{TYPES, chain, reference, references, uid};

/// The whole context; the schema's `Circumstances` names the same members.
pub(super) fn of(call: &Call<'_>) -> Result<Context, String> {
    let Call { subject, circumstances, .. } = call;
    let yes_no = RestrictedExpression::new_bool;
    let time = circumstances.time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
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
        ("time", RestrictedExpression::new_datetime(time)),
        ("source", RestrictedExpression::new_ip(circumstances.source.to_string())),
    ];
    let members = members.into_iter().chain(grant).map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(members).map_err(|error| chain(&error))
}
