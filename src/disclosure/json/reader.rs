//! Strict reading of JSON, token by token: RFC 8259 and nothing beyond it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{DEPTH, Error, Reason};

/// Up to this many names of an object are compared one by one, which is faster than hashing them.
const FEW: usize = 16;

/// A place in the content.
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// Names of the open objects that have few, innermost last.
    names: Vec<Cow<'a, str>>,
}

/// What one open object has shown so far.
pub(super) struct Seen<'a> {
    base: usize,
    many: Option<HashSet<Cow<'a, str>>>,
    first: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(input).map_err(|error| Error { at: error.valid_up_to(), reason: Reason::NotUtf8 })?;
        if text.starts_with('\u{feff}') {
            return Err(Error { at: 0, reason: Reason::ByteOrderMark });
        }
        let mut reader = Self { text, bytes: input, at: 0, depth: 0, names: Vec::new() };
        reader.space();
        if reader.at == input.len() { Err(reader.error(Reason::Empty)) } else { Ok(reader) }
    }

    pub(super) fn error(&self, reason: Reason) -> Error {
        Error { at: self.at, reason }
    }

    /// What was expected is not there: a cut answer is told from a wrong one.
    fn unexpected(&self) -> Error {
        self.error(if self.at >= self.bytes.len() { Reason::Cut } else { Reason::Syntax })
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The first byte of the value that stands here; a value always does, or [`Reader::literal`] refuses.
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// After the first value nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.error(Reason::Trailing)) }
    }

    fn open(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error(Reason::TooDeep));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Enters the object whose brace stands here.
    pub(super) fn object(&mut self) -> Result<Seen<'a>, Error> {
        self.open()?;
        Ok(Seen { base: self.names.len(), many: None, first: true })
    }

    /// The next member's name, with the reader at its value; none at the object's end.
    pub(super) fn member(&mut self, seen: &mut Seen<'a>) -> Result<Option<Cow<'a, str>>, Error> {
        if !seen.first {
            self.space();
        }
        match self.peek() {
            b'}' => {
                self.names.truncate(seen.base);
                self.close();
                return Ok(None);
            }
            b',' if !seen.first => {
                self.at += 1;
                self.space();
            }
            _ if seen.first => {}
            _ => return Err(self.unexpected()),
        }
        seen.first = false;
        if self.peek() != b'"' {
            return Err(self.unexpected());
        }
        let start = self.at;
        let name = self.string()?;
        if !self.fresh(seen, name.clone()) {
            return Err(Error { at: start, reason: Reason::DuplicateName });
        }
        self.space();
        if self.peek() != b':' {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.space();
        Ok(Some(name))
    }

    /// Notes a name; whether it is the object's first of this spelling.
    fn fresh(&mut self, seen: &mut Seen<'a>, name: Cow<'a, str>) -> bool {
        if let Some(many) = &mut seen.many {
            return many.insert(name);
        }
        let few = &self.names[seen.base..];
        if few.contains(&name) {
            return false;
        }
        if few.len() < FEW {
            self.names.push(name);
        } else {
            seen.many = Some(self.names.drain(seen.base..).chain([name]).collect());
        }
        true
    }

    /// Enters the array whose bracket stands here.
    pub(super) fn array(&mut self) -> Result<(), Error> {
        self.open()
    }

    /// Whether the array has another element, with the reader at it.
    pub(super) fn element(&mut self, first: bool) -> Result<bool, Error> {
        if !first {
            self.space();
        }
        match self.peek() {
            b']' => {
                self.close();
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(self.unexpected()),
        }
    }

    /// The content of the string whose quote stands here.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        self.at += 1;
        let mut start = self.at;
        let mut decoded: Option<String> = None;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(plain) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) else {
                self.at = self.bytes.len();
                return Err(self.error(Reason::Cut));
            };
            self.at += plain;
            // Cut at ASCII bytes only, so these are always whole characters.
            let run = &self.text[start..self.at];
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(match decoded {
                        None => Cow::Borrowed(run),
                        Some(text) => Cow::Owned(text + run),
                    });
                }
                b'\\' => {
                    let text = decoded.get_or_insert_default();
                    text.push_str(run);
                    text.push(self.escape()?);
                    start = self.at;
                }
                _ => return Err(self.error(Reason::Control)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let escaped = self.bytes.get(self.at + 1).ok_or(Error { at: self.bytes.len(), reason: Reason::Cut })?;
        let character = match escaped {
            b'"' | b'\\' | b'/' => char::from(*escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error(Reason::Escape)),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, Error> {
        let high = self.unit()?;
        let code = match high {
            0xd800..0xdc00 if self.bytes[self.at..].starts_with(b"\\u") => match self.unit()? {
                low @ 0xdc00..0xe000 => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                _ => return Err(self.error(Reason::LoneSurrogate)),
            },
            _ => high,
        };
        char::from_u32(code).ok_or(self.error(Reason::LoneSurrogate))
    }

    /// The four digits of the `\u` that stands here.
    fn unit(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for at in self.at + 2..self.at + 6 {
            let byte = self.bytes.get(at).ok_or(Error { at: self.bytes.len(), reason: Reason::Cut })?;
            unit = unit * 16 + char::from(*byte).to_digit(16).ok_or(self.error(Reason::Escape))?;
        }
        self.at += 6;
        Ok(unit)
    }

    /// The text of the number that begins here.
    pub(super) fn number(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        // A leading zero or a second sign would read on as nothing that may follow a value.
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        match start == self.at {
            true if self.at == self.bytes.len() => Err(self.error(Reason::Cut)),
            true => Err(self.error(Reason::Number)),
            false => Ok(()),
        }
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self) -> Result<&'static str, Error> {
        let rest = &self.bytes[self.at..];
        let literal = ["true", "false", "null"].into_iter().find(|literal| rest.starts_with(literal.as_bytes()));
        let literal = literal.ok_or_else(|| {
            let cut = ["true", "false", "null"].iter().any(|literal| literal.as_bytes().starts_with(rest));
            self.error(if cut { Reason::Cut } else { Reason::Syntax })
        })?;
        self.at += literal.len();
        Ok(literal)
    }

    /// Judges the value that stands here and goes past it.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            b'{' => {
                let mut seen = self.object()?;
                while self.member(&mut seen)?.is_some() {
                    self.skip()?;
                }
            }
            b'[' => {
                self.array()?;
                let mut first = true;
                while self.element(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            b'"' => drop(self.string()?),
            b'-' | b'0'..=b'9' => drop(self.number()?),
            _ => drop(self.literal()?),
        }
        Ok(())
    }
}
