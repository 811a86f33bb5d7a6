//! Judging the head of the origin's answer, before any of its content: what cannot be judged is refused.

use std::fmt;

use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::ContentKind;
use crate::lang::Text;

#[cfg(test)]
mod tests;

/// What an answer's head calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its content is to be disclosed as planned.
    Content,
    /// It has no content (204, 205, or an answer to HEAD).
    Empty,
    /// The origin refused: its status stays, its content, which may carry data too, is dropped.
    Refused,
}

/// Why no content behind this head is disclosed. Holds nothing of the answer but its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A status that the gateway's request cannot have asked for: a part, a redirect, an upgrade.
    Status(StatusCode),
    /// A field that may stand once stands several times, or is not text.
    Field(&'static str),
    /// The content is coded, though identity was asked for.
    Encoding,
    /// The content is a part of a representation.
    Part,
    /// Content without a type, where one was declared.
    Untyped,
    /// Content of another type than was declared, or in another character set than UTF-8.
    Type(ContentKind),
}

/// Judges a head by the operation's declared content and its method at the origin.
pub fn judge(kind: ContentKind, method: &Method, status: StatusCode, fields: &HeaderMap) -> Result<Verdict, Error> {
    if status.is_client_error() || status.is_server_error() {
        return Ok(Verdict::Refused);
    }
    let empty = match status.as_u16() {
        200..=203 => *method == Method::HEAD,
        204 | 205 => true,
        // 206: no range was asked for. 3xx: redirects are not followed, and conditions were stripped. 207, 208, 226: shapes of their own.
        _ => return Err(Error::Status(status)),
    };
    if fields.contains_key(CONTENT_RANGE) {
        return Err(Error::Part);
    }
    once(fields, CONTENT_LENGTH, "content-length")?;
    if let Some(coding) = once(fields, CONTENT_ENCODING, "content-encoding")?
        && !coding.trim().eq_ignore_ascii_case("identity")
    {
        return Err(Error::Encoding);
    }
    let content_type = once(fields, CONTENT_TYPE, "content-type")?;
    if empty {
        return Ok(Verdict::Empty);
    }
    if kind != ContentKind::Opaque && !is_of(kind, content_type.ok_or(Error::Untyped)?) {
        return Err(Error::Type(kind));
    }
    Ok(Verdict::Content)
}

/// The value of a field that may stand at most once.
fn once<'f>(fields: &'f HeaderMap, name: HeaderName, label: &'static str) -> Result<Option<&'f str>, Error> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::Field(label));
    }
    first.map(HeaderValue::to_str).transpose().map_err(|_| Error::Field(label))
}

/// The types that lines of JSON go by; none is registered.
const NDJSON: [&str; 5] = ["x-ndjson", "ndjson", "jsonl", "x-jsonlines", "json-lines"];

/// Whether the content's type is of this kind, in UTF-8 if it says: `application/json` or `…/…+json` (RFC 6839), one of
/// [`NDJSON`], or `text/csv` (RFC 7111).
fn is_of(content: ContentKind, content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte));
    let declared = match content {
        ContentKind::Json => (kind == "application" && subtype == "json") || subtype.strip_suffix("+json").is_some_and(token),
        ContentKind::Ndjson => kind == "application" && NDJSON.contains(&subtype),
        ContentKind::Csv => subtype == "csv" && matches!(kind, "text" | "application"),
        ContentKind::Opaque => true,
    };
    let mut charsets = 0;
    let parameters = parts.all(|parameter| {
        // An empty one is allowed (RFC 9110 section 5.6.6).
        let Some((name, value)) = parameter.trim().split_once('=') else { return parameter.trim().is_empty() };
        if !name.eq_ignore_ascii_case("charset") {
            return token(name);
        }
        charsets += 1;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let ascii = content == ContentKind::Csv && value.eq_ignore_ascii_case("us-ascii");
        ascii || value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
    });
    declared && token(kind) && parameters && charsets <= 1
}

/// How people call the content.
const fn declared(content: ContentKind) -> &'static str {
    match content {
        ContentKind::Json => "JSON",
        ContentKind::Ndjson => "NDJSON",
        ContentKind::Csv => "CSV",
        ContentKind::Opaque => "content",
    }
}

impl Error {
    /// What the caller is told.
    pub fn public(&self) -> Text {
        match self {
            Self::Status(status) => Text::new(
                format!("提供部门的应答状态为 {}，不能作为本次调用的结果", status.as_u16()),
                format!("the provider answered with status {}, which is no answer to this call", status.as_u16()),
            ),
            Self::Field(_) => Text::new("提供部门的应答头自相矛盾", "the head of the provider's answer contradicts itself"),
            Self::Encoding => {
                Text::new("提供部门的应答经过压缩编码，无法逐项核对", "the provider's answer is in a coding that cannot be judged")
            }
            Self::Part => Text::new("提供部门只返回了部分内容", "the provider answered with a part of the content only"),
            Self::Untyped => Text::new("提供部门的应答没有内容类型", "the provider's answer has no content type"),
            Self::Type(kind) => Text::new(
                format!("提供部门的应答未声明为 UTF-8 的 {}", declared(*kind)),
                format!("the provider's answer is not declared as {} in UTF-8", declared(*kind)),
            ),
        }
    }
}

/// For the log.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the origin answered with status {}", status.as_u16()),
            Self::Field(name) => write!(f, "the origin's field `{name}` stands several times or is not text"),
            Self::Encoding => f.write_str("the origin's content is coded though identity was asked for"),
            Self::Part => f.write_str("the origin answered with a part though no range was asked for"),
            Self::Untyped => f.write_str("the origin's content has no type"),
            Self::Type(kind) => write!(f, "the origin's content is not declared as {} in utf-8", declared(*kind)),
        }
    }
}

impl std::error::Error for Error {}
