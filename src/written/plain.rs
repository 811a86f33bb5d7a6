//! A short way for plain TOML, as registers of a hundred thousand grants are written: bare or quoted keys, tables, strings
//! without escapes, whole decimal numbers, truth values, arrays and tables in one line. Whatever else stands there, or is
//! wrong, is left to the TOML library, from the start: this reader says nothing about errors, and where it gives a tree,
//! the library would give the same.

use std::borrow::Cow;
use std::cell::Cell;

use memchr::memchr;

use super::tree::{Member, Members, Node, Value};

/// How deep arrays, tables and headers may lie in each other here.
const DEEPEST: usize = 16;
/// In how many members of one table a header is looked for.
const MOST: usize = 64;

/// The tree of a text; none where it is not plain.
pub(super) fn read(text: &str) -> Option<Members<'_>> {
    u32::try_from(text.len()).ok()?;
    Reader { text, at: 0 }.document()
}

/// A table that more may follow for, in document order.
#[derive(Default)]
struct Open<'i>(Vec<(Cow<'i, str>, u32, Content<'i>)>);

/// What a key of such a table holds.
enum Content<'i> {
    Value(Node<'i>),
    /// `[key]`.
    Table(u32, Open<'i>),
    /// `[[key]]`, once or more.
    Tables(u32, Vec<(u32, Open<'i>)>),
}

struct Header<'i> {
    at: u32,
    above: Vec<&'i str>,
    key: &'i str,
    key_at: u32,
    repeated: bool,
}

impl<'i> Open<'i> {
    fn find(&mut self, key: &str) -> Option<Option<&mut Content<'i>>> {
        (self.0.len() <= MOST).then(|| self.0.iter_mut().find(|(known, ..)| known == key).map(|(.., content)| content))
    }

    /// Adds the table of a header where no other was begun that it would have to agree with.
    fn add(&mut self, header: Header<'i>, table: Self) -> Option<()> {
        let Header { at, above, key, key_at, repeated } = header;
        let mut parent = self;
        for name in above {
            parent = match parent.find(name)?? {
                Content::Table(_, table) => table,
                Content::Tables(_, tables) => &mut tables.last_mut()?.1,
                Content::Value(_) => return None,
            };
        }
        match parent.find(key)? {
            None if repeated => parent.0.push((key.into(), key_at, Content::Tables(at, vec![(at, table)]))),
            None => parent.0.push((key.into(), key_at, Content::Table(at, table))),
            Some(Content::Tables(_, tables)) if repeated => tables.push((at, table)),
            Some(_) => return None,
        }
        Some(())
    }

    fn close(self) -> Option<Members<'i>> {
        let member = |(key, at, content)| {
            let node = match content {
                Content::Value(node) => node,
                Content::Table(at, table) => Node { at, value: Value::Table(table.close()?) },
                Content::Tables(at, tables) => {
                    let table = |(at, table): (u32, Self)| Some(Node { at, value: Value::Table(table.close()?) });
                    Node { at, value: Value::Array(tables.into_iter().map(table).collect::<Option<_>>()?) }
                }
            };
            Some(Member { key, at, node, taken: Cell::new(false) })
        };
        Members::new(self.0.into_iter().map(member).collect::<Option<_>>()?)
    }
}

struct Reader<'i> {
    text: &'i str,
    at: usize,
}

