//! The line that a request travels: one function, one statement a step, one error type, one exit. The numbers are
//! those of the crate's documentation.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response};

use super::content::{self, Content};
use super::field;
use super::listener::Connection;
use super::outliving::{Outliving, Waited};
use super::refusal::{Code, Refusal};
use super::rewriting::Drain;
use super::rows::Rows;
use super::standing::Standing;
use super::verifying::Claimed;
use super::{Counted, Line, admission, reading, rewriting, well_known};
use crate::catalogue::route::Target;
use crate::identity::{AuthorizationFields, Credentials};
use crate::lang::Text;
use crate::origin::{Passage, RequestContent};
use crate::policy::rows::Question;
use crate::purpose::bind::bind;
use crate::purpose::stated::Stated;
use crate::shadow::Call;
use crate::share::{self, Facts, Intent, Known, Outcome, PendingReceipt, Settlement};
use crate::snapshot::Snapshot;
use crate::sys;

/// Answers one request: what was disclosed, or the refusal. The one exit of the line.
pub async fn answer(line: Arc<Line>, connection: Arc<Connection>, request: Request<Incoming>) -> Response<Content> {
    let started = sys::instant();
    let lang = admission::language(request.headers());
    let head_only = request.method() == Method::HEAD;
    let mut known = Known::at(&connection.peer);
    let outcome = share(&line, &connection, request, &mut known).await;
    let metrics = &line.shared.metrics;
    let resource = known.resource().to_owned();
    let response = match outcome {
        Ok(response) => {
            metrics.called(&resource, "granted", "", started.elapsed());
            response
        }
        Err(mut refusal) => {
            if refusal.entry.is_none() {
                refusal.entry = line.shared.recorder.refused(known, refusal.code.name(), &refusal.policies).await;
            }
            refusal.write_log(&resource);
            metrics.called(&resource, "refused", refusal.code.name(), started.elapsed());
            refusal.response(lang)
        }
    };
    if head_only { content::head_of(response) } else { response }
}

/// The line. `known` gathers what a refusal's entry may say; no step reads it.
async fn share(
    line: &Arc<Line>,
    connection: &Connection,
    request: Request<Incoming>,
    known: &mut Known,
) -> Result<Response<Content>, Refusal> {
    let shared = &line.shared;
    let counted = shared.count().ok_or_else(overloaded)?;
    let (head, content) = request.into_parts();

    // 1 admit
    let admitted = admission::admit(line, connection, head, &content)?;
    known.admitted(&admitted.network, &admitted.snapshot.digest, admitted.time);
    let snapshot = admitted.snapshot.clone();

    // 2 authenticate
    let authorization = AuthorizationFields::of(&admitted.head.headers);
    let credentials = Credentials { authorization, certificate: connection.certificate.as_ref() };
    let subject = shared.authenticator.authenticate(&snapshot.parties, credentials, admitted.time).await;
    let subject = known.authenticated(subject)?;
    if let Some(asked) = well_known::asked(&admitted)? {
        return well_known::answer(shared, (connection, &admitted), &subject, asked).await;
    }

    // 3 resolve
    let target = snapshot.catalogue.routes.find(&admitted.head.method, &admitted.path)?;
    let target = known.resolved(target);

    // 4 bind
    let stated = Stated::parse(admitted.head.headers.get_all(&field::SHARE_PURPOSE).iter().map(HeaderValue::as_bytes))?;
    let shadowed = shared.shadow.follow(|| Call {
        subject: &subject,
        target: &target,
        stated: stated.as_ref(),
        time: admitted.time,
        source: admitted.source,
        network: &admitted.network,
    });
    let bound = known.bound(bind(snapshot.registered(), &subject, &target, stated.as_ref(), admitted.time))?;

    // 5 decide
    let circumstances = snapshot.circumstances(&bound, admitted.time, admitted.source, &admitted.network);
    let permit = snapshot.policies.decide(&subject, &target, &bound, &circumstances)?;
    shadowed.granted(&permit.plan);
    let mut asked = reading::read(&shared.limits, &admitted, &target, content).await?;
    let (data_subject, claimed) = (asked.subject.clone(), asked.claimed.take());
    let mut request = asked.request(&admitted, connection, &subject, &bound)?;
    if let Some(claimed) = &claimed {
        shared.probes.take(&subject.requester.id, &claimed.about, admitted.time)?;
    }
    let taken = match &bound.grant {
        Some(grant) => shared.quotas.take(grant, || permit.plan.most(), admitted.time, &snapshot.parties.time_zone).await?,
        None => None,
    };

    // 6 commit
    let facts = Facts {
        subject: &subject,
        target: &target,
        bound: &bound,
        circumstances: &circumstances,
        snapshot: &snapshot.digest,
        data_subject: data_subject.as_deref(),
    };
    let (intent, pending, settlement) = shared.recorder.commit(permit, &facts, taken)?;

    let rows = target.resource.region.is_some().then(|| {
        let question = Question::new(subject.clone(), target.clone(), &bound, circumstances);
        Rows::new(snapshot.clone(), question)
    });

    // From here on the work outlives the caller, and sees when the caller has gone.
    request.headers_mut().insert(&field::SHARE_ID, intent.id_field());
    let waited = Waited::default();
    let standing = Standing::of(&subject, &bound);
    let committed = Committed { line: line.clone(), target, claimed, rows, intent, pending, settlement, counted, standing, snapshot };
    let answered = Outliving::new(waited.clone(), committed.carry_out(request, waited)).await;
    answered.unwrap_or_else(|_| Err(broken()))
}

