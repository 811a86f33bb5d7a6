//! The content of an answer: a refusal's document, a whole disclosed answer, or a disclosed stream. What is disclosed
//! owns its `Settlement`, so that the end, an abort and a drop each settle the share.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::CONTENT_LENGTH;

use super::Counted;
use super::rewriting::{Drain, Source};
use crate::share::{Outcome, Settlement};

/// Content of an answer on its way to the caller.
pub struct Content(Inner);

enum Inner {
    /// Nothing that was disclosed.
    Plain(Full<Bytes>),
    /// Disclosed, whole before its first byte left.
    Whole { bytes: Option<Bytes>, settlement: Option<Settlement>, _counted: Counted },
    /// Disclosed piece by piece, too large to hold.
    Stream(Box<Stream>),
    /// Such a stream, which ends early once it no longer stands.
    Standing(Box<Self>, Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It ended early.
    Ended,
}

struct Stream {
    held: std::collections::VecDeque<Bytes>,
    source: Option<Source>,
    length: Option<u64>,
    settlement: Option<Settlement>,
    drain: Drain,
    counted: Option<Counted>,
}

/// A disclosure that failed after its head had left: the connection is aborted, so that no part passes for the whole.
#[derive(Debug)]
pub struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the disclosure failed after its head had left")
    }
}

impl std::error::Error for Aborted {}

impl Content {
    /// A document of the gateway's own.
    pub fn refusal(document: Full<Bytes>) -> Self {
        Self(Inner::Plain(document))
    }

    /// A whole disclosed answer.
    pub fn whole(bytes: Bytes, settlement: Settlement, counted: Counted) -> Self {
        let mut settlement = Some(settlement);
        if bytes.is_empty() {
            finish(&mut settlement, Outcome::Complete);
        }
        Self(Inner::Whole { bytes: Some(bytes), settlement, _counted: counted })
    }

    /// A disclosed stream: what was held, then the rest as it comes.
    pub(super) fn stream(held: Vec<Bytes>, source: Source, settlement: Settlement, counted: Counted, drain: Drain) -> Self {
        let ahead: usize = held.iter().map(Bytes::len).sum();
        let length = source.length().map(|rest| rest + ahead as u64);
        let (settlement, counted) = (Some(settlement), Some(counted));
        Self(Inner::Stream(Box::new(Stream { held: held.into(), source: Some(source), length, settlement, drain, counted })))
    }
}

impl Content {
    /// A stream is aborted, and settled as cut, when `lost` ends before it. What is whole leaves at once and needs no
    /// such guard.
    pub fn unless(self, lost: impl Future<Output = ()> + Send + 'static) -> Self {
        match self.0 {
            stream @ Inner::Stream(_) => Self(Inner::Standing(Box::new(stream), Box::pin(lost))),
            other => Self(other),
        }
    }
}

/// The answer to HEAD: what the gateway itself says is left out, and its length told. HTTP/1.1 would see to that, but
/// over HTTP/2 the content would go out, which callers take for an error of the connection.
pub(super) fn head_of(mut response: Response<Content>) -> Response<Content> {
    if let Inner::Plain(document) = &mut response.body_mut().0
        && let Some(length) = document.size_hint().exact()
    {
        *document = Full::default();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

impl Body for Content {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        self.0.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Plain(document) => document.is_end_stream(),
            Inner::Whole { bytes, .. } => bytes.as_ref().is_none_or(Bytes::is_empty),
            Inner::Stream(_) | Inner::Standing(..) => false,
            Inner::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Plain(document) => document.size_hint(),
            Inner::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Stream(stream) => stream.hint(),
            Inner::Standing(stream, _) => match &**stream {
                Inner::Stream(stream) => stream.hint(),
                _ => SizeHint::default(),
            },
            Inner::Ended => SizeHint::default(),
        }
    }
}

impl Inner {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self {
            Inner::Plain(document) => Pin::new(document).poll_frame(context).map_err(|never| match never {}),
            Inner::Whole { bytes, settlement, .. } => match bytes.take() {
                Some(bytes) if !bytes.is_empty() => {
                    if let Some(settlement) = settlement {
                        settlement.release(&bytes);
                    }
                    finish(settlement, Outcome::Complete);
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                _ => {
                    finish(settlement, Outcome::Complete);
                    Poll::Ready(None)
                }
            },
            Inner::Stream(stream) => stream.poll(context),
            Inner::Standing(stream, lost) => match lost.as_mut().poll(context) {
                Poll::Pending => stream.poll(context),
                Poll::Ready(()) => {
                    // Dropped with its settlement, which says `cut`.
                    *self = Inner::Ended;
                    Poll::Ready(Some(Err(Aborted)))
                }
            },
            Inner::Ended => Poll::Ready(None),
        }
    }
}

impl Stream {
    fn hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let piece = match (self.held.pop_front(), &mut self.source, &mut self.settlement) {
            (Some(held), ..) => Some(Ok(held)),
            (None, Some(source), Some(settlement)) => ready!(source.poll_shown(context, settlement)),
            _ => None,
        };
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                if let Some(length) = &mut self.length {
                    *length = length.saturating_sub(piece.len() as u64);
                }
                if let Some(settlement) = &mut self.settlement {
                    settlement.release(&piece);
                }
                // With a declared length the transport may not ask again after the last byte.
                if self.length == Some(0) && self.held.is_empty() {
                    finish(&mut self.settlement, Outcome::Complete);
                }
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "an answer failed while it was disclosed");
                self.source.take().map(|source| source.broken_off(&mut self.settlement));
                finish(&mut self.settlement, Outcome::Failed);
                Some(Err(Aborted))
            }
            None => {
                self.source = None;
                finish(&mut self.settlement, Outcome::Complete);
                None
            }
        })
    }
}

fn finish(settlement: &mut Option<Settlement>, outcome: Outcome) {
    if let Some(settlement) = settlement.take() {
        settlement.settle(outcome);
    }
}

/// The caller went away. The settlement, dropped with the rest, says `cut`.
impl Drop for Stream {
    fn drop(&mut self) {
        let answer = self.source.take().map(|source| source.broken_off(&mut self.settlement));
        if let (Some(mut answer), Drain::UpTo(mut left), Ok(runtime)) = (answer, self.drain, tokio::runtime::Handle::try_current()) {
            let counted = self.counted.take();
            runtime.spawn(async move {
                let _counted = counted;
                while let Some(Ok(piece)) = answer.piece().await {
                    left = match left.checked_sub(piece.len() as u64) {
                        Some(left) => left,
                        None => return,
                    };
                }
            });
        }
    }
}
