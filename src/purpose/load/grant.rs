//! Reads one of the `[[grants]]`. There may be a hundred thousand, so nothing here looks at two grants at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::super::{Approval, Grant, GrantStatus, Holder, Items, Quota, ResourcePattern, Scenario, Side};
use super::{dangling, department, kinds, pattern, validity};
use crate::catalogue::{Catalogue, Item, Kind, Mode, Operation, Resource, Sharing, SubjectSource};
use crate::disclosure::{Form, FormSet};
use crate::identity::parties::Parties;
use crate::lang::Text;
use crate::written::{Problems, Table, Word, did_you_mean, is_region, units};

const FORMS: [(&str, Form); 4] =
    [("reveal", Form::Reveal), ("mask", Form::Mask), ("pseudonymise", Form::Pseudonymise), ("compare", Form::Compare)];
const STATUS: [(&str, GrantStatus); 3] =
    [("active", GrantStatus::Active), ("suspended", GrantStatus::Suspended), ("terminated", GrantStatus::Terminated)];
const SIDES: [(&str, Side); 2] = [("demander", Side::Demander), ("provider", Side::Provider)];
const MODES: [(&str, Mode); 3] =
    [("service_interface", Mode::ServiceInterface), ("batch_exchange", Mode::BatchExchange), ("file_download", Mode::FileDownload)];

/// What reading a grant needs of the rest, and what the grants so far share.
pub(super) struct Reading<'r> {
    parties: &'r Parties,
    catalogue: &'r Catalogue,
    scenarios: &'r HashMap<Arc<str>, Arc<Scenario>>,
    /// By resource and name.
    assets: HashMap<&'r str, Asset<'r>>,
    /// `RESOURCE#NAME` of every item, by its number.
    ids: Vec<Arc<str>>,
    texts: Mutex<HashSet<Arc<str>, RandomState>>,
    sets: Mutex<HashMap<Box<[Approved]>, Arc<Items>, RandomState>>,
}

struct Asset<'r> {
    resource: &'r Resource,
    /// Each item and its number.
    items: HashMap<&'r str, (u32, &'r Item), RandomState>,
}

/// An item's number, and the forms approved for it.
type Approved = (u32, FormSet);

impl<'r> Reading<'r> {
    pub(super) fn new(parties: &'r Parties, catalogue: &'r Catalogue, scenarios: &'r HashMap<Arc<str>, Arc<Scenario>>) -> Self {
        let (mut ids, mut assets, mut number) = (Vec::new(), HashMap::new(), 0..);
        for resource in catalogue.resources.values() {
            ids.extend(resource.items.iter().map(|item| Arc::from(format!("{}#{}", resource.id, item.name))));
            let items = number.by_ref().zip(&resource.items).map(|(number, item)| (&*item.name, (number, item))).collect();
            assets.insert(&*resource.id, Asset { resource, items });
        }
        Self { parties, catalogue, scenarios, assets, ids, texts: Mutex::default(), sets: Mutex::default() }
    }

    /// What many grants say alike is held once.
    fn text(&self, text: &str) -> Arc<str> {
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        known.insert(text.clone());
        text
    }

    /// So are the sets of items.
    fn set(&self, approved: &[Approved]) -> Arc<Items> {
        let mut known = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(approved) {
            return known.clone();
        }
        let items = approved.iter().filter_map(|(number, forms)| Some((self.ids.get(*number as usize)?.clone(), *forms)));
        let items = Arc::new(items.collect::<Items>());
        known.insert(approved.into(), items.clone());
        items
    }

    /// Reads one grant.
    pub(super) fn read(&self, table: Table<'_, '_>) -> Option<Grant> {
        let id = table.id("id");
        let holder = self.holder(&table);
        let resource = table.word("resource").and_then(|written| pattern(&table, written, self.parties, self.catalogue));
        let scenario = self.scenario(&table, resource.as_ref());
        let kinds = kinds(&table);
        let items = self.items(&table, resource.as_ref());
        let regions = self.regions(&table, items.as_deref());
        let quota = table.opt_table("quota").map(quota).unwrap_or_default();
        let application = table.filled_word("application").map(|word| word.text.into());
        let legal_basis = table.filled_word("legal_basis").map(|word| self.text(word.text));
        let mode = table.choice("mode", &MODES);
        let validity = validity(&table);
        let status = table.choice("status", &STATUS);
        let approvals = self.approvals(&table, validity.map(|(_, until)| until));
        table.finish();
        let (id, (valid_from, valid_until)) = (id?, validity?);
        Some(Grant {
            id: id.value,
            holder: holder?,
            resource: resource?,
            scenario: scenario?,
            kinds,
            items: items?,
            regions,
            quota,
            application: application?,
            legal_basis: legal_basis?,
            mode: mode?,
            valid_from,
            valid_until,
            status: status?,
            approvals,
            place: id.place,
        })
    }

