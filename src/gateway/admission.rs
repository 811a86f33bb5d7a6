//! Admission: step 1 of the line. Only what has one meaning goes on: one version, one normal form of the path, one
//! value a parameter. Nothing here knows who asks.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Body;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Version};
use jiff::Timestamp;

use super::listener::Connection;
use super::{Line, field};
use crate::lang::{Lang, Text};
use crate::snapshot::Snapshot;
use crate::sys;

/// A request that has one meaning, and the one snapshot that judges it.
#[must_use]
#[expect(clippy::manual_non_exhaustive, reason = "the last field keeps every other file from making one")]
pub struct Admitted {
    /// Policies, catalogue, parties and purposes for the whole call.
    pub snapshot: Arc<Snapshot>,
    /// The head, as it came.
    pub head: Parts,
    /// The path in its normal form: what is matched is what is forwarded.
    pub path: String,
    /// The query's parameters, decoded.
    pub query: Vec<(String, String)>,
    /// When the call was admitted.
    pub time: Timestamp,
    /// From where.
    pub source: IpAddr,
    /// From which named network.
    pub network: Arc<str>,
    _minted: (),
}

/// Why a request is not admitted.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the refusals are")]
pub enum Error {
    Malformed(Text),
    TargetAmbiguous(Text),
    Upgrade(Text),
    ContentTooLarge(Text),
    TargetTooLong(Text),
    FieldsTooLarge(Text),
    Version(Text),
    Overloaded(Text),
}

impl Error {
    /// Why, for the caller.
    pub fn detail(&self) -> Text {
        match self {
            Self::Malformed(text)
            | Self::TargetAmbiguous(text)
            | Self::Upgrade(text)
            | Self::ContentTooLarge(text)
            | Self::TargetTooLong(text)
            | Self::FieldsTooLarge(text)
            | Self::Version(text)
            | Self::Overloaded(text) => text.clone(),
        }
    }
}

/// Step 1.
pub fn admit(line: &Line, connection: &Connection, head: Parts, body: &impl Body) -> Result<Admitted, Error> {
    if !matches!(head.version, Version::HTTP_11 | Version::HTTP_2) {
        // An HTTP/1.0 answer ends by closing, so an aborted one would look complete.
        return Err(Error::Version(Text::new("请使用 HTTP/1.1 或 HTTP/2", "use HTTP/1.1 or HTTP/2")));
    }
    limit_fields(line, &head, body)?;
    refuse_upgrade(&head)?;
    let path = normal_path(head.uri.path())?;
    let query = parse_query(head.uri.query().unwrap_or(""))?;
    Ok(Admitted {
        snapshot: line.shared.snapshot(),
        path,
        query,
        time: sys::now(),
        source: connection.peer.ip().to_canonical(),
        network: line.shared.networks.name(connection.peer.ip()).clone(),
        head,
        _minted: (),
    })
}

/// The caller's language, for requests that were not admitted too.
pub fn language(fields: &HeaderMap) -> Lang {
    fields.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map_or_else(Lang::default, Lang::from_accept_language)
}

fn limit_fields(line: &Line, head: &Parts, body: &impl Body) -> Result<(), Error> {
    let limits = &line.shared.limits;
    let over = |what_zh: &str, what_en: &str, limit: u64| {
        Text::new(format!("{what_zh}超过 {limit} 字节"), format!("the {what_en} is over {limit} bytes"))
    };
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target as u64 > limits.target_size {
        return Err(Error::TargetTooLong(over("请求目标", "request target", limits.target_size)));
    }
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields as u64 > limits.header_size {
        return Err(Error::FieldsTooLarge(over("首部字段", "header section", limits.header_size)));
    }
    if head.headers.len() > limits.header_fields {
        let most = limits.header_fields;
        return Err(Error::FieldsTooLarge(Text::new(format!("首部字段多于 {most} 个"), format!("there are over {most} header fields"))));
    }
    if body.size_hint().lower() > limits.content_size {
        return Err(Error::ContentTooLarge(over("请求内容", "content", limits.content_size)));
    }
    Ok(())
}

