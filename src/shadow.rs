//! The shadow: another control folder, decided beside the one in force and never enforced. Calls are told to it through a
//! bounded queue, so that no call waits for it; what does not fit is counted and not compared. What comes out otherwise
//! is counted, logged once for each kind of caller, and kept for officers to see.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use crate::catalogue::route::Target;
use crate::disclosure::{Form, Plan};
use crate::identity::{Subject, TokenScope};
use crate::policy::supposed::{Given, Supposed};
use crate::purpose::stated::Stated;
use crate::snapshot::Snapshot;

/// Calls that wait to be compared.
const QUEUE: usize = 4096;
/// Differences kept for officers, the newest.
const SHOWN: usize = 100;
/// Kinds of difference and caller that are logged.
const LOGGED: usize = 1000;

/// What is told of a call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// Who asks.
    pub subject: &'c Subject,
    /// What for data.
    pub target: &'c Target,
    /// What for, as it states itself.
    pub stated: Option<&'c Stated>,
    /// When.
    pub time: Timestamp,
    /// Where from.
    pub source: IpAddr,
    /// The name of that network.
    pub network: &'c Arc<str>,
}

/// How a call comes out otherwise under the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Refused now, it would be allowed.
    NewlyAllowed,
    /// Allowed now, it would be refused.
    NewlyDenied,
    /// It would show an item in a wider form, or one that is omitted now.
    Wider,
    /// It would show an item in a narrower form, or omit it.
    Narrower,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NewlyAllowed, Self::NewlyDenied, Self::Wider, Self::Narrower];

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly_allowed",
            Self::NewlyDenied => "newly_denied",
            Self::Wider => "wider",
            Self::Narrower => "narrower",
        }
    }
}

/// One call that comes out otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// When it was made.
    pub time: Timestamp,
    /// Who made it.
    pub requester: Arc<str>,
    /// For which department.
    pub department: Arc<str>,
    /// For which resource.
    pub resource: Arc<str>,
    /// For which scenario, where it stated one.
    pub scenario: Option<String>,
    /// The refusal's code under the shadow, where it would be refused.
    pub code: Option<&'static str>,
    /// The items that would be shown in another form.
    pub items: Vec<Arc<str>>,
}

/// What was compared so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The shadow's digest; none: there is no shadow.
    pub snapshot: Option<String>,
    /// Calls compared.
    pub compared: u64,
    /// Calls that did not fit the queue.
    pub dropped: u64,
    /// How often each kind came up, in the order of [`Kind::ALL`].
    pub counts: [u64; 4],
    /// The newest differences, newest first.
    pub shown: Vec<Difference>,
}

/// A call on its way, as the shadow is told of it.
struct Observed {
    shadow: Arc<Snapshot>,
    requester: Arc<str>,
    department: Arc<str>,
    roles: BTreeSet<Arc<str>>,
    scope: Option<TokenScope>,
    resource: Arc<str>,
    template: String,
    stated: Option<Stated>,
    time: Timestamp,
    given: Given,
    /// What the call was granted; none: it was refused.
    plan: Option<Arc<Plan>>,
}

/// The shadow of all calls.
pub struct Shadow {
    snapshot: ArcSwapOption<Snapshot>,
    queue: SyncSender<Box<Observed>>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    compared: AtomicU64,
    dropped: AtomicU64,
    counts: [AtomicU64; 4],
    seen: Mutex<Seen>,
}

/// Kind, requester, resource and scenario: what is logged once.
type Key = (Kind, Arc<str>, Arc<str>, Option<String>);

/// One way in which a call comes out otherwise: the code of its refusal, or the items.
type Found = (Kind, Option<&'static str>, Vec<Arc<str>>);

#[derive(Default)]
struct Seen {
    shown: VecDeque<Difference>,
    logged: HashSet<Key>,
}

/// A call that is followed; dropped without a grant it was refused.
#[must_use]
pub struct Followed<'s>(Option<(Box<Observed>, &'s Shadow)>);

impl Shadow {
    /// No shadow yet, and the thread that will compare.
    pub fn start() -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let told = Arc::new(Told::default());
        let work = told.clone();
        std::thread::Builder::new().name("shadow".to_owned()).spawn(move || compare_all(&waiting, &work))?;
        Ok(Self { snapshot: ArcSwapOption::empty(), queue, told })
    }

    /// Follows calls under this snapshot from now on, or none.
    pub fn set(&self, snapshot: Option<Arc<Snapshot>>) {
        let digest = |snapshot: &Arc<Snapshot>| snapshot.digest.clone();
        let before = self.snapshot.load().as_ref().map(digest);
        if before != snapshot.as_ref().map(digest) {
            // What was found belongs to the other one.
            *self.told.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        }
        self.snapshot.store(snapshot);
    }

    /// Follows a call, if there is a shadow. `call` is asked for only then.
    pub fn follow<'c>(&self, call: impl FnOnce() -> Call<'c>) -> Followed<'_> {
        let shadow = self.snapshot.load();
        let Some(shadow) = shadow.as_ref() else { return Followed(None) };
        Followed(Some((Box::new(Observed::of(&call(), shadow.clone())), self)))
    }

    /// What was compared so far.
    pub fn report(&self) -> Report {
        let told = &self.told;
        let shown = told.seen.lock().unwrap_or_else(PoisonError::into_inner).shown.iter().cloned().collect();
        Report {
            snapshot: self.snapshot.load().as_ref().map(|snapshot| snapshot.digest.clone()),
            compared: told.compared.load(Ordering::Relaxed),
            dropped: told.dropped.load(Ordering::Relaxed),
            counts: std::array::from_fn(|kind| told.counts[kind].load(Ordering::Relaxed)),
            shown,
        }
    }
}

