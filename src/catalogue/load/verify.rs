//! Reads what makes an operation a `verify` operation: `ask` and `compare`, and that both fit the rest of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::Method;

use super::super::verify::{Ask, Verify, each_string, pieces};
use super::super::{Item, Kind, Operation, Region, Sharing, SubjectSource, template};
use crate::disclosure::compare::{Compared, Comparison};
use crate::disclosure::path::Segment;
use crate::disclosure::{ContentKind, JsonPath};
use crate::lang::Text;
use crate::written::{Placed, Problems, Table, did_you_mean};

/// What the origin may be asked with: a claim is verified without changing anything there.
const METHODS: [(&str, &Method); 2] = [("GET", &Method::GET), ("POST", &Method::POST)];

/// `ask` and `compare`; the compared items are found later, when the resource's items are known.
pub(super) fn read(table: &Table<'_, '_>, kind: Option<Kind>) -> (Option<Verify>, Vec<Placed<String>>) {
    let compare = table.strings("compare");
    if kind != Some(Kind::Verify) {
        for key in ["ask", "compare"].into_iter().filter(|key| kind.is_some() && table.has(key)) {
            table.wrong_value(key, "只用于 `kind = \"verify\"` 的操作", "goes with `kind = \"verify\"` only");
        }
        table.opt_table("ask").map(|ask| ask.keys());
        return (None, Vec::new());
    }
    if !table.has("compare") {
        table.missing("compare");
    } else if compare.is_empty() {
        table.wrong_value("compare", "不得为空", "must not be empty");
    }
    let Some(ask) = table.table("ask").and_then(ask) else { return (None, compare) };
    let members = ask.names().into_iter().chain(compare.iter().map(|name| name.value.as_str())).map(Arc::from).collect();
    (Some(Verify { members, ask, comparison: Arc::default() }), compare)
}

fn ask(table: Table<'_, '_>) -> Option<Ask> {
    let method = table.choice("method", &METHODS).cloned();
    let path = table.parsed("path", template::check);
    let content = table.opt_json("content");
    if let Some(content) = &content {
        if method == Some(Method::GET) {
            table.wrong_value("content", "不能与 `method = \"GET\"` 同用", "does not go with `method = \"GET\"`");
        }
        each_string(&content.value, &mut |text| {
            if pieces(text).is_none() {
                let message = Text::new(format!("`content` 中的 `{text}` 无法识别"), format!("`{text}` in `content` cannot be read"));
                let help = Text::new("花括号只用于 `{成员名}`", "braces stand for `{member}` only");
                table.error("content", "wrong_value", message, Some(help));
            }
        });
    }
    // Without its content it is not known what the members are.
    let readable = content.is_some() || !table.has("content");
    table.finish();
    readable.then_some(Ask { method: method?, path: path?.value, content: content.map(|content| content.value) })
}

/// What would go unused or unread in a `verify` operation.
pub(super) fn fits(table: &Table<'_, '_>, operation: &Operation) {
    if operation.kind != Kind::Verify {
        return;
    }
    if !matches!(operation.method, Method::POST | Method::PUT | Method::PATCH) {
        table.wrong_value("method", "应为 POST：所核验的值写在请求内容中", "must be POST: what is claimed stands in the content");
    }
    if template::names(&operation.path).next().is_some() {
        table.wrong_value("path", "不得含参数：所核验的值写在请求内容中", "takes no parameter: what is claimed stands in the content");
    }
    for key in ["parameters", "origin_path"].into_iter().filter(|key| table.has(key)) {
        if key == "origin_path" || !operation.parameters.is_empty() {
            table.wrong_value(key, "不用于核验：转交什么由 `ask` 写明", "is not for a verify operation: `ask` says what is sent on");
        }
    }
    if operation.content != ContentKind::Json {
        table.wrong_value("content", "应为 `json`：核验要读懂应答", "must be `json`: a claim is held against what the answer says");
    }
    let Some(verify) = &operation.verify else { return };
    let claimed = match &operation.subject {
        None => true,
        Some(SubjectSource::Content(JsonPath(path))) => match path.as_slice() {
            [Segment::Name(name)] => verify.members.contains(name.as_str()),
            _ => false,
        },
        Some(SubjectSource::Path(_) | SubjectSource::Query(_)) => false,
    };
    if !claimed {
        let members = verify.members.iter().map(|name| format!("`content.$.{name}`")).collect::<Vec<_>>().join(", ");
        let help = Text::new(format!("可用：{members}"), format!("there are {members}"));
        let message = Text::new("`subject` 应为调用方写明的成员之一", "`subject` must be one of the members that the caller claims");
        table.error("subject", "wrong_value", message, Some(help));
    }
}

/// Finds the compared items.
pub(super) fn compare(operation: &mut Operation, written: &[Placed<String>], items: &[Item], region: Option<&Region>, problems: &Problems) {
    let Some(verify) = &mut operation.verify else { return };
    let mut found: Vec<Compared> = Vec::with_capacity(written.len());
    let mut seen = BTreeSet::new();
    for name in written {
        let report = |code, zh: String, en: String, help| problems.error(&name.place, code, Text::new(zh, en), help);
        let text = &name.value;
        if !seen.insert(text) {
            report("duplicate_item", format!("数据项 `{text}` 重复"), format!("item `{text}` stands twice"), None);
            continue;
        }
        let Some(item) = items.iter().find(|item| *item.name == **text && &*item.name != "*") else {
            let help = did_you_mean(text, items.iter().map(|item| &*item.name));
            report("unknown_item", format!("没有数据项 `{text}`"), format!("there is no item `{text}`"), help);
            continue;
        };
        let paths: Vec<JsonPath> = item.paths.iter().filter_map(|path| path.within(&operation.records)).collect();
        // An item without paths is reported where it stands.
        if paths.is_empty() && !item.paths.is_empty() {
            let records = &operation.records;
            let help = Text::new("核验逐条比对：所比对的数据项应在记录之内", "records are compared: a compared item stands in one");
            let (zh, en) =
                (format!("数据项 `{text}` 不在记录 {records} 之内"), format!("item `{text}` does not stand in a record, {records}"));
            report("wrong_value", zh, en, Some(help));
        }
        if item.sharing == Sharing::NotShared {
            let message = Text::new(
                format!("数据项 `{text}` 不予共享，此核验永不放行"),
                format!("item `{text}` is not shared: this claim is never verified"),
            );
            problems.warning(&name.place, "item_not_shared", message, None);
        }
        found.push(Compared { name: item.name.clone(), paths });
    }
    let region = region.map(|region| region.paths.iter().filter_map(|path| path.within(&operation.records)).collect());
    verify.comparison = Arc::new(Comparison { records: operation.records.clone(), items: found, region });
}
