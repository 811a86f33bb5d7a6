//! Mask presets (脱敏规则): named, so that the name can stand in the record; exact outputs in docs/masks.md, held by
//! the table in `preset/tests.rs`. No national pattern exists, so these are the customary ones.
//!
//! Each works on characters and gives nothing (`None`) for a value that does not have the shape it masks: a short or
//! odd value never passes as it is.

use std::borrow::Cow;
use std::sync::Arc;

use crate::lang::Text;

mod address;
#[cfg(test)]
mod tests;

/// The most characters that `keep` may keep at either end, and the most bytes of a `fixed` text.
const LIMIT: usize = 64;

/// A mask preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Resident identity number (公民身份号码), 18 or 15 characters: the first 6 and the last 4 stay.
    IdNumber,
    /// Mobile number: the first 3 and the last 4 stay.
    Mobile,
    /// A person's name: the first character stays.
    Name,
    /// Address: the administrative divisions down to the county stay.
    Address,
    /// Bank card number: the first 6 and the last 4 stay.
    BankCard,
    /// Mail address: the first character and the domain stay.
    Email,
    /// Vehicle plate: the first 2 and the last 2 characters stay.
    Plate,
    /// The first and the last so many characters stay.
    Keep(usize, usize),
    /// One text, whatever the value.
    Fixed(Arc<str>),
    /// Generalised to the year of a date.
    Year,
    /// Generalised to the county level of an administrative code.
    District,
    /// Always null.
    Null,
}

impl Preset {
    /// Reads a preset as written in a catalogue file.
    pub fn parse(text: &str) -> Result<Self, Text> {
        Ok(match text {
            "id_number" => Self::IdNumber,
            "mobile" => Self::Mobile,
            "name" => Self::Name,
            "address" => Self::Address,
            "bank_card" => Self::BankCard,
            "email" => Self::Email,
            "plate" => Self::Plate,
            "year" => Self::Year,
            "district" => Self::District,
            "null" => Self::Null,
            _ => {
                let parameterised = match text.split_once(':') {
                    Some(("keep", counts)) => keep(counts),
                    Some(("fixed", fixed)) => (!fixed.is_empty() && fixed.len() <= LIMIT).then(|| Self::Fixed(fixed.into())),
                    _ => None,
                };
                parameterised.ok_or_else(|| unknown(text))?
            }
        })
    }

    /// The preset as written, for the record.
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::IdNumber => "id_number",
            Self::Mobile => "mobile",
            Self::Name => "name",
            Self::Address => "address",
            Self::BankCard => "bank_card",
            Self::Email => "email",
            Self::Plate => "plate",
            Self::Year => "year",
            Self::District => "district",
            Self::Null => "null",
            Self::Keep(first, last) => return Cow::Owned(format!("keep:{first},{last}")),
            Self::Fixed(text) => return Cow::Owned(format!("fixed:{text}")),
        })
    }

    /// The masked value; none: the value does not fit and becomes null, as everything does under `null`. White space
    /// around the value, as columns of fixed width leave it, is not part of it.
    pub fn apply(&self, value: &str) -> Option<String> {
        let mut masked = Vec::new();
        // Whole characters are written, so nothing is lost here.
        self.write(value, &mut masked).then(|| String::from_utf8_lossy(&masked).into_owned())
    }

    /// Writes the masked value behind `out`; whether there is one. Where there is none, nothing is written.
    pub fn write(&self, value: &str, out: &mut Vec<u8>) -> bool {
        let value = trim(value);
        match self {
            Self::Fixed(text) => put(out, text),
            Self::Null => false,
            _ if value.is_empty() => false,
            Self::IdNumber => is_id_number(value) && digits_ends(value, 6, 4, out),
            Self::Mobile => is_mobile(value) && digits_ends(value, 3, 4, out),
            // One character is a whole name already.
            Self::Name => ends(value, 1, 0, out),
            Self::Address => address::mask(value, out),
            Self::BankCard => {
                let number = without(value, &[' ', '-']);
                (12..=19).contains(&number.len()) && digits(&number) && digits_ends(&number, 6, 4, out)
            }
            Self::Email => email(value, out),
            Self::Plate => {
                let plate = without(value, &[' ', '-', '·', '•', '.']);
                is_plate(&plate) && ends(&plate, 2, 2, out)
            }
            Self::Keep(first, last) => ends(value, *first, *last, out),
            Self::Year => year(value).is_some_and(|year| put(out, year)),
            Self::District => district(value).is_some_and(|code| put(out, code)),
        }
    }
}

/// Without white space around it, which values seldom have.
fn trim(value: &str) -> &str {
    match value.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] => value,
        _ => value.trim(),
    }
}

fn put(out: &mut Vec<u8>, text: &str) -> bool {
    out.extend_from_slice(text.as_bytes());
    true
}

/// `N,M` of `keep`.
fn keep(counts: &str) -> Option<Preset> {
    let count = |text: &str| text.parse::<usize>().ok().filter(|count| *count <= LIMIT && digits(text));
    let (first, last) = counts.split_once(',')?;
    Some(Preset::Keep(count(first.trim())?, count(last.trim())?))
}