    fn holder(&self, table: &Table<'_, '_>) -> Option<Holder> {
        let (requester, holding) = (table.opt_word("requester"), table.opt_word("department"));
        if requester.is_none() && holding.is_none() && !table.has("requester") && !table.has("department") {
            let message = Text::new("授权须写明 `requester` 或 `department`", "a grant needs a `requester` or a `department`");
            table.problems().error(&table.place(), "missing_holder", message, None);
            return None;
        }
        let department = holding.map(|written| department(table, written, self.parties));
        let requester = requester.map(|written| {
            let known = self.parties.requesters.get_key_value(written.text);
            if known.is_none() {
                dangling(table, written, ("需求系统", "requester"), self.parties.requesters.keys());
            }
            known
        });
        if let (Some(Some((_, requester))), Some(Some(department))) = (&requester, &department)
            && requester.value.calls_for(department).is_none()
        {
            let requester = &requester.value.id;
            let message = Text::new(
                format!("需求系统 `{requester}` 不属于也不服务于部门 `{department}`"),
                format!("requester `{requester}` neither belongs to department `{department}` nor serves it"),
            );
            table.error("department", "not_served", message, None);
        }
        // Named but not registered: reported above, and no holder.
        let requester = match requester {
            Some(known) => Some(known?.0.clone()),
            None => None,
        };
        let department = match department {
            Some(known) => Some(known?),
            None => None,
        };
        Some(Holder { requester, department })
    }

    fn scenario(&self, table: &Table<'_, '_>, resource: Option<&ResourcePattern>) -> Option<Arc<str>> {
        let written = table.word("scenario")?;
        let Some((id, scenario)) = self.scenarios.get_key_value(written.text) else {
            dangling(table, written, ("场景", "scenario"), self.scenarios.keys());
            return None;
        };
        if resource.is_some_and(|resource| !scenario.resources.iter().any(|covered| meet(covered, resource, self.catalogue))) {
            let message = Text::new(
                format!("场景 `{id}` 不包含所授权的数据资源，该授权永远用不上"),
                format!("scenario `{id}` covers nothing of what is granted: the grant is never used"),
            );
            table.problems().warning(&written.place(), "never_used", message, None);
        }
        Some(id.clone())
    }

    fn items(&self, table: &Table<'_, '_>, resource: Option<&ResourcePattern>) -> Option<Arc<Items>> {
        let written = table.table("items")?;
        let one = match resource {
            Some(ResourcePattern::One(id)) => self.assets.get(&**id),
            _ => None,
        };
        let mut approved: Vec<Approved> = Vec::new();
        for key in written.names() {
            let forms = forms(&written, key);
            // Without a known resource its items cannot be told from unknown ones.
            let Some(resource) = resource else { continue };
            let found = match one {
                Some(asset) => asset.items.get(key.text).map(|found| (asset, found)),
                None => self.item_of_all(resource, key.text),
            };
            let Some((asset, (number, item))) = found else {
                self.report_unknown(resource, key, table.problems());
                continue;
            };
            warn(key, item, forms, table.problems());
            warn_of_what_was_sent(key, asset.resource, item, forms, table.problems());
            approved.push((*number, forms));
        }
        written.finish();
        Some(self.set(&approved))
    }

