//! What was written: strict reading of TOML with positions. Unknown keys are errors, every error names file, line,
//! column and what would be right, and reading goes on after an error so that one run reports all of them.
//!
//! A loader opens a [`Document`], takes each key it knows from its [`Table`]s and calls [`Table::finish`], which
//! reports what nobody took. Problems gather in [`Problems`]; a loader returns `None` for what it could not read.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

mod json;
mod parts;
mod plain;
mod problem;
#[cfg(test)]
mod tests;
mod tree;
pub mod units;
mod words;

pub use parts::{Part, parts};
pub use problem::{Lines, Place, Placed, Problem, Problems, place_in};
pub use words::{Word, did_you_mean, is_id, is_region, nearest};

use toml::de::DeTable;
use tree::{Member, Members, Node, Value};

use crate::lang::Text;

/// A text file and its name, from which places are counted.
pub struct Document<'i> {
    file: Arc<str>,
    text: &'i str,
    /// Lines of the file before this text.
    above: u32,
    root: Members<'i>,
    lines: OnceCell<Lines>,
}

impl<'i> Document<'i> {
    /// Parses TOML; syntax errors go to `problems`, and what could be read is still there to be judged.
    pub fn parse(file: &str, text: &'i str, problems: &Problems) -> Self {
        Self::part(&file.into(), &Part { text, above: 0 }, problems)
    }

    /// A part of a file; places are those in the whole file.
    pub fn part(file: &Arc<str>, &Part { text, above }: &Part<'i>, problems: &Problems) -> Self {
        let mut document = Self { file: file.clone(), text, above, root: Members::default(), lines: OnceCell::new() };
        if let Some(root) = plain::read(text) {
            document.root = root;
            return document;
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        document.root = root.into_inner().into();
        for error in errors {
            let place = document.place(error.span().unwrap_or(0..0).start);
            let message = Text::new(format!("TOML 语法错误：{}", error.message()), format!("not valid TOML: {}", error.message()));
            problems.error(&place, "toml_syntax", message, None);
        }
        document
    }

    /// The table at the top of the file.
    pub fn root<'d>(&'d self, problems: &'d Problems) -> Table<'d, 'i> {
        Table { document: self, problems, table: &self.root, at: 0, above: Cow::Borrowed(""), key: "", absent: RefCell::default() }
    }

    fn place(&self, at: usize) -> Place {
        let lines = self.lines.get_or_init(|| Lines::of(self.text));
        let place = lines.place(&self.file, self.text, at);
        Place { line: place.line.saturating_add(self.above), ..place }
    }

    fn place_of(&self, at: u32) -> Place {
        self.place(usize::try_from(at).unwrap_or(usize::MAX))
    }

    fn word<'d>(&'d self, text: &'d str, at: u32) -> Word<'d, 'i> {
        Word { text, at, document: self }
    }
}

/// One table of a document; its members remember that they were taken.
pub struct Table<'d, 'i> {
    document: &'d Document<'i>,
    problems: &'d Problems,
    table: &'d Members<'i>,
    at: u32,
    /// The name of the table around it, as errors tell it, and its own key.
    above: Cow<'d, str>,
    key: &'d str,
    /// Keys that were asked for and are not there, each before a line feed: a file of grants has a hundred thousand.
    absent: RefCell<String>,
}

impl<'d, 'i> Table<'d, 'i> {
    /// Where the table begins.
    pub fn place(&self) -> Place {
        self.document.place_of(self.at)
    }

    /// Where the value of `key` stands, or the table where it does not.
    pub fn place_of(&self, key: &str) -> Place {
        self.document.place_of(self.table.find(key).map_or(self.at, |member| member.node.at))
    }