/// The first and the last so many characters, and a star for each between them. A value that this would not hide in
/// any character is hidden whole.
fn ends(value: &str, first: usize, last: usize, out: &mut Vec<u8>) -> bool {
    let length = if value.is_ascii() { value.len() } else { value.chars().count() };
    let (first, last) = if length <= first + last { (0, 0) } else { (first, last) };
    let begins = value.char_indices().nth(first).map_or(value.len(), |(at, _)| at);
    let ends = if last == 0 { value.len() } else { value.char_indices().nth_back(last - 1).map_or(0, |(at, _)| at) };
    out.extend_from_slice(&value.as_bytes()[..begins]);
    out.resize(out.len() + length - first - last, b'*');
    put(out, &value[ends..])
}

/// The same of ASCII that is longer than both ends.
fn digits_ends(value: &str, first: usize, last: usize, out: &mut Vec<u8>) -> bool {
    let (begin, rest) = value.split_at(first);
    let (hidden, end) = rest.split_at(rest.len() - last);
    out.extend_from_slice(begin.as_bytes());
    out.resize(out.len() + hidden.len(), b'*');
    put(out, end)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn without<'t>(text: &'t str, separators: &[char]) -> Cow<'t, str> {
    if !text.contains(separators) {
        return text.into();
    }
    text.chars().filter(|character| !separators.contains(character)).collect()
}

/// 18 characters of GB 11643, or the 15 digits before it. The check digit is not computed: a wrong one is masked too.
pub(super) fn is_id_number(value: &str) -> bool {
    match value.len() {
        15 => digits(value),
        18 => value.is_ascii() && digits(&value[..17]) && matches!(value.as_bytes()[17], b'0'..=b'9' | b'X' | b'x'),
        _ => false,
    }
}

/// 11 digits that begin with 1.
pub(super) fn is_mobile(value: &str) -> bool {
    value.len() == 11 && value.starts_with('1') && digits(value)
}

/// GA 36: a character for the province, a letter, and 5 or (new energy) 6 more.
fn is_plate(plate: &str) -> bool {
    let mut characters = plate.chars();
    let province = characters.next().is_some_and(|c| !c.is_ascii() && c.is_alphabetic());
    let letter = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = characters.clone().count();
    province && letter && (5..=6).contains(&rest) && characters.all(|c| c.is_ascii_alphanumeric() || "学警港澳挂领使试超".contains(c))
}

/// Three stars whatever the length, which would help to guess a name.
fn email(value: &str, out: &mut Vec<u8>) -> bool {
    let Some((local, domain)) = value.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control());
    if !plain(local) || !plain(domain) || domain.starts_with('.') || !domain.contains('.') {
        return false;
    }
    // A single character is hidden too.
    let first = local.char_indices().nth(1).map_or("", |(at, _)| &local[..at]);
    put(out, first) && put(out, "***@") && put(out, domain)
}

/// The year of `2019-05-20`, `2019/5/20`, `2019.5`, `2019年5月20日`, `20190520`, `201905`, `20190520093000` or `2019`.
fn year(value: &str) -> Option<&str> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, rest) = value.split_at(end);
    let shaped = match (number.len(), rest.chars().next()) {
        (4, None) => true,
        (4, Some(separator)) => matches!(separator, '-' | '/' | '.' | '年'),
        (8, None | Some('T' | ' ')) | (14, None) => within(number, 4, 1..=12) && within(number, 6, 1..=31),
        (6, None) => within(number, 4, 1..=12),
        _ => false,
    };
    let year = number.get(..4).filter(|_| shaped)?;
    (1800..=2199).contains(&year.parse::<u16>().ok()?).then_some(year)
}

/// Whether the two digits at a place are a number of the range.
fn within(number: &str, at: usize, range: std::ops::RangeInclusive<u8>) -> bool {
    number.get(at..at + 2).and_then(|pair| pair.parse().ok()).is_some_and(|number| range.contains(&number))
}

/// The 6 digits of the county (GB/T 2260) from a code of 6 to 12 digits (towns and villages extend it), or from an
/// identity number.
fn district(value: &str) -> Option<&str> {
    let code = (6..=12).contains(&value.len()) && digits(value);
    (code || is_id_number(value)).then(|| &value[..6])
}

fn unknown(text: &str) -> Text {
    Text::new(
        format!(
            "未知的脱敏规则 `{text}`：可用 id_number、mobile、name、address、bank_card、email、plate、keep:N,M（各不超过 {LIMIT}）、fixed:TEXT（1 至 {LIMIT} 字节）、year、district、null"
        ),
        format!(
            "unknown mask preset `{text}`: there are id_number, mobile, name, address, bank_card, email, plate, keep:N,M (each at most {LIMIT}), fixed:TEXT (1 to {LIMIT} bytes), year, district, null"
        ),
    )
}