impl Followed<'_> {
    /// The call is allowed, and shows this.
    pub fn granted(mut self, plan: &Arc<Plan>) {
        if let Some((observed, _)) = &mut self.0 {
            observed.plan = Some(plan.clone());
        }
    }
}

impl Drop for Followed<'_> {
    fn drop(&mut self) {
        if let Some((observed, shadow)) = self.0.take()
            && shadow.queue.try_send(observed).is_err()
        {
            shadow.told.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observed {
    fn of(call: &Call<'_>, shadow: Arc<Snapshot>) -> Self {
        let Call { subject, target, stated, time, source, network } = *call;
        let given = Given {
            network: Some(network.clone()),
            bound: Some(subject.bound),
            operator_roles: subject.operator_roles.clone(),
            operator_clearance: Some(subject.operator_clearance),
            source: Some(source),
            ..Given::default()
        };
        Self {
            shadow,
            requester: subject.requester.id.clone(),
            department: subject.department.id.clone(),
            roles: subject.roles.clone(),
            scope: subject.scope.clone(),
            resource: target.resource.id.clone(),
            template: target.template(),
            stated: stated.cloned(),
            time,
            given,
            plan: None,
        }
    }

    /// The call as the shadow knows it, or the code of the refusal for what it does not know.
    fn supposed(&self) -> Result<Supposed, &'static str> {
        let Snapshot { parties, catalogue, .. } = &*self.shadow;
        let requester = parties.requesters.get(&self.requester).ok_or("requester_unknown")?.value.clone();
        let department = requester.calls_for(&self.department).ok_or("token_invalid")?.clone();
        let resource = catalogue.resources.get(&self.resource).ok_or("resource_unknown")?.clone();
        let same = |operation: &&Arc<crate::catalogue::Operation>| format!("{} {}", operation.method, operation.path) == self.template;
        let operation = resource.operations.iter().find(same).ok_or("resource_unknown")?.clone();
        let roles = self.roles.intersection(&requester.roles).cloned().collect();
        Ok(Supposed {
            requester,
            department,
            roles: Some(roles),
            scope: self.scope.clone(),
            resource,
            operation,
            stated: Ok(self.stated.clone()),
            time: self.time,
            given: self.given.clone(),
        })
    }

    /// Decides it under the shadow: each kind of difference, with the code or the items.
    fn compare(&self) -> Vec<Found> {
        let outcome = self.supposed().and_then(|supposed| {
            let decided = self.shadow.policies.suppose(&supposed, self.shadow.world());
            decided.map(|(_, decision)| decision.plan.clone()).map_err(|refused| refused.code())
        });
        match (&self.plan, outcome) {
            (None, Err(_)) => Vec::new(),
            (None, Ok(_)) => vec![(Kind::NewlyAllowed, None, Vec::new())],
            (Some(_), Err(code)) => vec![(Kind::NewlyDenied, Some(code), Vec::new())],
            (Some(now), Ok(then)) => {
                let changed = |kind, items: Vec<Arc<str>>| (!items.is_empty()).then_some((kind, None, items));
                [changed(Kind::Wider, wider(now, &then)), changed(Kind::Narrower, wider(&then, now))].into_iter().flatten().collect()
            }
        }
    }
}

/// Items that `then` shows in a wider form than `now`.
fn wider(now: &Plan, then: &Plan) -> Vec<Arc<str>> {
    let width = |plan: &Plan, name: &str| plan.items.iter().find(|item| *item.name == *name).map_or(0, |item| width(item.form));
    then.items.iter().filter(|item| width(then, &item.name) > width(now, &item.name)).map(|item| item.name.clone()).collect()
}

const fn width(form: Option<Form>) -> u8 {
    match form {
        None => 0,
        Some(Form::Compare) => 1,
        Some(Form::Pseudonymise) => 2,
        Some(Form::Mask) => 3,
        Some(Form::Reveal) => 4,
    }
}

fn compare_all(waiting: &Receiver<Box<Observed>>, told: &Told) {
    while let Ok(observed) = waiting.recv() {
        for (kind, code, items) in observed.compare() {
            told.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
            let scenario = observed.stated.as_ref().map(|stated| stated.scenario.clone()).filter(|id| observed.knows(id));
            let Observed { requester, department, resource, time, .. } = &*observed;
            let mut seen = told.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (kind, requester.clone(), resource.clone(), scenario.clone());
            if seen.logged.len() < LOGGED && seen.logged.insert(key) {
                let kind = kind.name();
                tracing::info!(kind, %requester, %resource, scenario, code, ?items, "the shadow decides otherwise");
            }
            let (requester, department, resource) = (requester.clone(), department.clone(), resource.clone());
            seen.shown.push_front(Difference { kind, time: *time, requester, department, resource, scenario, code, items });
            seen.shown.truncate(SHOWN);
        }
        told.compared.fetch_add(1, Ordering::Relaxed);
    }
}

impl Observed {
    /// Only registered scenarios are told on: what a caller wrote could be anything, a person's number too.
    fn knows(&self, scenario: &str) -> bool {
        self.shadow.purposes.scenarios.contains_key(scenario)
    }
}
