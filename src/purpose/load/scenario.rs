//! Reads one scenario.

use jiff::civil::Date;

use super::super::{CaseRule, Emergency, Scenario, ScenarioStatus};
use super::{department, kinds, pattern, validity};
use crate::catalogue::Catalogue;
use crate::identity::parties::Parties;
use crate::written::{Table, units};

const CASES: [(&str, CaseRule); 2] = [("optional", CaseRule::Optional), ("required", CaseRule::Required)];
const STATUS: [(&str, ScenarioStatus); 3] =
    [("approved", ScenarioStatus::Approved), ("suspended", ScenarioStatus::Suspended), ("ended", ScenarioStatus::Ended)];

/// The scenario of one file.
pub(super) fn read(root: Table<'_, '_>, parties: &Parties, catalogue: &Catalogue) -> Option<Scenario> {
    let id = root.id("id");
    let name = root.text("name");
    let purpose = root.filled("purpose").map(|text| text.value);
    let lead = root.word("lead").and_then(|lead| department(&root, lead, parties));
    let participants = root.words("participants").filter_map(|id| department(&root, id, parties)).collect();
    if !root.has("resources") {
        root.missing("resources");
    }
    let mut resources = root.words("resources").peekable();
    if resources.peek().is_none() && root.has("resources") {
        root.wrong_value("resources", "不得为空", "must not be empty");
    }
    let resources = resources.filter_map(|written| pattern(&root, written, parties, catalogue)).collect();
    let kinds = kinds(&root);
    let legal_basis = root.filled("legal_basis").map(|text| text.value);
    let matter_codes = root.strings("matter_codes").into_iter().map(|code| code.value).collect();
    let case = root.choice_or("case", &CASES, CaseRule::Required);
    let max_grade = root.opt_integer("max_grade", 1..=4).unwrap_or(1);
    let validity = validity(&root);
    let status = root.choice("status", &STATUS);
    let emergency = root.opt_table("emergency").and_then(emergency);
    root.finish();
    // What could not be read is reported, and the load refused: stand-ins keep one mistake from being many errors.
    let (id, (valid_from, valid_until)) = (id?, validity.unwrap_or((Date::MIN, Date::MAX)));
    Some(Scenario {
        id: id.value,
        name: name.unwrap_or_default(),
        purpose: purpose.unwrap_or_default(),
        lead: lead.unwrap_or_default(),
        participants,
        resources,
        kinds,
        legal_basis: legal_basis.unwrap_or_default(),
        matter_codes,
        case: case.unwrap_or(CaseRule::Required),
        max_grade,
        valid_from,
        valid_until,
        status: status.unwrap_or(ScenarioStatus::Suspended),
        emergency,
        place: id.place,
    })
}

fn emergency(table: Table<'_, '_>) -> Option<Emergency> {
    let order = table.filled("order").map(|order| order.value);
    let (from, until) = (table.parsed("from", units::moment), table.parsed("until", units::moment));
    if let (Some(from), Some(until)) = (&from, &until)
        && until.value <= from.value
    {
        table.wrong_value("until", "应晚于 `from`", "must be after `from`");
    }
    table.finish();
    Some(Emergency { order: order?, from: from?.value, until: until?.value })
}
