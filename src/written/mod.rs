//! What was written: strict reading of TOML with positions. Unknown keys are errors, every error names file, line,
//! column and what would be right, and reading goes on after an error so that one run reports all of them.
//!
//! A loader opens a [`Document`], takes each key it knows from its [`Table`]s and calls [`Table::finish`], which
//! reports what nobody took. Problems gather in [`Problems`]; a loader returns `None` for what it could not read.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

mod json;
mod parts;
mod problem;
pub mod units;
mod words;

pub use parts::{Part, parts};
pub use problem::{Lines, Place, Placed, Problem, Problems, place_in};
use words::distance;
pub use words::{is_id, is_region, nearest};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::lang::Text;

/// A text file and its name, from which places are counted.
pub struct Document<'i> {
    file: Arc<str>,
    text: &'i str,
    /// Lines of the file before this text.
    above: u32,
    root: Spanned<DeTable<'i>>,
    lines: OnceCell<Lines>,
}

impl<'i> Document<'i> {
    /// Parses TOML; syntax errors go to `problems`, and what could be read is still there to be judged.
    pub fn parse(file: &str, text: &'i str, problems: &Problems) -> Self {
        Self::part(&file.into(), &Part { text, above: 0 }, problems)
    }

    /// A part of a file; places are those in the whole file.
    pub fn part(file: &Arc<str>, &Part { text, above }: &Part<'i>, problems: &Problems) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { file: file.clone(), text, above, root, lines: OnceCell::new() };
        for error in errors {
            let place = document.place(error.span().unwrap_or(0..0));
            let message = Text::new(format!("TOML 语法错误：{}", error.message()), format!("not valid TOML: {}", error.message()));
            problems.error(&place, "toml_syntax", message, None);
        }
        document
    }

    /// The table at the top of the file.
    pub fn root<'d>(&'d self, problems: &'d Problems) -> Table<'d, 'i> {
        Table { document: self, problems, table: self.root.get_ref(), span: 0..0, name: String::new(), taken: RefCell::default() }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let lines = self.lines.get_or_init(|| Lines::of(self.text));
        let place = lines.place(&self.file, self.text, span.start);
        Place { line: place.line.saturating_add(self.above), ..place }
    }
}

/// One table of a document; remembers which keys were taken.
pub struct Table<'d, 'i> {
    document: &'d Document<'i>,
    problems: &'d Problems,
    table: &'d DeTable<'i>,
    span: Range<usize>,
    name: String,
    /// Keys that are there are borrowed: a file of grants has millions.
    taken: RefCell<Vec<Cow<'d, str>>>,
}

impl<'d, 'i> Table<'d, 'i> {
    /// Where the table begins.
    pub fn place(&self) -> Place {
        self.document.place(self.span.clone())
    }

