//! Disclosure on the line: step 8, from an origin's answer to what the intent's plan shows of it, and step 9, the reply.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::content::Content;
use super::field;
use super::refusal::Refusal;
use super::rows::Rows;
use super::verifying::{self, Claimed};
use super::{Counted, Shared};
use crate::disclosure::head::{self, Verdict};
use crate::disclosure::{self, ContentKind, Regions};
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
    /// What was held, and what the rest comes from.
    Stream(Vec<Bytes>, Source),
}

/// Where the rest of a streamed answer comes from.
pub(super) struct Source {
    answer: Answer,
    /// None: the content leaves as it is.
    rewriter: Option<disclosure::Stream>,
    /// Whether the origin says where its content ends.
    framed: bool,
}

/// Step 8.
pub async fn disclose(
    shared: &Shared,
    intent: &Intent,
    (claimed, rows): (Option<&Claimed>, Option<Rows>),
    answer: Result<Response<Answer>, origin::Error>,
    settlement: &mut Settlement,
) -> Result<Disclosed, Refusal> {
    if let Some(claimed) = claimed {
        // Apart, so that other calls carry no room for it.
        return Box::pin(verifying::disclose(shared, intent, (claimed, rows), answer, settlement)).await;
    }
    let (parts, answer) = answer?.into_parts();
    let status = parts.status;
    settlement.status(status);
    let (plan, shown) = (intent.plan(), HeaderValue::from_str(intent.compiled().field()).ok());
    let verdict = head::judge(plan.content, intent.method(), status, &parts.headers).map_err(disclosure::Error::from)?;
    let (content, content_type) = match verdict {
        Verdict::Refused => return Err(Refusal::of_origin(status)),
        Verdict::Empty => (Kept::Whole(Bytes::new()), None),
        Verdict::Content => {
            let own = parts.headers.get(header::CONTENT_TYPE).cloned();
            if plan.content == ContentKind::Opaque && !plan.discloses_whole() {
                return Err(disclosure::Error::NotWhole.into());
            }
            if plan.content == ContentKind::Opaque {
                settlement.disclosed(disclosure::Outcome::whole());
            }
            // The end of JSON shows in itself, but for that of a bare number.
            let framed = origin::is_framed(&parts.headers);
            if plan.content != ContentKind::Json && !framed {
                return Err(disclosure::Error::Unframed.into());
            }
            (hold(Source::of(shared, intent, rows, (answer, framed)), settlement).await?, content_type(plan.content).or(own))
        }
    };
    Ok(Disclosed { status, content, content_type, shown })
}

/// The type of content that the gateway writes itself.
fn content_type(content: ContentKind) -> Option<HeaderValue> {
    let written = match content {
        ContentKind::Json => "application/json",
        ContentKind::Ndjson => "application/x-ndjson",
        ContentKind::Csv => "text/csv; charset=utf-8",
        ContentKind::Opaque => return None,
    };
    Some(HeaderValue::from_static(written))
}

/// The first of what is shown, or all of a small answer.
async fn hold(mut source: Source, settlement: &mut Settlement) -> Result<Kept, Refusal> {
    let (mut held, mut size) = (Vec::new(), 0);
    while size < HELD {
        match poll_fn(|context| source.poll_shown(context, settlement)).await {
            Some(piece) => {
                let piece = piece?;
                size += piece.len();
                held.push(piece);
            }
            None => return Ok(Kept::Whole(if held.len() == 1 { held.remove(0) } else { held.concat().into() })),
        }
    }
    Ok(Kept::Stream(held, source))
}

impl Source {
    fn of(shared: &Shared, intent: &Intent, rows: Option<Rows>, (answer, framed): (Answer, bool)) -> Self {
        let plan = intent.compiled();
        let rewriter = (intent.plan().content != ContentKind::Opaque).then(|| {
            let pseudonyms = shared.pseudonyms.scope(intent.scenario(), intent.department());
            plan.stream(&pseudonyms, rows.map(|rows| Box::new(rows) as Box<dyn Regions>), shared.disclosure_buffer)
        });
        Self { answer, rewriter, framed }
    }

    /// How much is still to come, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.answer.declared_length().filter(|_| self.rewriter.is_none())
    }

    /// The next of what is shown. At the end, and where it fails, the settlement is told what was shown.
    pub(super) fn poll_shown(
        &mut self,
        context: &mut Context<'_>,
        settlement: &mut Settlement,
    ) -> Poll<Option<Result<Bytes, disclosure::Error>>> {
        loop {
            let piece = match ready!(self.answer.poll_piece(context)) {
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(broken_off(error))));
                }
                Some(Ok(piece)) => Some(piece),
                None => None,
            };
            let mut shown = Vec::new();
            match (&mut self.rewriter, piece) {
                (Some(rewriter), Some(piece)) => {
                    settlement.origin_sent(&piece);
                    if let Err(error) = rewriter.push(&piece, &mut shown) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                (None, Some(piece)) if !piece.is_empty() => return Poll::Ready(Some(Ok(piece))),
                (None, Some(_)) => {}
                (None, None) => return Poll::Ready(None),
                (Some(rewriter), None) => {
                    if !self.framed && !rewriter.is_at_end() {
                        return Poll::Ready(Some(Err(disclosure::Error::Unframed)));
                    }
                    match rewriter.finish(&mut shown) {
                        Ok(outcome) => settlement.disclosed(outcome),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                    self.rewriter = None;
                }
            }
            if !shown.is_empty() {
                return Poll::Ready(Some(Ok(shown.into())));
            }
        }
    }

    /// Before its end: what was shown up to here, and the rest of the answer.
    pub(super) fn broken_off(self, settlement: &mut Option<Settlement>) -> Answer {
        if let (Some(rewriter), Some(settlement)) = (self.rewriter, settlement) {
            settlement.disclosed(rewriter.outcome());
        }
        self.answer
    }
}

pub(super) fn broken_off(error: origin::BrokenOff) -> disclosure::Error {
    tracing::warn!(%error, "an origin's answer broke off");
    disclosure::Error::BrokenOff
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
            Kept::Stream(held, source) => Content::stream(held, source, settlement, counted, drain),
        };
        let mut response = Response::new(content);
        *response.status_mut() = self.status;
        *response.headers_mut() = HeaderMap::with_capacity(6);
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        fields.insert(&field::SHARE_RECEIPT, receipt.field());
        if let Some(shown) = self.shown {
            fields.insert(&field::SHARE_DISCLOSURE, shown);
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
