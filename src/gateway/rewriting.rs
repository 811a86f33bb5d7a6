//! Disclosure on the line: step 8, from an origin's answer to what the intent's plan shows of it, and step 9, the reply.

use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::content::Content;
use super::refusal::Refusal;
use super::verifying::{self, Claimed};
use super::{Counted, Shared};
use crate::disclosure::head::{self, Verdict};
use crate::disclosure::{self, ContentKind};
use crate::origin::{self, Answer};
use crate::share::{Intent, Receipt, Settlement};

/// The head of a streamed answer is held until this much of it, or all, is there: small answers fail as a clean 502.
const HELD: usize = 256 << 10;

/// What may leave.
#[must_use]
pub struct Disclosed {
    status: StatusCode,
    content: Kept,
    content_type: Option<HeaderValue>,
    shown: Option<HeaderValue>,
}

enum Kept {
    Whole(Bytes),
    Stream(Vec<Bytes>, Answer),
}

/// Step 8.
pub async fn disclose(
    shared: &Shared,
    intent: &Intent,
    claimed: Option<&Claimed>,
    answer: Result<Response<Answer>, origin::Error>,
    settlement: &mut Settlement,
) -> Result<Disclosed, Refusal> {
    if let Some(claimed) = claimed {
        return verifying::disclose(shared, intent, claimed, answer, settlement).await;
    }
    let (parts, answer) = answer?.into_parts();
    let status = parts.status;
    settlement.status(status);
    let (plan, shown) = (intent.plan(), HeaderValue::from_str(intent.compiled().field()).ok());
    let verdict = head::judge(plan.content, intent.method(), status, &parts.headers).map_err(disclosure::Error::from)?;
    let (content, content_type) = match (verdict, plan.content) {
        (Verdict::Refused, _) => return Err(Refusal::of_origin(status)),
        (Verdict::Empty, _) => (Kept::Whole(Bytes::new()), None),
        (Verdict::Content, ContentKind::Json) => {
            (json_content(shared, intent, answer, settlement).await?, Some(HeaderValue::from_static("application/json")))
        }
        // No catalogue that loads has these yet.
        (Verdict::Content, ContentKind::Ndjson | ContentKind::Csv) => return Err(disclosure::Error::NotWhole.into()),
        (Verdict::Content, ContentKind::Opaque) if !plan.discloses_whole() => return Err(disclosure::Error::NotWhole.into()),
        (Verdict::Content, ContentKind::Opaque) if !origin::is_framed(&parts.headers) => return Err(disclosure::Error::Unframed.into()),
        (Verdict::Content, ContentKind::Opaque) => {
            settlement.disclosed(disclosure::Outcome::whole());
            (hold(answer).await?, parts.headers.get(header::CONTENT_TYPE).cloned())
        }
    };
    Ok(Disclosed { status, content, content_type, shown })
}

/// A JSON answer, rewritten.
async fn json_content(shared: &Shared, intent: &Intent, mut answer: Answer, settlement: &mut Settlement) -> Result<Kept, Refusal> {
    let pseudonyms = shared.pseudonyms.scope(intent.scenario(), intent.department());
    let mut stream = intent.compiled().stream(&pseudonyms, None, shared.disclosure_buffer);
    let mut shown = Vec::new();
    while let Some(piece) = answer.piece().await {
        let piece = piece.map_err(broken_off)?;
        settlement.origin_sent(&piece);
        stream.push(&piece, &mut shown)?;
    }
    settlement.disclosed(stream.finish(&mut shown)?);
    Ok(Kept::Whole(shown.into()))
}

/// The first pieces of an opaque answer, or all of a small one.
async fn hold(mut answer: Answer) -> Result<Kept, Refusal> {
    let (mut held, mut size) = (Vec::new(), 0);
    while size < HELD {
        match answer.piece().await {
            Some(piece) => {
                let piece = piece.map_err(broken_off)?;
                size += piece.len();
                held.push(piece);
            }
            None => return Ok(Kept::Whole(held.concat().into())),
        }
    }
    Ok(Kept::Stream(held, answer))
}

pub(super) fn broken_off(error: origin::BrokenOff) -> Refusal {
    tracing::warn!(%error, "an origin's answer broke off");
    disclosure::Error::BrokenOff.into()
}

impl Disclosed {
    /// The yes or no to a claim, which shows no item.
    pub(super) fn verified(content: Bytes) -> Self {
        let content_type = Some(HeaderValue::from_static("application/json"));
        Self { status: StatusCode::OK, content: Kept::Whole(content), content_type, shown: None }
    }

    /// Step 9: needs the receipt; the content owns the settlement from here.
    pub fn reply(self, receipt: &Receipt, settlement: Settlement, counted: Counted, drain: Drain) -> Response<Content> {
        let content = match self.content {
            Kept::Whole(bytes) => Content::whole(bytes, settlement, counted),
            Kept::Stream(held, answer) => Content::stream(held, answer, settlement, counted, drain),
        };
        let mut response = Response::new(content);
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        fields.insert("share-receipt", receipt.field());
        if let Some(shown) = self.shown {
            fields.insert("share-disclosure", shown);
        }
        if let Some(content_type) = self.content_type {
            fields.insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}

/// What happens to the rest of an origin's answer when the caller goes away.
#[derive(Clone, Copy, Debug)]
pub enum Drain {
    /// A safe call: the origin's connection is dropped.
    No,
    /// An unsafe call: up to this much is read, so that the origin can finish what it does.
    UpTo(u64),
}
