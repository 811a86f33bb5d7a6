//! What a call asks of the origin: parameters and content, read strictly where they name a person, and the request that
//! is sent on. The query is re-emitted from its parsed values, content that was read is sent on re-serialised.

use std::fmt::Write as _;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use serde_json::Value;

use super::admission::Admitted;
use super::field;
use super::limits::Limits;
use super::listener::Connection;
use super::refusal::{Code, Refusal};
use super::verifying::{self, Claimed};
use crate::catalogue::SubjectSource;
use crate::catalogue::route::Target;
use crate::disclosure::json;
use crate::identity::Subject;
use crate::lang::Text;
use crate::origin::{Guarded, RequestContent};
use crate::purpose::bind::Bound;
use crate::sys;

/// What is asked, in the one form in which it is sent on.
#[must_use]
pub struct Asked {
    pub(super) method: Method,
    /// Path and query at the origin.
    pub(super) target: String,
    pub(super) content: RequestContent,
    pub(super) content_type: Option<HeaderValue>,
    /// The identifier of the person whose data is asked for; becomes a keyed digest.
    pub subject: Option<String>,
    /// What a `verify` operation holds the answer against.
    pub claimed: Option<Claimed>,
}

/// Reads parameters and content as the operation declares them.
pub async fn read(limits: &Limits, admitted: &Admitted, target: &Target, content: Incoming) -> Result<Asked, Refusal> {
    let query = query(admitted, target)?;
    if let Some(verify) = &target.operation.verify {
        return verifying::read(limits, admitted, target, verify, content).await;
    }
    let content_type = admitted.head.headers.get(header::CONTENT_TYPE).cloned();
    let (content, content_type, subject) = match &target.operation.subject {
        Some(SubjectSource::Content(path)) => {
            let document = document(limits, admitted, content).await?;
            let subject = path.single(&document).ok().filter(|subject| !subject.trim().is_empty()).ok_or_else(no_subject)?;
            let content = Either::Left(Full::new(document.to_string().into()));
            (content, Some(HeaderValue::from_static("application/json")), Some(subject))
        }
        source => {
            let subject = match source {
                Some(SubjectSource::Path(name)) => {
                    target.parameters.iter().find(|(known, _)| **known == **name).map(|(_, value)| value.clone())
                }
                Some(SubjectSource::Query(name)) => admitted.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()),
                Some(SubjectSource::Content(_)) | None => None,
            };
            if source.is_some() && subject.as_deref().is_none_or(|subject| subject.trim().is_empty()) {
                return Err(no_subject());
            }
            (streamed(limits, content), content_type, subject)
        }
    };
    let (method, target) = (target.operation.method.clone(), format!("{}{query}", target.origin_target()));
    Ok(Asked { method, target, content, content_type, subject, claimed: None })
}

/// Parameters that are not declared, or stand twice, have no one meaning.
fn query(admitted: &Admitted, target: &Target) -> Result<String, Refusal> {
    let mut query = String::new();
    for (at, (name, value)) in admitted.query.iter().enumerate() {
        if !target.operation.parameters.contains(name) {
            if target.operation.parameters.is_empty() {
                return Err(malformed("此操作不接受查询参数", "this operation takes no query parameters"));
            }
            let known: Vec<_> = target.operation.parameters.iter().map(|name| format!("`{name}`")).collect();
            let known = known.join(", ");
            let (zh, en) = (format!("未声明的查询参数；可用：{known}"), format!("a query parameter is not declared; known here: {known}"));
            return Err(malformed(&zh, &en));
        }
        if admitted.query[..at].iter().any(|(before, _)| before == name) {
            return Err(malformed(&format!("查询参数 `{name}` 重复"), &format!("the query parameter `{name}` stands twice")));
        }
        let separator = if at == 0 { '?' } else { '&' };
        // Writing to a string does not fail.
        let _ = write!(query, "{separator}{}={}", Encoded(name), Encoded(value));
    }
    Ok(query)
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
struct Encoded<'a>(&'a str);

