//! Reading a JSON path from its text, and how names are written in one (RFC 9535 sections 2.3.1 and 2.5).

use super::Segment;
use crate::lang::Text;

/// The segments of a path.
pub(super) fn path(text: &str) -> Result<Vec<Segment>, Text> {
    let mut rest = text.strip_prefix('$').ok_or_else(|| refuse(text, "没有以 `$` 开头", "does not begin with `$`"))?;
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let (segment, after) =
            segment(rest).ok_or_else(|| refuse(text, &format!("`{rest}` 处无法识别"), &format!("is not understood at `{rest}`")))?;
        segments.push(segment);
        rest = after;
    }
    Ok(segments)
}

/// The first segment of what is left, and what is left after it.
fn segment(rest: &str) -> Option<(Segment, &str)> {
    if let Some(after) = rest.strip_prefix("[*]") {
        return Some((Segment::Elements, after));
    }
    if rest.starts_with('[') {
        return bracketed(rest).map(|(name, after)| (Segment::Name(name), after));
    }
    let after = rest.strip_prefix('.')?;
    if let Some(after) = after.strip_prefix('.') {
        let (name, after) = if after.starts_with('[') { bracketed(after) } else { shorthand(after) }?;
        return Some((Segment::Descendant(name), after));
    }
    shorthand(after).map(|(name, after)| (Segment::Name(name), after))
}

fn shorthand(text: &str) -> Option<(String, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    is_shorthand(name).then(|| (name.to_owned(), after))
}

/// Whether a name may follow a dot without brackets.
pub(super) fn is_shorthand(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let mut characters = name.chars();
    characters.next().is_some_and(first) && characters.all(|c| first(c) || c.is_ascii_digit())
}

/// `['name']` or `["name"]`, with the escapes of JSON.
fn bracketed(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().nth(1).filter(|quote| matches!(quote, '\'' | '"'))?;
    let body = &text[2..];
    let mut name = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return body[at + 1..].strip_prefix(']').map(|after| (name, after)),
            '\\' => name.push(escape(&mut characters, quote)?),
            '\0'..='\u{1f}' => return None,
            _ => name.push(character),
        }
    }
    None
}

fn escape(characters: &mut std::str::CharIndices<'_>, quote: char) -> Option<char> {
    Some(match characters.next()?.1 {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = unit(characters)?;
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high);
            }
            if characters.next()?.1 != '\\' || characters.next()?.1 != 'u' {
                return None;
            }
            let low = unit(characters).filter(|low| (0xdc00..0xe000).contains(low))?;
            return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        }
        other if other == quote || matches!(other, '/' | '\\') => other,
        _ => return None,
    })
}

fn unit(characters: &mut std::str::CharIndices<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + characters.next()?.1.to_digit(16)?))
}

/// A name as it stands between single quotes.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '\'' | '\\' => text.extend(['\\', character]),
            '\0'..='\u{1f}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => text.push(character),
        }
    }
    text
}

fn refuse(text: &str, zh: &str, en: &str) -> Text {
    Text::new(
        format!("路径 `{text}` {zh}：支持 `$`、`.name`、`['name']`、`[*]`（数组各元素）和 `..name`（任意层级）"),
        format!("path `{text}` {en}: supported are `$`, `.name`, `['name']`, `[*]` for elements of an array, and `..name` for any depth"),
    )
}