    /// The item that a grant for all of a provider's resources names `written`.
    fn item_of_all(&self, resource: &ResourcePattern, written: &str) -> Option<(&Asset<'r>, &(u32, &'r Item))> {
        let (of, name) = written.split_once('#').filter(|_| self.covers(resource, written))?;
        let asset = self.assets.get(of)?;
        Some((asset, asset.items.get(name)?))
    }

    fn covers(&self, resource: &ResourcePattern, item: &str) -> bool {
        let id = item.split_once('#').map_or(item, |(id, _)| id);
        self.catalogue.resources.get(id).is_some_and(|found| resource.covers(&found.id, &found.provider))
    }

    fn report_unknown(&self, resource: &ResourcePattern, key: Word<'_, '_>, problems: &Problems) {
        let written = key.text;
        let known: Vec<&str> = match resource {
            ResourcePattern::One(id) => {
                self.catalogue.resources.get(id).into_iter().flat_map(|found| &found.items).map(|item| &*item.name).collect()
            }
            ResourcePattern::Provider(_) => self.ids.iter().map(|id| &**id).filter(|id| self.covers(resource, id)).collect(),
        };
        let (zh, en) = match resource {
            ResourcePattern::One(id) => {
                (format!("数据资源 `{id}` 没有数据项 `{written}`"), format!("resource `{id}` has no item `{written}`"))
            }
            ResourcePattern::Provider(id) => (
                format!("部门 `{id}` 没有数据项 `{written}`，应写 `资源#数据项`"),
                format!("department `{id}` has no item `{written}`; write `RESOURCE#NAME`"),
            ),
        };
        problems.error(&key.place(), "unknown_item", Text::new(zh, en), did_you_mean(written, known));
    }

    /// Regions whose records the grant covers. They cap what is shown, so each resource must be able to tell its records'.
    fn regions(&self, table: &Table<'_, '_>, items: Option<&Items>) -> Vec<Arc<str>> {
        let written: Vec<Word<'_, '_>> = table.words("regions").collect();
        if let (Some(region), Some(resource)) = (written.first(), items.and_then(|items| self.unfiltered(items))) {
            let message = Text::new(
                format!("数据资源 `{resource}` 没有 `region_item`，无法按行政区划限定"),
                format!("resource `{resource}` has no `region_item`: its records cannot be limited to regions"),
            );
            table.problems().error(&region.place(), "no_region_item", message, None);
        }
        let mut regions: Vec<Arc<str>> = Vec::with_capacity(written.len());
        for region in written {
            let text = region.text;
            if !is_region(text) {
                let message = Text::new(format!("`{text}` 不是行政区划代码"), format!("`{text}` is not a region code"));
                let help = Text::new("应为 6 至 12 位数字", "6 to 12 digits");
                table.problems().error(&region.place(), "wrong_value", message, Some(help));
            } else if !self.parties.knows_region(text) {
                dangling(table, region, ("行政区划", "region"), self.parties.regions.keys());
            } else {
                regions.push(text.into());
            }
        }
        regions
    }

    /// The first resource of the items whose records tell no region.
    fn unfiltered<'i>(&self, items: &'i Items) -> Option<&'i str> {
        let resources: BTreeSet<&str> = items.keys().filter_map(|item| item.split_once('#')).map(|(resource, _)| resource).collect();
        resources.into_iter().find(|id| self.catalogue.resources.get(*id).is_some_and(|found| found.region.is_none()))
    }

    /// Both sides approve (order 809, article 20).
    fn approvals(&self, table: &Table<'_, '_>, until: Option<jiff::civil::Date>) -> Vec<Approval> {
        let mut approvals = Vec::with_capacity(SIDES.len());
        let mut sides = Vec::new();
        for approval in table.tables("approvals") {
            let side = approval.choice("side", &SIDES);
            let name = approval.filled_word("name");
            let post = approval.filled_word("post");
            let date = approval.read("date", units::date);
            let document = approval.filled_word("document");
            if date.zip(until).is_some_and(|(date, until)| date > until) {
                let message = Text::new("审批日期晚于授权的截止日期", "the approval is dated after the grant's last day");
                approval.problems().warning(&approval.place_of("date"), "approved_late", message, None);
            }
            approval.finish();
            sides.extend(side);
            if let (Some(side), Some(name), Some(post), Some(date), Some(document)) = (side, name, post, date, document) {
                let [name, post, document] = [name, post, document].map(|word| self.text(word.text));
                approvals.push(Approval { side, name, post, date, document });
            }
        }
        for (side, zh) in [(SIDES[0], "需求部门"), (SIDES[1], "提供部门")] {
            if !sides.contains(&side.1) {
                let message = Text::new(
                    format!("缺少{zh}一方的审批（side = \"{}\"）", side.0),
                    format!("the approval of the `{}` side is missing", side.0),
                );
                let help =
                    Text::new("双方政务数据共享工作机构负责人均须审批（条例第二十条）", "both sides approve (order 809, article 20)");
                table.problems().error(&table.place(), "missing_approval", message, Some(help));
            }
        }
        approvals
    }
}