impl std::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

fn streamed(limits: &Limits, content: Incoming) -> RequestContent {
    if content.is_end_stream() {
        return Either::Left(Full::new(Bytes::new()));
    }
    Either::Right(Guarded::new(content, limits.content_size, limits.content_timeout))
}

/// Content that names a person: bounded, and parsed strictly, so that it can be sent on as it was understood.
pub(super) async fn document(limits: &Limits, admitted: &Admitted, content: Incoming) -> Result<Value, Refusal> {
    if admitted.head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(malformed(
            "此操作的请求内容不得压缩（Content-Encoding）",
            "the content of this operation must not be coded (Content-Encoding)",
        ));
    }
    let most = usize::try_from(limits.subject_content_size).unwrap_or(usize::MAX);
    let collected = tokio::time::timeout(limits.content_timeout, Limited::new(content, most).collect()).await;
    let bytes = match collected {
        Err(_) => return Err(malformed("请求内容未在时限内到达", "the content did not arrive in time")),
        Ok(Err(error)) if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() => {
            let text = Text::new(
                format!("此操作的请求内容不得超过 {most} 字节"),
                format!("the content of this operation is at most {most} bytes"),
            );
            return Err(Refusal::new(Code::ContentTooLarge, text));
        }
        Ok(Err(_)) => return Err(malformed("请求内容未完整到达", "the content did not arrive whole")),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    let wrong =
        || malformed("请求内容不是合格的 JSON（RFC 8259，无重复成员）", "the content is not strict JSON (RFC 8259, no member twice)");
    json::parse(&bytes).map_err(|_| wrong())
}

pub(super) fn malformed(zh: &str, en: &str) -> Refusal {
    Refusal::new(Code::RequestMalformed, Text::new(zh, en))
}

fn no_subject() -> Refusal {
    malformed("请求中缺少个人信息主体标识，或其值不唯一", "the identifier of the person whose data is asked for is missing or not single")
}

impl Asked {
    /// The request to the origin: end-to-end fields of the caller, none that could speak for the gateway, then ours.
    pub fn request(
        self,
        admitted: &Admitted,
        connection: &Connection,
        subject: &Subject,
        bound: &Bound,
    ) -> Result<Request<RequestContent>, Refusal> {
        // An origin's address has no path of its own: this is all that its connection needs to be told.
        let uri = Uri::try_from(self.target);
        let uri = uri.map_err(|_| malformed("路径无法转交提供部门的接口", "the path cannot be passed to the department's API"))?;
        let mut request = Request::new(self.content);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        // Ours, `Share-Id` and `Host` come on top of the caller's.
        *request.headers_mut() = HeaderMap::with_capacity(admitted.head.headers.len() + 9);
        let fields = request.headers_mut();
        end_to_end(&admitted.head.headers, fields);
        match self.content_type {
            Some(content_type) => fields.insert(header::CONTENT_TYPE, content_type),
            None => fields.remove(header::CONTENT_TYPE),
        };
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut ours = |name: &HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                fields.insert(name, value);
            }
        };
        ours(&field::SHARE_REQUESTER, &subject.requester.id);
        ours(&field::SHARE_DEPARTMENT, &subject.department.id);
        ours(&field::SHARE_PURPOSE, &purpose(bound));
        ours(&header::FORWARDED, &forwarded(admitted, connection));
        ours(&field::TRACEPARENT, &traceparent(admitted.head.headers.get(&field::TRACEPARENT)));
        Ok(request)
    }
}

/// `Share-Purpose` as bound (RFC 9651), which may say more than the caller did.
fn purpose(bound: &Bound) -> String {
    match &bound.case {
        None => bound.scenario.id.to_string(),
        Some(case) if case.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
            let mut text = format!("{};case=\"", bound.scenario.id);
            for character in case.chars() {
                if matches!(character, '\\' | '"') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push('"');
            text
        }
        Some(case) => {
            let mut text = format!("{};case=%\"", bound.scenario.id);
            for byte in case.bytes() {
                // A Display String percent-encodes in lower case (RFC 9651 section 4.1.11).
                let _ = match byte {
                    b'%' | b'"' | 0..=0x1f | 0x7f.. => write!(text, "%{byte:02x}"),
                    byte => text.write_char(char::from(byte)),
                };
            }
            text.push('"');
            text
        }
    }
}

