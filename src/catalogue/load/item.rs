//! Reads the `[[items]]` of a resource: what each inherits, and that none stands inside another.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Item, Level, Operation, Sharing};
use super::{Reading, SHARING, level};
use crate::disclosure::{ContentKind, JsonPath, Likeness, Preset};
use crate::lang::Text;
use crate::written::{Place, Table, is_id};

const MOST_ITEMS: usize = 500;

/// What an item takes from its resource where it does not set it.
pub(super) struct Inherited<'r> {
    pub(super) resource: &'r str,
    pub(super) sharing: Sharing,
    pub(super) level: Level,
    pub(super) grade: i64,
    pub(super) classes: &'r [Arc<str>],
}

impl Reading<'_> {
    /// All items; opaque content adds the implicit item `*`.
    pub(super) fn items<'o>(
        &mut self,
        root: &Table<'_, '_>,
        inherited: &Inherited<'_>,
        operations: impl Iterator<Item = &'o Operation> + Clone,
    ) -> Vec<Item> {
        let tables = root.tables("items");
        if tables.len() > MOST_ITEMS {
            let message = Text::new(
                format!("数据项有 {} 个，最多 {MOST_ITEMS} 个", tables.len()),
                format!("there are {} items; at most {MOST_ITEMS} are allowed", tables.len()),
            );
            root.error("items", "too_many_items", message, None);
        }
        let opaque = operations.clone().any(|operation| operation.content == ContentKind::Opaque);
        if tables.is_empty() && operations.clone().any(|operation| operation.content != ContentKind::Opaque) {
            root.missing("items");
        }
        let mut items = Vec::new();
        let mut paths = Vec::new();
        let mut places: HashMap<Arc<str>, Place> = HashMap::new();
        for table in tables.into_iter().take(MOST_ITEMS) {
            let Some((item, place, written)) = self.item(table, inherited) else { continue };
            if places.insert(item.name.clone(), place.clone()).is_some() {
                let message = Text::new(format!("数据项 `{}` 重复", item.name), format!("item `{}` is declared twice", item.name));
                self.problems.error(&place, "duplicate_item", message, None);
                continue;
            }
            paths.extend(item.paths.iter().cloned().zip(written).map(|(path, place)| (path, place, item.name.clone())));
            items.push(item);
        }
        self.report_nested(&paths);
        if opaque {
            items.push(whole(inherited, &items));
        }
        items
    }

    fn item(&mut self, table: Table<'_, '_>, inherited: &Inherited<'_>) -> Option<(Item, Place, Vec<Place>)> {
        let place = table.place_of("name");
        let name = table.parsed("name", item_name);
        let title = table.text("title");
        let (paths, written) = self.paths(&table);
        let element = table.opt_string("element").map(|element| element.value).filter(|element| !element.is_empty());
        let authoritative = table.opt_bool("authoritative").unwrap_or_default();
        let sharing = table.choice_or("sharing", &SHARING, inherited.sharing);
        let level = table.opt_parsed("level", level).map_or(inherited.level, |level| level.value);
        let grade = table.opt_integer("grade", 1..=4).unwrap_or(inherited.grade);
        let personal = table.opt_bool("personal").unwrap_or_default();
        let sensitive = table.opt_bool("sensitive").unwrap_or_default();
        let own = self.classes(&table);
        let mask = table.opt_parsed("mask", Preset::parse).map(|mask| mask.value);
        let joinable = table.opt_bool("joinable").unwrap_or_default();
        let likeness = table.opt_parsed("pseudonym", Likeness::parse).map(|likeness| likeness.value);
        if authoritative {
            match &element {
                Some(element) => self.claim(&table, element, inherited.resource, name.as_ref().map_or("", |name| &name.value)),
                None => table.missing("element"),
            }
        }
        table.finish();
        let mut classes = inherited.classes.to_vec();
        classes.extend(own.into_iter().filter(|class| !inherited.classes.contains(class)));
        let item = Item {
            name: name?.value.into(),
            title: title.unwrap_or_default(),
            paths,
            element,
            authoritative,
            sharing: sharing.unwrap_or(inherited.sharing),
            level,
            grade,
            personal,
            sensitive,
            classes,
            mask,
            joinable,
            likeness,
        };
        Some((item, place, written))
    }

    /// One path, or several for operations of different shapes.
    fn paths(&self, table: &Table<'_, '_>) -> (Vec<JsonPath>, Vec<Place>) {
        if !table.has("path") {
            table.missing("path");
        }
        let written = table.one_or_more("path");
        if written.is_empty() && table.has("path") {
            table.wrong_value("path", "不得为空", "must not be empty");
        }
        let mut paths = Vec::new();
        let mut places = Vec::new();
        for text in written {
            match JsonPath::parse(&text.value) {
                Ok(path) => {
                    paths.push(path);
                    places.push(text.place);
                }
                Err(right) => {
                    let message = Text::new(format!("路径 `{}` 无法识别", text.value), format!("the path `{}` cannot be read", text.value));
                    self.problems.error(&text.place, "wrong_value", message, Some(right));
                }
            }
        }
        (paths, places)
    }

    /// One authoritative source per element (order 809, article 19).
    fn claim(&mut self, table: &Table<'_, '_>, element: &str, resource: &str, item: &str) {
        let place = table.place_of("element");
        let own = format!("{resource}#{item}");
        if let Some((other, first)) = self.claims.get(element) {
            let (file, line) = (&first.file, first.line);
            let message = Text::new(
                format!("数据元 `{element}` 已由 `{other}` 作为数源登记（{file}:{line}）"),
                format!("element `{element}` is already claimed by `{other}` ({file}:{line})"),
            );
            let help = Text::new(
                "一数一源：只留一处 `authoritative = true`（条例第十九条）",
                "one source per element: keep one `authoritative = true` (order 809, article 19)",
            );
            return self.problems.error(&place, "two_claimants", message, Some(help));
        }
        self.claims.insert(element.to_owned(), (own, place));
    }

    /// An item inside another would be disclosed in two forms at once.
    fn report_nested(&self, paths: &[(JsonPath, Place, Arc<str>)]) {
        for (at, (path, place, name)) in paths.iter().enumerate() {
            let other = paths.iter().take(at).find(|(other, ..)| other.overlaps(path));
            if let Some((other, _, around)) = other {
                let message = Text::new(
                    format!("数据项 `{name}` 的路径 {path} 与 `{around}` 的 {other} 重叠"),
                    format!("the path {path} of item `{name}` overlaps {other} of `{around}`"),
                );
                let help = Text::new("一个值只能属于一个数据项", "a value belongs to one item only");
                self.problems.error(place, "nested_items", message, Some(help));
            }
        }
    }
}

fn item_name(text: &str) -> Result<String, Text> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    Err(Text::new(
        "以字母开头，只含字母、数字、点、下划线、连字符，最长 64 个字节",
        "a letter, then letters, digits, `.`, `_` or `-`, at most 64 bytes",
    ))
}

/// Opaque content as one item, as strict as the strictest that is declared.
fn whole(inherited: &Inherited<'_>, items: &[Item]) -> Item {
    Item {
        name: "*".into(),
        title: Text::new("全部内容", "the whole content"),
        paths: vec![JsonPath::root()],
        element: None,
        authoritative: false,
        sharing: inherited.sharing,
        level: items.iter().map(|item| item.level).fold(inherited.level, Ord::max),
        grade: items.iter().map(|item| item.grade).fold(inherited.grade, Ord::max),
        personal: items.iter().any(|item| item.personal),
        sensitive: items.iter().any(|item| item.sensitive),
        classes: inherited.classes.to_vec(),
        mask: None,
        joinable: false,
        likeness: None,
    }
}
