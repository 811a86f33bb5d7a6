//! Verifying a claim (核验) on the line: what the caller claims becomes what the origin is asked, and the origin's answer
//! becomes a yes or a no. Both answers have one shape, one size and one record, and are made by the same work.

use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::Shared;
use super::admission::Admitted;
use super::limits::Limits;
use super::reading::{self, Asked, malformed};
use super::refusal::Refusal;
use super::rewriting::{self, Disclosed};
use super::rows::Rows;
use crate::catalogue::SubjectSource;
use crate::catalogue::route::Target;
use crate::catalogue::verify::{Values, Verify};
use crate::disclosure::compare::{self, Claim};
use crate::disclosure::head::{self, Verdict};
use crate::disclosure::path::Segment;
use crate::disclosure::{self, Form, JsonPath, Regions, json};
use crate::origin::{self, Answer};
use crate::share::{Intent, Settlement};

/// A claim on its way through the line.
#[derive(Debug)]
pub struct Claimed {
    claim: Claim,
    /// Whom the claim is about: the subject, or where none is declared what the origin is asked about.
    pub about: String,
}

/// Reads the caller's object, and fills the origin's request from it.
pub async fn read(limits: &Limits, admitted: &Admitted, target: &Target, verify: &Verify, content: Incoming) -> Result<Asked, Refusal> {
    let values = values(verify, reading::document(limits, admitted, content).await?)?;
    let of = |name: &str| values.get(name).and_then(compare::text).unwrap_or_default();
    let path = verify.ask.fill_path(&values).map_err(|name| {
        let (zh, en) = (format!("成员 `{name}` 的值不能写入地址"), format!("the value of `{name}` cannot stand in an address"));
        malformed(&zh, &en)
    })?;
    let subject = match &target.operation.subject {
        Some(SubjectSource::Content(JsonPath(path))) => match path.as_slice() {
            [Segment::Name(name)] => Some(of(name)),
            _ => None,
        },
        _ => None,
    };
    let about = subject.as_deref().map_or_else(
        || {
            verify
                .ask
                .names()
                .into_iter()
                .fold(target.resource.id.to_string(), |about, name| format!("{about}\n{}", compare::about(&of(name))))
        },
        compare::about,
    );
    let claim = Claim::new(&verify.comparison, of);
    let filled = verify.ask.fill_content(&values);
    Ok(Asked {
        method: verify.ask.method.clone(),
        target: path,
        content_type: filled.is_some().then(|| HeaderValue::from_static("application/json")),
        content: Either::Left(Full::new(filled.map_or_else(Bytes::new, |content| content.to_string().into()))),
        subject,
        claimed: Some(Claimed { claim, about }),
    })
}

/// The members of the caller's object: exactly those that are declared, each a value that can be compared.
fn values(verify: &Verify, document: Value) -> Result<Values, Refusal> {
    let Value::Object(members) = document else {
        return Err(malformed("请求内容应为 JSON 对象", "the content must be a JSON object"));
    };
    let expected = || verify.members.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if let Some(missing) = verify.members.iter().find(|name| !members.contains_key(&***name)) {
        let (zh, en) =
            (format!("缺少成员 `{missing}`；应为：{}", expected()), format!("`{missing}` is missing; the members are {}", expected()));
        return Err(malformed(&zh, &en));
    }
    if members.len() > verify.members.len() {
        let (zh, en) = (format!("有多余的成员；应为：{}", expected()), format!("there are members too many; they are {}", expected()));
        return Err(malformed(&zh, &en));
    }
    let mut values = Values::new();
    for name in &verify.members {
        let value = members.get(&**name).filter(|value| compare::text(value).is_some_and(|text| !compare::normal(&text).is_empty()));
        let Some(value) = value else {
            let (zh, en) = (
                format!("成员 `{name}` 应为非空的字符串、数字或布尔值"),
                format!("`{name}` must be a string that is not blank, a number, or true or false"),
            );
            return Err(malformed(&zh, &en));
        };
        values.insert(Arc::clone(name), value.clone());
    }
    Ok(values)
}

/// As long as the other one, so that the length of what is encrypted does not tell them apart.
const MATCH: &[u8] = b"{\"match\":true}\n";
const NO_MATCH: &[u8] = b"{\"match\":false}";

/// Step 8 of a claim. An origin that knows nobody (404, or no content) has given an answer: no match.
pub async fn disclose(
    shared: &Shared,
    intent: &Intent,
    (claimed, mut rows): (&Claimed, Option<Rows>),
    answer: Result<Response<Answer>, origin::Error>,
    settlement: &mut Settlement,
) -> Result<Disclosed, Refusal> {
    let (parts, answer) = answer?.into_parts();
    let plan = intent.plan();
    let verdict = match parts.status {
        StatusCode::NOT_FOUND => Ok(Verdict::Empty),
        status => head::judge(plan.content, intent.method(), status, &parts.headers),
    };
    if matches!(verdict, Ok(Verdict::Content | Verdict::Empty)) {
        // What the caller is answered with; the origin's own status would tell the outcome to whoever reads the ledger.
        settlement.status(StatusCode::OK);
    } else {
        settlement.status(parts.status);
    }
    settlement.origin_sent(&[]);
    let verdict = verdict.map_err(disclosure::Error::from)?;
    if verdict == Verdict::Refused {
        return Err(Refusal::of_origin(parts.status));
    }
    // Read where it does not count, too: that takes its time, and leaves the connection as every answer does.
    let content = whole(shared, answer, settlement).await?;
    // Of a bare number a part looks like the whole.
    if content.last().is_some_and(u8::is_ascii_digit) && !origin::is_framed(&parts.headers) {
        return Err(disclosure::Error::Unframed.into());
    }
    let found = if verdict == Verdict::Content { json::parse(&content).map_err(disclosure::Error::from)? } else { Value::Null };
    let regions = rows.as_mut().map(|rows| rows as &mut dyn Regions);
    let matches = claimed.claim.matches(&found, plan.max_records, regions)?;
    let items = disclosure::Shown::once(claimed.claim.items().cloned(), Form::Compare);
    settlement.disclosed(disclosure::Outcome { items, ..disclosure::Outcome::default() });
    Ok(Disclosed::verified(Bytes::from_static(if matches { MATCH } else { NO_MATCH })))
}

/// The whole of an answer, within the limit of what is held for judging.
async fn whole(shared: &Shared, mut answer: Answer, settlement: &mut Settlement) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.piece().await {
        let piece = piece.map_err(rewriting::broken_off)?;
        if whole.len() + piece.len() > shared.disclosure_buffer {
            return Err(disclosure::Error::TooLarge { limit: shared.disclosure_buffer as u64 }.into());
        }
        settlement.origin_sent(&piece);
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_have_one_size_and_one_shape() {
        assert_eq!(MATCH.len(), NO_MATCH.len());
        for (content, matches) in [(MATCH, true), (NO_MATCH, false)] {
            assert_eq!(serde_json::from_slice::<Value>(content).unwrap(), serde_json::json!({ "match": matches }));
        }
    }
}