impl<'i> Reader<'i> {
    fn document(mut self) -> Option<Members<'i>> {
        let (mut root, mut section, mut header) = (Open::default(), Open::default(), None);
        while let Some(byte) = self.first_of_line()? {
            if byte == b'[' {
                let next = self.header()?;
                let before = std::mem::take(&mut section);
                match header.replace(next) {
                    Some(header) => root.add(header, before)?,
                    None => root = before,
                }
            } else {
                let (key, at, node) = self.pair(0)?;
                section.0.push((key, at, Content::Value(node)));
            }
            self.end_of_line()?;
        }
        match header {
            Some(header) => root.add(header, section)?,
            None => root = section,
        }
        root.close()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past `byte`, or says that another stands here.
    fn pass(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn place(&self) -> u32 {
        // Held to at the start.
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Goes to the first byte of the next line that says something; within: none at the end.
    fn first_of_line(&mut self) -> Option<Option<u8>> {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'\n' | b'\r' | b'#') => self.end_of_line()?,
                other => return Some(other),
            }
        }
    }

    /// Goes past blanks, a comment and the end of the line.
    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (line, length) = memchr(b'\n', rest).map_or((rest, rest.len()), |end| {
            let line = &rest[..end];
            (line.strip_suffix(b"\r").unwrap_or(line), end + 1)
        });
        let comment = line.first() == Some(&b'#') && !line.iter().any(|byte| is_control(*byte));
        (comment || line.is_empty()).then(|| self.at += length)
    }

    fn bare(&mut self) -> Option<&'i str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    /// `[a.b]` or `[[a.b]]`.
    fn header(&mut self) -> Option<Header<'i>> {
        let at = self.place();
        self.pass(b'[')?;
        let repeated = self.pass(b'[').is_some();
        let mut above = Vec::new();
        loop {
            self.blanks();
            let (key_at, key) = (self.place(), self.bare()?);
            self.blanks();
            if above.len() < DEEPEST && self.pass(b'.').is_some() {
                above.push(key);
                continue;
            }
            self.pass(b']')?;
            if repeated {
                self.pass(b']')?;
            }
            return Some(Header { at, above, key, key_at, repeated });
        }
    }

    /// `key = value`.
    fn pair(&mut self, depth: usize) -> Option<(Cow<'i, str>, u32, Node<'i>)> {
        let at = self.place();
        let key = if self.peek()? == b'"' { self.string()? } else { self.bare()? };
        self.blanks();
        self.pass(b'=')?;
        self.blanks();
        Some((key.into(), at, self.value(depth)?))
    }

    fn value(&mut self, depth: usize) -> Option<Node<'i>> {
        let at = self.place();
        let value = match self.peek()? {
            b'"' => Value::Text(self.string()?.into()),
            b'[' if depth < DEEPEST => self.array(depth + 1)?,
            b'{' if depth < DEEPEST => self.table(depth + 1)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => match self.bare()? {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                _ => return None,
            },
        };
        Some(Node { at, value })
    }

    /// Without escapes, in one line.
    fn string(&mut self) -> Option<&'i str> {
        let rest = self.text.get(self.at + 1..)?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\') || is_control(byte))?;
        let many = end == 0 && rest.as_bytes().get(1) == Some(&b'"');
        if rest.as_bytes()[end] != b'"' || many {
            return None;
        }
        self.at += end + 2;
        rest.get(..end)
    }

    /// Whole and decimal; few enough digits for any reader.
    fn number(&mut self) -> Option<Value<'i>> {
        let from = self.at;
        let _ = self.pass(b'-');
        let digits = self.bare()?;
        let plain = digits.len() < 19 && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        // A fraction or a time of day.
        let ends = !matches!(self.peek(), Some(b'.' | b':' | b'+'));
        (plain && ends).then(|| Value::Integer(self.text[from..self.at].into(), 10))
    }

    fn array(&mut self, depth: usize) -> Option<Value<'i>> {
        self.pass(b'[')?;
        let mut elements = Vec::new();
        loop {
            if self.first_of_line()?? == b']' {
                break;
            }
            elements.push(self.value(depth)?);
            match self.first_of_line()?? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.pass(b']')?;
        Some(Value::Array(elements))
    }

    /// In one line, as every version of TOML has it.
    fn table(&mut self, depth: usize) -> Option<Value<'i>> {
        self.pass(b'{')?;
        self.blanks();
        let mut members = Vec::new();
        if self.pass(b'}').is_none() {
            loop {
                let (key, at, node) = self.pair(depth)?;
                members.push(Member { key, at, node, taken: Cell::new(false) });
                self.blanks();
                if self.pass(b'}').is_some() {
                    break;
                }
                self.pass(b',')?;
                self.blanks();
            }
        }
        Some(Value::Table(Members::new(members)?))
    }
}

/// What TOML has nowhere but at the end of a line: control characters, the tab aside.
const fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}
