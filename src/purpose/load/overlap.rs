//! Two grants of the same holder, scenario and resources for the same kind of operation on the same day: nobody could
//! say which one a call is under.

use std::collections::HashMap;

use super::super::held::Held;
use super::super::{Grant, GrantStatus};
use crate::catalogue::Kind;
use crate::lang::Text;
use crate::written::Problems;

/// Reports each grant that overlaps an earlier one; terminated ones are aside. Costs one sort, however many there are.
pub(super) fn report(held: &Held, problems: &Problems) {
    for grants in held.all().filter(|grants| grants.len() > 1) {
        let mut grants: Vec<&Grant> = grants.iter().map(|grant| &**grant).filter(|grant| grant.status != GrantStatus::Terminated).collect();
        grants.sort_by(|a, b| (a.valid_from, &a.id).cmp(&(b.valid_from, &b.id)));
        let mut latest: HashMap<Kind, &Grant> = HashMap::new();
        for &grant in grants.iter() {
            let other = grant.kinds.iter().filter_map(|kind| latest.get(kind)).find(|other| grant.valid_from <= other.valid_until);
            if let Some(other) = other {
                report_one(grant, other, problems);
            }
            for kind in &grant.kinds {
                latest
                    .entry(*kind)
                    .and_modify(|known| *known = if known.valid_until < grant.valid_until { grant } else { known })
                    .or_insert(grant);
            }
        }
    }
}

fn report_one(grant: &Grant, other: &Grant, problems: &Problems) {
    // The later written one is to blame, for whoever has just added it.
    let (grant, other) = if grant.place < other.place { (other, grant) } else { (grant, other) };
    let (id, first) = (&grant.id, &other.id);
    let message = Text::new(
        format!("授权 `{id}` 与 `{first}` 重叠：持有方、场景、数据资源相同，操作类型和有效期有重合"),
        format!("grant `{id}` overlaps `{first}`: same holder, scenario and resource, a shared kind and a common day"),
    );
    let help = Text::new(
        "先将原授权终止，或错开有效期（扩大范围须另行申请，条例第二十五条）",
        "terminate the earlier one, or let their dates not meet (a wider range is a new grant: order 809, article 25)",
    );
    problems.error(&grant.place, "overlapping_grants", message, Some(help));
}