    /// The problems that this table reports to.
    pub fn problems(&self) -> &'d Problems {
        self.problems
    }

    /// Whether `key` is written, without taking it.
    pub fn has(&self, key: &str) -> bool {
        self.table.find(key).is_some()
    }

    /// All keys, for tables whose keys are data; takes them.
    pub fn keys(&self) -> Vec<Placed<String>> {
        self.names().map(|name| name.placed()).collect()
    }

    /// As [`Table::keys`], without copying them.
    pub fn names(&self) -> impl Iterator<Item = Word<'d, 'i>> + use<'d, 'i> {
        let document = self.document;
        self.table.iter().map(move |member| {
            member.taken.set(true);
            document.word(&member.key, member.at)
        })
    }

    /// Reports an error at the value of `key`.
    pub fn error(&self, key: &str, code: &'static str, message: Text, help: Option<Text>) {
        self.problems.error(&self.place_of(key), code, message, help);
    }

    fn name(&self) -> Cow<'d, str> {
        if self.above.is_empty() { Cow::Borrowed(self.key) } else { Cow::Owned(format!("{}.{}", self.above, self.key)) }
    }

    fn full_name(&self, key: &str) -> String {
        let name = self.name();
        if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
    }

    fn take(&self, key: &str) -> Option<&'d Node<'i>> {
        self.member(key).map(|member| &member.node)
    }

    fn member(&self, key: &str) -> Option<&'d Member<'i>> {
        let found = self.table.find(key);
        match found {
            Some(member) => member.taken.set(true),
            None => self.absent.borrow_mut().extend([key, "\n"]),
        }
        found
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

    fn wrong_type(&self, key: &str, node: &Node<'i>, zh: &str, en: &str) {
        let name = self.full_name(key);
        let found = node.value.type_name();
        self.problems.error(
            &self.document.place_of(node.at),
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
        self.opt_word(key).map(|word| word.placed())
    }

    /// As [`Table::opt_string`], without copying it.
    pub fn opt_word(&self, key: &str) -> Option<Word<'d, 'i>> {
        self.take(key).and_then(|node| self.quoted(key, node))
    }

    fn quoted(&self, key: &str, node: &'d Node<'i>) -> Option<Word<'d, 'i>> {
        match &node.value {
            Value::Text(text) => Some(self.document.word(text, node.at)),
            _ => {
                self.wrong_type(key, node, "带引号的字符串", "a string in quotes");
                None
            }
        }
    }

    /// A string that must be there; it may be empty.
    pub fn string(&self, key: &str) -> Option<Placed<String>> {
        self.word(key).map(|word| word.placed())
    }

    /// As [`Table::string`], without copying it.
    pub fn word(&self, key: &str) -> Option<Word<'d, 'i>> {
        match self.take(key) {
            Some(node) => self.quoted(key, node),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// A string that must be there and not be blank.
    pub fn filled(&self, key: &str) -> Option<Placed<String>> {
        self.filled_word(key).map(|word| word.placed())
    }

    /// As [`Table::filled`], without copying it.
    pub fn filled_word(&self, key: &str) -> Option<Word<'d, 'i>> {
        let word = self.word(key)?;
        if word.text.trim().is_empty() {
            self.wrong_value(key, "不得为空", "must not be empty");
            return None;
        }
        Some(word)
    }

    /// An identifier: `[A-Za-z][A-Za-z0-9._-]{0,63}`.
    pub fn id(&self, key: &str) -> Option<Placed<Arc<str>>> {
        let word = self.word(key)?;
        let value = word.text;
        if !is_id(value) {
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
        Some(word.placed())
    }

    /// A region code: 6 to 12 digits.
    pub fn region(&self, key: &str) -> Option<Placed<Arc<str>>> {
        let word = self.word(key)?;
        if !is_region(word.text) {
            self.wrong_value(key, "应为 6 至 12 位数字的行政区划代码", "must be a region code of 6 to 12 digits");
            return None;
        }
        Some(word.placed())
    }

    /// One of the allowed words, found in `choices`.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let written = self.word(key)?;
        let found = choices.iter().find(|(word, _)| *word == written.text).map(|(_, value)| *value);
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
        let node = self.take(key)?;
        let Value::Boolean(truth) = node.value else {
            self.wrong_type(key, node, "布尔值", "true or false");
            return None;
        };
        Some(truth)
    }

    /// A whole number within `range` that may be absent.
    pub fn opt_integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.take(key)?;
        let Some(number) = node.value.whole() else {
            self.wrong_type(key, node, "整数", "a whole number");
            return None;
        };
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
        self.words(key).map(|word| word.placed()).collect()
    }

    /// As [`Table::strings`], without copying them.
    pub fn words(&self, key: &str) -> impl Iterator<Item = Word<'d, 'i>> {
        let elements = match self.take(key) {
            Some(Node { value: Value::Array(elements), .. }) => elements.as_slice(),
            Some(node) => {
                self.wrong_type(key, node, "字符串列表", "a list of strings");
                &[]
            }
            None => &[],
        };
        elements.iter().filter_map(move |element| match &element.value {
            Value::Text(text) => Some(self.document.word(text, element.at)),
            _ => {
                self.wrong_type(key, element, "字符串列表", "a list of strings");
                None
            }
        })
    }

    /// A list of strings, or one string standing for a list of one.
    pub fn one_or_more(&self, key: &str) -> Vec<Placed<String>> {
        match self.table.find(key).map(|member| &member.node.value) {
            Some(Value::Text(_)) => self.opt_string(key).into_iter().collect(),
            _ => self.strings(key),
        }
    }

    /// A list of whole numbers within `range`; an absent key is an empty list.
    pub fn integers(&self, key: &str, range: RangeInclusive<i64>) -> Vec<i64> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let number = |element: &Node<'i>| element.value.whole()?.filter(|number| range.contains(number));
        let numbers = match &node.value {
            Value::Array(elements) => elements.iter().map(number).collect::<Option<Vec<i64>>>(),
            _ => None,
        };
        let (from, to) = (range.start(), range.end());
        numbers.unwrap_or_else(|| {
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
        let member = self.member(key)?;
        self.below(&member.key, &member.node)
    }

    fn below(&self, key: &'d str, node: &'d Node<'i>) -> Option<Table<'d, 'i>> {
        let Value::Table(table) = &node.value else {
            self.wrong_type(key, node, "表", "a table");
            return None;
        };
        let (document, problems, above) = (self.document, self.problems, self.name());
        Some(Table { document, problems, table, at: node.at, above, key, absent: RefCell::default() })
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
        let Some(member) = self.member(key) else { return Vec::new() };
        let Value::Array(elements) = &member.node.value else {
            self.wrong_type(key, &member.node, "表的列表", "a list of tables, written [[…]]");
            return Vec::new();
        };
        elements.iter().filter_map(|element| self.below(&member.key, element)).collect()
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
        self.placed(key, self.word(key)?, parse)
    }

    /// As [`Table::parsed`], for a key that may be absent.
    pub fn opt_parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<Placed<T>> {
        self.placed(key, self.opt_word(key)?, parse)
    }

    /// As [`Table::parsed`], where nobody asks for its place.
    pub fn read<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<T> {
        self.judged(key, self.word(key)?, parse)
    }

    fn placed<T>(&self, key: &str, word: Word<'_, '_>, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<Placed<T>> {
        self.judged(key, word, parse).map(|value| Placed { value, place: word.place() })
    }

    fn judged<T>(&self, key: &str, word: Word<'_, '_>, parse: impl FnOnce(&str) -> Result<T, Text>) -> Option<T> {
        let text = word.text;
        let wrong = |right| {
            let name = self.full_name(key);
            let message = Text::new(format!("`{name}` 的值 `{text}` 无法识别"), format!("`{name}` is `{text}`, which cannot be read"));
            self.problems.error(&word.place(), "wrong_value", message, Some(right));
        };
        parse(text).map_err(wrong).ok()
    }

    /// Reports every key that nobody took, with the nearest known one.
    pub fn finish(self) {
        if self.table.iter().all(|member| member.taken.get()) {
            return;
        }
        let absent = self.absent.borrow();
        let taken = self.table.iter().filter(|member| member.taken.get()).map(|member| &*member.key);
        let known: BTreeSet<&str> = taken.chain(absent.lines()).collect();
        for member in self.table.iter().filter(|member| !member.taken.get()) {
            let written = &member.key;
            let help = did_you_mean(written, known.iter().copied()).unwrap_or_else(|| {
                let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
                let known = known.join(", ");
                Text::new(format!("可用的键：{known}"), format!("known here: {known}"))
            });
            let name = self.full_name(written);
            self.problems.error(
                &self.document.place_of(member.at),
                "unknown_key",
                Text::new(format!("未知的键 `{name}`"), format!("unknown key `{name}`")),
                Some(help),
            );
        }
    }
}
