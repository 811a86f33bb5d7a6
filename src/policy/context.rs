//! Cedar's context of one call: the circumstances, and what subject and purpose add to them.

use cedar_policy::{Context, RestrictedExpression};

use super::decide::Call;
use super::entities::{TYPES, chain, reference, references, uid};
use super::reads::Reads;

/// The whole context; the schema's `Circumstances` names the same members. Cedar reads a time of day by regular
/// expressions, which costs as much as a tenth of the decision: where no policy asks for the time, none is told.
pub(super) fn of(call: &Call<'_>, reads: &Reads) -> Result<Context, String> {
    let Call { subject, circumstances, .. } = call;
    let yes_no = RestrictedExpression::new_bool;
    let time = match reads.time() {
        true => circumstances.time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        false => "1970-01-01".to_owned(),
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
        ("time", RestrictedExpression::new_datetime(time)),
        ("source", RestrictedExpression::new_ip(circumstances.source.to_string())),
    ];
    let members = members.into_iter().chain(grant).map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(members).map_err(|error| chain(&error))
}