fn refuse_upgrade(head: &Parts) -> Result<(), Error> {
    let refused = |zh: &str, en: &str| Err(Error::Upgrade(Text::new(zh, en)));
    if head.method == Method::CONNECT {
        return refused("不接受 CONNECT", "CONNECT is refused");
    }
    if head.headers.contains_key(header::UPGRADE) || head.headers.contains_key(&field::HTTP2_SETTINGS) {
        return refused("不接受协议升级", "protocol upgrades are refused");
    }
    // A Connection field that names one of ours would have it stripped on the way.
    let connection = head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    for option in connection.flat_map(|value| value.split(',')).map(str::trim) {
        let option = option.to_ascii_lowercase();
        if option == "upgrade" {
            return refused("不接受协议升级", "protocol upgrades are refused");
        }
        if option == "authorization" || option == "forwarded" || option == "traceparent" || option.starts_with("share-") {
            let text = Text::new(format!("Connection 不得指定 `{option}`"), format!("the Connection field must not name `{option}`"));
            return Err(Error::Malformed(text));
        }
    }
    Ok(())
}

/// One normal form, or none: percent-encoded unreserved characters are decoded, everything that servers read in more
/// than one way is refused (RFC 3986 section 6.2; X-Road 7.7.1 had to mend this).
fn normal_path(path: &str) -> Result<String, Error> {
    let ambiguous = |zh: &str, en: &str| Error::TargetAmbiguous(Text::new(zh, en));
    if !path.starts_with('/') {
        return Err(Error::Malformed(Text::new("请求目标应以 / 开头", "the request target must begin with `/`")));
    }
    let mut normal = String::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let byte = decode_one(bytes.get(at + 1..at + 3))
                    .ok_or_else(|| ambiguous("路径中有不完整的百分号编码", "the path has an incomplete percent-encoding"))?;
                match byte {
                    b'/' | b'\\' | b';' | b'%' | b'?' | b'#' | 0..=0x1f | 0x7f => {
                        return Err(ambiguous(
                            "路径中有会被不同解读的编码字符",
                            "the path encodes a character that servers read in different ways",
                        ));
                    }
                    _ if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => normal.push(char::from(byte)),
                    _ => {
                        normal.push('%');
                        normal.push_str(&hex::encode_upper([byte]));
                    }
                }
                at += 3;
            }
            b';' | b'\\' => return Err(ambiguous("路径中有 `;` 或 `\\`", "the path holds `;` or `\\`")),
            byte if byte.is_ascii_graphic() => {
                normal.push(char::from(byte));
                at += 1;
            }
            _ => return Err(ambiguous("路径中有不可见或未编码的字符", "the path holds a character that must be encoded")),
        }
    }
    if normal.contains("//") || normal.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(ambiguous("路径中有 `//`、`.` 或 `..`", "the path holds `//`, `.` or `..`"));
    }
    Ok(normal)
}

fn decode_one(digits: Option<&[u8]>) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits?, &mut byte).ok()?;
    Some(byte[0])
}

/// `application/x-www-form-urlencoded` names and values, decoded; undecodable ones are refused.
fn parse_query(query: &str) -> Result<Vec<(String, String)>, Error> {
    let malformed = || Error::Malformed(Text::new("查询参数编码有误", "the query is not encoded rightly"));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_component(name).ok_or_else(malformed)?, decode_component(value).ok_or_else(malformed)?))
        })
        .collect()
}

fn decode_component(text: &str) -> Option<String> {
    let text: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    if !text.contains('%') {
        return Some(text.into_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        if first == b'%' {
            decoded.push(decode_one(rest.get(..2))?);
            bytes = &rest[2..];
        } else {
            decoded.push(first);
            bytes = rest;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_normal_form() {
        assert_eq!(normal_path("/psb/%70opulation").unwrap(), "/psb/population");
        assert_eq!(normal_path("/a/%e5%bc%a0").unwrap(), "/a/%E5%BC%A0");
        for ambiguous in [
            "/a/../b",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%5Cb",
            "/a;b=1",
            "//a",
            "/a//b",
            "/a/./b",
            "/a%00",
            "/a%0d",
            "/a%25%32%66",
            "/a%3bb",
            "/a%",
            "/a%zz",
        ] {
            assert!(matches!(normal_path(ambiguous), Err(Error::TargetAmbiguous(_))), "{ambiguous}");
        }
        assert!(matches!(normal_path("*"), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_query_is_decoded_once() {
        let pairs = parse_query("a=1&b=%E5%BC%A0+x&c").unwrap();
        assert_eq!(pairs, [("a".into(), "1".into()), ("b".into(), "张 x".into()), ("c".into(), String::new())]);
        assert!(parse_query("a=%").is_err());
        assert!(parse_query("a=%ff").is_err());
    }
}