    /// Where the value of `key` stands, or the table where it does not.
    pub fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or_else(|| self.place(), |value| self.document.place(value.span()))
    }

    /// The problems that this table reports to.
    pub fn problems(&self) -> &'d Problems {
        self.problems
    }

    /// Whether `key` is written, without taking it.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// All keys, for tables whose keys are data; takes them.
    pub fn keys(&self) -> Vec<Placed<String>> {
        let keys = self.table.keys();
        keys.map(|key| {
            self.taken.borrow_mut().push(Cow::Borrowed(key.get_ref().as_ref()));
            Placed { value: key.get_ref().to_string(), place: self.document.place(key.span()) }
        })
        .collect()
    }

    /// Reports an error at the value of `key`.
    pub fn error(&self, key: &str, code: &'static str, message: Text, help: Option<Text>) {
        self.problems.error(&self.place_of(key), code, message, help);
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn take(&self, key: &str) -> Option<&'d Spanned<DeValue<'i>>> {
        let found = self.table.get_key_value(key);
        self.taken.borrow_mut().push(found.map_or_else(|| Cow::Owned(key.to_owned()), |(key, _)| Cow::Borrowed(key.get_ref().as_ref())));
        found.map(|(_, value)| value)
    }

    /// Reports that `key` is required and absent.
    pub fn missing(&self, key: &str) {
        let name = self.full_name(key);
        self.problems.error(
            &self.place(),
            "missing_key",
            Text::new(format!("缺少必填项 `{name}`"), format!("`{name}` is required and missing")),
            None,
        );
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'i>>, zh: &str, en: &str) {
        let name = self.full_name(key);
        let found = value.get_ref().type_str();
        self.problems.error(
            &self.document.place(value.span()),
            "wrong_type",
            Text::new(format!("`{name}` 应为{zh}，现为 {found}"), format!("`{name}` must be {en}, found {found}")),
            None,
        );
    }

    /// Reports that the value of `key` is not one that is allowed.
    pub fn wrong_value(&self, key: &str, zh: &str, en: &str) {
        let name = self.full_name(key);
        self.error(key, "wrong_value", Text::new(format!("`{name}` {zh}"), format!("`{name}` {en}")), None);
    }

    /// A string that may be absent.
    pub fn opt_string(&self, key: &str) -> Option<Placed<String>> {
        self.take(key).and_then(|value| self.quoted(key, value))
    }

    fn quoted(&self, key: &str, value: &'d Spanned<DeValue<'i>>) -> Option<Placed<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Placed { value: text.to_string(), place: self.document.place(value.span()) }),
            _ => {
                self.wrong_type(key, value, "带引号的字符串", "a string in quotes");
                None
            }
        }
    }

    /// A string that must be there; it may be empty.
    pub fn string(&self, key: &str) -> Option<Placed<String>> {
        match self.take(key) {
            Some(value) => self.quoted(key, value),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// A string that must be there and not be blank.
    pub fn filled(&self, key: &str) -> Option<Placed<String>> {
        let text = self.string(key)?;
        if text.value.trim().is_empty() {
            self.wrong_value(key, "不得为空", "must not be empty");
            return None;
        }
        Some(text)
    }

    /// An identifier: `[A-Za-z][A-Za-z0-9._-]{0,63}`.
    pub fn id(&self, key: &str) -> Option<Placed<Arc<str>>> {
        let Placed { value, place } = self.string(key)?;
        if !is_id(&value) {
            let name = self.full_name(key);
            self.error(
                key,
                "wrong_id",
                Text::new(format!("`{name}` 的值 `{value}` 不是合法标识"), format!("`{name}` is `{value}`, which is not an identifier")),
                Some(Text::new(
                    "以字母开头，只含字母、数字、点、下划线、连字符，最长 64 个字符",
                    "a letter, then letters, digits, `.`, `_` or `-`, at most 64",
                )),
            );
            return None;
        }
        Some(Placed { value: value.into(), place })
    }

    /// A region code: 6 to 12 digits.
    pub fn region(&self, key: &str) -> Option<Placed<Arc<str>>> {
        let Placed { value, place } = self.string(key)?;
        if !is_region(&value) {
            self.wrong_value(key, "应为 6 至 12 位数字的行政区划代码", "must be a region code of 6 to 12 digits");
            return None;
        }
        Some(Placed { value: value.into(), place })
    }

    /// One of the allowed words, found in `choices`.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let found = choices.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            let words = words.join(", ");
            self.wrong_value(key, &format!("应为以下之一：{words}"), &format!("must be one of {words}"));
        }
        found
    }

    /// As [`Table::choice`], with a value for where the key is absent.
    pub fn choice_or<T: Copy>(&self, key: &str, choices: &[(&str, T)], default: T) -> Option<T> {
        if self.has(key) {
            self.choice(key, choices)
        } else {
            self.take(key);
            Some(default)
        }
    }

    /// A truth value that may be absent.
    pub fn opt_bool(&self, key: &str) -> Option<bool> {
        let value = self.take(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "布尔值", "true or false");
        }
        found
    }

    /// A whole number within `range` that may be absent.
    pub fn opt_integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "整数", "a whole number");
            return None;
        };
        let number = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok();
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let (from, to) = (range.start(), range.end());
                self.wrong_value(key, &format!("应在 {from} 至 {to} 之间"), &format!("must be from {from} to {to}"));
                None
            }
        }
    }

    /// A whole number that must be there.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        if !self.has(key) {
            self.take(key);
            self.missing(key);
            return None;
        }
        self.opt_integer(key, range)
    }

    /// A list of strings; an absent key is an empty list.
    pub fn strings(&self, key: &str) -> Vec<Placed<String>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "字符串列表", "a list of strings");
            return Vec::new();
        };
        let items = array.iter().filter_map(|item| match item.get_ref() {
            DeValue::String(text) => Some(Placed { value: text.to_string(), place: self.document.place(item.span()) }),
            _ => {
                self.wrong_type(key, item, "字符串列表", "a list of strings");
                None
            }
        });
        items.collect()
    }

    /// A list of strings, or one string standing for a list of one.
    pub fn one_or_more(&self, key: &str) -> Vec<Placed<String>> {
        match self.table.get(key).map(|value| value.get_ref()) {
            Some(DeValue::String(_)) => self.opt_string(key).into_iter().collect(),
            _ => self.strings(key),
        }
    }

    /// A list of whole numbers within `range`; an absent key is an empty list.
    pub fn integers(&self, key: &str, range: RangeInclusive<i64>) -> Vec<i64> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let numbers = value.get_ref().as_array().map(|array| {
            let number = |item: &Spanned<DeValue<'i>>| item.get_ref().as_integer()?.as_str().parse().ok().filter(|n| range.contains(n));
            array.iter().map(number).collect::<Option<Vec<i64>>>()
        });
        let (from, to) = (range.start(), range.end());
        numbers.flatten().unwrap_or_else(|| {
            self.wrong_value(
                key,
                &format!("应为 {from} 至 {to} 之间的整数列表"),
                &format!("must be a list of whole numbers from {from} to {to}"),
            );
            Vec::new()
        })
    }

    /// A table beneath `key` that may be absent.
    pub fn opt_table(&self, key: &str) -> Option<Table<'d, 'i>> {
        let value = self.take(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.below(key, table, value.span())),
            None => {
                self.wrong_type(key, value, "表", "a table");
                None
            }
        }
    }

    /// A table that must be there.
    pub fn table(&self, key: &str) -> Option<Table<'d, 'i>> {
        if !self.has(key) {
            self.take(key);
            self.missing(key);
            return None;
        }
        self.opt_table(key)
    }

    /// The tables of `[[key]]`; an absent key is none.
    pub fn tables(&self, key: &str) -> Vec<Table<'d, 'i>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "表的列表", "a list of tables, written [[…]]");
            return Vec::new();
        };
        let tables = array.iter().filter_map(|item| match item.get_ref().as_table() {
            Some(table) => Some(self.below(key, table, item.span())),
            None => {
                self.wrong_type(key, item, "表", "a table");
                None
            }
        });
        tables.collect()
    }

    /// `{ zh = "…", en = "…" }`, both there and not blank.
    pub fn text(&self, key: &str) -> Option<Text> {
        let table = self.table(key)?;
        let (zh, en) = (table.filled("zh"), table.filled("en"));
        table.finish();
        Some(Text::new(zh?.value, en?.value))
    }

    /// A value that has its own grammar, read by `parse`, whose error says what would be right.
    pub fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<Placed<T>> {
        let text = self.string(key)?;
        self.parse_here(key, text, parse)
    }

    /// As [`Table::parsed`], for a key that may be absent.
    pub fn opt_parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<Placed<T>> {
        let text = self.opt_string(key)?;
        self.parse_here(key, text, parse)
    }

    fn parse_here<T>(&self, key: &str, text: Placed<String>, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<Placed<T>> {
        match parse(&text.value) {
            Ok(value) => Some(Placed { value, place: text.place }),
            Err(right) => {
                let name = self.full_name(key);
                let message = Text::new(
                    format!("`{name}` 的值 `{}` 无法识别", text.value),
                    format!("`{name}` is `{}`, which cannot be read", text.value),
                );
                self.problems.error(&text.place, "wrong_value", message, Some(right));
                None
            }
        }
    }

    fn below(&self, key: &str, table: &'d DeTable<'i>, span: Range<usize>) -> Table<'d, 'i> {
        Table { document: self.document, problems: self.problems, table, span, name: self.full_name(key), taken: RefCell::default() }
    }

    /// Reports every key that nobody took, with the nearest known one.
    pub fn finish(self) {
        let taken = self.taken.borrow();
        for key in self.table.keys().filter(|key| !taken.iter().any(|known| *known == *key.get_ref())) {
            let taken: BTreeSet<&str> = taken.iter().map(AsRef::as_ref).collect();
            let written = key.get_ref();
            let near = taken.iter().map(|known| (distance(known, written), known)).min().filter(|(far, _)| *far <= 2 + written.len() / 6);
            let help = match near {
                Some((_, known)) => Text::new(format!("是否应为 `{known}`？"), format!("did you mean `{known}`?")),
                None => {
                    let known: Vec<_> = taken.iter().map(|known| format!("`{known}`")).collect();
                    let known = known.join(", ");
                    Text::new(format!("可用的键：{known}"), format!("known here: {known}"))
                }
            };
            let name = self.full_name(written);
            self.problems.error(
                &self.document.place(key.span()),
                "unknown_key",
                Text::new(format!("未知的键 `{name}`"), format!("unknown key `{name}`")),
                Some(help),
            );
        }
    }
}