/// A share on its way: from commit on nothing of it is lost, whoever goes away.
struct Committed {
    line: Arc<Line>,
    target: Arc<Target>,
    claimed: Option<Claimed>,
    rows: Option<Rows>,
    intent: Intent,
    pending: PendingReceipt,
    settlement: Settlement,
    counted: Counted,
    standing: Standing,
    snapshot: Arc<Snapshot>,
}

impl Committed {
    /// Steps 7 to 9; step 10 is the settlement's own.
    async fn carry_out(self, request: Request<RequestContent>, waited: Waited) -> Result<Response<Content>, Refusal> {
        let Self { line, target, claimed, rows, intent, pending, mut settlement, counted, standing, snapshot } = self;
        let (origin, method) = (&target.resource.origin, request.method().clone());
        let drain = if method.is_safe() { Drain::No } else { Drain::UpTo(line.shared.limits.drain_size) };
        // Work stops when the caller goes away where the call is safe.
        let caller = Caller(method.is_safe().then_some(waited));

        // 7 forward
        let (receipt, answer) = match Passage::ahead(&intent, &method) {
            Some(passage) => {
                // Pinned where it stands, here and below: what is handed from hand to hand is copied each time.
                let mut asking = pin!(line.origins.forward(passage, origin, request));
                let asking = caller.unless_gone(asking.as_mut());
                let both = tokio::try_join!(async { pending.durable().await }, async { Ok(asking.await) });
                match both {
                    Ok(both) => both,
                    Err(error) => return Err(unrecorded(error, settlement)),
                }
            }
            None => {
                let receipt = match pending.durable().await {
                    Ok(receipt) => receipt,
                    Err(error) => return Err(unrecorded(error, settlement)),
                };
                let passage = Passage::recorded(&receipt);
                let answer = line.origins.forward(passage, origin, request).await;
                (receipt, Some(answer))
            }
        };

        // 8 disclose
        let disclosed = match answer {
            Some(answer) => {
                let given = (claimed.as_ref(), rows);
                let mut disclosing = pin!(rewriting::disclose(&line.shared, &intent, given, answer, &mut settlement));
                caller.unless_gone(disclosing.as_mut()).await
            }
            None => None,
        };

        // 9 reply; 10 settle is done by the settlement, whoever holds it last
        match disclosed {
            Some(Ok(disclosed)) => match standing.check(&line.shared, &snapshot) {
                Ok(()) => {
                    let reply = disclosed.reply(&receipt, settlement, counted, drain);
                    Ok(reply.map(|content| content.unless(standing.lost(line.shared.clone()))))
                }
                Err(refusal) => Err(refusal.of_share(&receipt, settlement)),
            },
            Some(Err(refusal)) => Err(refusal.of_share(&receipt, settlement)),
            None => Err(unheard()),
        }
    }
}

/// The caller that the work stops for when it goes away; none: the work goes on to its end.
struct Caller(Option<Waited>);

impl Caller {
    /// Runs `work` to its end, or drops it when the caller goes away.
    async fn unless_gone<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        // Whoever goes away hands the work to another task, which asks again: nothing else has to wake it.
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending if self.0.as_ref().is_some_and(Waited::is_over) => Poll::Ready(None),
            polled => polled.map(Some),
        })
        .await
    }
}

fn overloaded() -> Refusal {
    admission::Error::Overloaded(Text::new(
        "网关正在处理的调用已达上限，请稍后再试",
        "as many calls as the gateway takes are under way; try again soon",
    ))
    .into()
}

/// What is not durable wherever it must be is not shared: where it is on this disk all the same, it is settled as failed.
fn unrecorded(error: share::Error, settlement: Settlement) -> Refusal {
    settlement.settle(Outcome::Failed);
    error.into()
}

/// Nobody is there to read it: the caller went away, and the dropped settlement says `cut`.
fn unheard() -> Refusal {
    Refusal::new(Code::OriginUnreachable, Text::new("调用方已断开", "the caller went away"))
}

/// The work that carries out a share ended without an answer; its settlement has settled it.
fn broken() -> Refusal {
    Refusal::new(Code::DisclosureFailed, Text::new("处理应答时发生内部错误", "an internal error happened while the answer was handled"))
}