/// A mask over what the caller itself sent hides nothing from it.
fn warn_of_what_was_sent(key: Word<'_, '_>, resource: &Resource, item: &Item, forms: FormSet, problems: &Problems) {
    if forms.contains(Form::Reveal) || !(forms.contains(Form::Mask) || forms.contains(Form::Pseudonymise)) {
        return;
    }
    let is_item = |sent: &str| *item.name == *sent || item.paths.iter().any(|path| path.last_name() == Some(sent));
    let mut shown = resource.operations.iter().filter(|operation| operation.kind != Kind::Verify).peekable();
    let sent = |operation: &Arc<Operation>| match &operation.subject {
        Some(SubjectSource::Content(path)) => path.last_name().is_some_and(is_item),
        Some(SubjectSource::Path(name) | SubjectSource::Query(name)) => is_item(name),
        None => false,
    };
    if shown.peek().is_some() && shown.all(sent) {
        let name = key.text;
        let message = Text::new(
            format!("`{name}` 由调用方自己写明，脱敏或假名化对它不起作用"),
            format!("the caller sends `{name}` itself: masking it hides nothing from it"),
        );
        let help = Text::new("不需要返回的，不列入授权即可", "where it need not come back, leave it out of the grant");
        problems.warning(&key.place(), "mask_of_what_was_sent", message, Some(help));
    }
}

/// Forms that can never be used: approved by mistake, or missing in the catalogue.
fn warn(key: Word<'_, '_>, item: &Item, forms: FormSet, problems: &Problems) {
    let name = key.text;
    let warn = |code, zh: String, en: String| problems.warning(&key.place(), code, Text::new(zh, en), None);
    if item.sharing == Sharing::NotShared {
        warn(
            "item_not_shared",
            format!("数据项 `{name}` 不予共享，授权不起作用"),
            format!("item `{name}` is not shared: the grant has no effect on it"),
        );
    }
    if &*item.name == "*" {
        if forms.iter().any(|form| form != Form::Reveal) {
            warn("never_used", "整体内容只能原值提供".to_owned(), "opaque content is revealed whole or not at all".to_owned());
        }
    } else if forms.contains(Form::Mask) && item.mask.is_none() {
        warn(
            "mask_without_preset",
            format!("数据项 `{name}` 未设脱敏规则，`mask` 用不上"),
            format!("item `{name}` has no mask preset: `mask` is never used"),
        );
    }
}

/// Whether both can cover one resource.
fn meet(a: &ResourcePattern, b: &ResourcePattern, catalogue: &Catalogue) -> bool {
    let covers = |id: &Arc<str>, pattern: &ResourcePattern| {
        catalogue.resources.get(id).is_some_and(|found| pattern.covers(&found.id, &found.provider))
    };
    match (a, b) {
        (ResourcePattern::One(id), pattern) | (pattern, ResourcePattern::One(id)) => covers(id, pattern),
        (ResourcePattern::Provider(a), ResourcePattern::Provider(b)) => a == b,
    }
}

fn forms(items: &Table<'_, '_>, key: Word<'_, '_>) -> FormSet {
    let mut forms = FormSet::default();
    let mut written = items.words(key.text).peekable();
    if written.peek().is_none() {
        items.wrong_value(key.text, "应列出提供形式，例如 `[\"mask\"]`", "must list forms, such as `[\"mask\"]`");
    }
    for word in written {
        match FORMS.iter().find(|(name, _)| *name == word.text) {
            Some((_, form)) => forms.insert(*form),
            None => {
                let message = Text::new(format!("没有 `{}` 这种提供形式", word.text), format!("there is no form `{}`", word.text));
                let help = Text::new(
                    "可用：`reveal`、`mask`、`pseudonymise`、`compare`",
                    "there are `reveal`, `mask`, `pseudonymise` and `compare`",
                );
                items.problems().error(&word.place(), "wrong_value", message, Some(help));
            }
        }
    }
    forms
}

fn quota(table: Table<'_, '_>) -> Quota {
    let rate = table.opt_parsed("rate", units::rate).map(|rate| rate.value);
    let count = |key: &str| table.opt_integer(key, 1..=i64::MAX).and_then(|count| u64::try_from(count).ok());
    let (calls_per_day, records_per_day, records_per_call) = (count("calls_per_day"), count("records_per_day"), count("records_per_call"));
    if let (Some(day), Some(call)) = (records_per_day, records_per_call)
        && call > day
    {
        let (zh, en) = (format!("不得超过 `records_per_day`（{day}）"), format!("must not be over `records_per_day` ({day})"));
        table.wrong_value("records_per_call", &zh, &en);
    }
    table.finish();
    Quota { rate, calls_per_day, records_per_day, records_per_call }
}