/// RFC 7239.
fn forwarded(admitted: &Admitted, connection: &Connection) -> String {
    let proto = if connection.encrypted { "https" } else { "http" };
    match admitted.source {
        std::net::IpAddr::V4(address) => format!("for={address};proto={proto}"),
        std::net::IpAddr::V6(address) => format!("for=\"[{address}]\";proto={proto}"),
    }
}

/// W3C Trace Context: the caller's trace goes on under a span of ours; a field that is not one begins a new trace.
fn traceparent(given: Option<&HeaderValue>) -> String {
    let given = given.and_then(|value| value.to_str().ok()).and_then(|value| {
        let mut parts = value.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hexadecimal = |part: &str, length| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let fits = version == "00" && hexadecimal(trace, 32) && hexadecimal(span, 16) && hexadecimal(flags, 2) && parts.next().is_none();
        (fits && trace.bytes().any(|byte| byte != b'0')).then_some((trace, flags))
    });
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    // The lengths fit.
    let _ = hex::encode_to_slice(sys::random::<8>(), &mut span);
    let span = str::from_utf8(&span).unwrap_or_default();
    match given {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => {
            let _ = hex::encode_to_slice(sys::random::<16>(), &mut trace);
            format!("00-{}-{span}-00", str::from_utf8(&trace).unwrap_or_default())
        }
    }
}

/// Fields that stay on this side, sorted: hop-by-hop, framing, conditionals and ranges (an answer is judged whole),
/// credentials, and every field by which an origin might be told who asks (RFC 9110 section 7.6).
const KEPT_HERE: &[&str] = &[
    "accept-encoding",
    "authorization",
    "baggage",
    "cf-connecting-ip",
    "connection",
    "content-digest",
    "content-length",
    "content-md5",
    "cookie",
    "cookie2",
    "digest",
    "dpop",
    "early-data",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "origin",
    "proxy-connection",
    "range",
    "referer",
    "remote-user",
    "repr-digest",
    "signature",
    "signature-input",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-real-ip",
];

/// Beginnings of field names that stay on this side; each begins with one of `c`, `p`, `s` and `x`.
const KEPT_HERE_BY_BEGINNING: &[&str] = &[
    "share-",
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    "client-cert",
    "x-client-",
    "x-ssl-",
    "x-user",
    "x-auth",
    "x-remote-",
    "proxy-",
    "sec-",
    "x-envoy-",
    "x-amz",
    "x-http-method",
    "x-method-override",
];

fn end_to_end(from: &HeaderMap, to: &mut HeaderMap) {
    let named: Vec<String> = from
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    for (name, value) in from {
        let text = name.as_str();
        let here = KEPT_HERE.binary_search(&text).is_ok()
            || (text.starts_with(['c', 'p', 's', 'x']) && KEPT_HERE_BY_BEGINNING.iter().any(|beginning| text.starts_with(beginning)));
        // Servers that map fields to variables cannot tell `_` from `-`.
        if !here && !text.contains('_') && !named.iter().any(|option| option == text) {
            to.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_here_is_found() {
        assert!(KEPT_HERE.is_sorted());
        assert!(KEPT_HERE_BY_BEGINNING.iter().all(|beginning| beginning.starts_with(['c', 'p', 's', 'x'])));
        let mut from = HeaderMap::new();
        for name in KEPT_HERE.iter().copied().chain(["share-anything", "sec-fetch-mode", "x-user-name", "proxy-status", "a_b", "accept"]) {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let mut to = HeaderMap::new();
        end_to_end(&from, &mut to);
        assert_eq!(to.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
