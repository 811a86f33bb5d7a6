//! The comparison over the calls that the control folders themselves allow for: every requester, department, operation
//! and scenario of either, under every circumstance that either version's policies read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::{Change, Found, Side};
use crate::catalogue::route::Target;
use crate::policy::decide::{Call, decide_cold};
use crate::policy::prove::{Counterexample, environments};
use crate::policy::reach::{Chosen, FoundCall, Reach, Route, Values, answers, subject, told};
use crate::policy::reads::Reads;
use crate::purpose::bind::Bound;

/// The case that calls state.
const CASE: &str = "case-1";

/// What the folders' own calls show.
#[derive(Debug)]
pub struct Own {
    /// As of which moment.
    pub at: Timestamp,
    /// How many calls were asked about on both sides.
    pub calls: usize,
    /// Whether these were all.
    pub complete: bool,
    /// Per action.
    pub changes: Vec<Change>,
}

/// Both versions, as of one moment.
pub(super) struct Pair<'a> {
    pub(super) from: Side<'a>,
    pub(super) to: Side<'a>,
    pub(super) at: Timestamp,
    pub(super) limit: usize,
    pub(super) seen: OnceLock<Seen>,
}

/// What the own calls showed: by action and direction (the new version is wider) the first call that differs.
pub(super) struct Seen {
    first: BTreeMap<(&'static str, bool), FoundCall>,
    calls: usize,
    complete: bool,
}

/// One answer that differs.
struct Differs<'d> {
    action: &'static str,
    item: Option<Arc<str>>,
    /// Only the new version allows it.
    wider: bool,
    /// The call, as the allowing side tells it.
    tell: &'d dyn Fn(Option<Arc<str>>) -> Option<FoundCall>,
}

/// An action, and the item that it is asked of.
type Question = (&'static str, Option<Arc<str>>);

/// One side of one call.
struct Asked<'a> {
    side: Side<'a>,
    reach: Reach<'a>,
    route: Option<Route>,
    bound: Option<Bound>,
}

impl<'a> Pair<'a> {
    /// Everything that differs, with the first example of each kind.
    pub(super) fn compare(&self) -> Own {
        let seen = self.seen();
        let found = |action, wider| match seen.first.get(&(action, wider)) {
            Some(call) => Found::One(Box::new(Counterexample::of_call(action, call.clone()))),
            None => Found::None,
        };
        let changes = environments().into_iter().map(|one| one.name);
        let changes = changes.map(|action| Change { action, wider: found(action, true), narrower: found(action, false) }).collect();
        Own { at: self.at, calls: seen.calls, complete: seen.complete, changes }
    }

    /// A call for which `action` differs in this direction.
    pub(super) fn find(&self, action: &'static str, wider: bool) -> Option<FoundCall> {
        self.seen().first.get(&(action, wider)).cloned()
    }

    /// All calls are asked about once, whatever is then looked up.
    fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| {
            let mut first = BTreeMap::new();
            let (calls, complete) = self.visit(&mut |differs| {
                if let Entry::Vacant(vacant) = first.entry((differs.action, differs.wider))
                    && let Some(call) = (differs.tell)(differs.item.clone())
                {
                    vacant.insert(call);
                }
            });
            Seen { first, calls, complete }
        })
    }

    /// Visits every answer that differs; how many calls were asked about, and whether these were all.
    fn visit(&self, visit: &mut dyn FnMut(&Differs<'_>)) -> (usize, bool) {
        let policies = [self.from, self.to].map(|side| side.policies.rules.index.policies());
        let values = Values::of(policies.into_iter().flatten());
        let [old, new] = [self.from, self.to].map(|side| Reach { world: side.world, at: self.at });
        let mut calls = 0;
        let gone = new.routes().filter(|route| find_route(self.from, route).is_none()).map(|route| (None, Some(route)));
        let routes = old.routes().map(|route| (Some(route.clone()), find_route(self.to, &route))).chain(gone);
        let mut instants = values.instants(self.from.world, self.at);
        instants.extend(values.instants(self.to.world, self.at));
        instants.sort_unstable();
        instants.dedup();
        for (from, to) in routes {
            let sides = [(self.from, old, from), (self.to, new, to)];
            for (case, &time) in [None, Some(CASE)].into_iter().flat_map(|case| instants.iter().map(move |time| (case, time))) {
                let both = sides.each_ref().map(|(side, reach, route)| Asked::of(*side, *reach, route.as_ref(), case, time));
                if both.iter().all(|side| side.bound.is_none()) {
                    continue;
                }
                let mut reads = Reads::default();
                both.iter().filter_map(|side| side.reads(time)).for_each(|read| reads.merge(&read));
                for chosen in values.choices(&reads, time) {
                    calls += 1;
                    compare_one(&both, &chosen, &reads, visit);
                    if calls >= self.limit {
                        return (calls, false);
                    }
                }
            }
        }
        (calls, true)
    }
}

fn compare_one(both: &[Asked<'_>; 2], chosen: &Chosen, reads: &Reads, visit: &mut dyn FnMut(&Differs<'_>)) {
    let [old, new] = both.each_ref().map(|side| side.allowed(chosen));
    for (wider, less, more, side) in [(true, &old, &new, &both[1]), (false, &new, &old, &both[0])] {
        for (action, item) in more.keys().filter(|question| more[*question] && !less.get(*question).copied().unwrap_or(false)) {
            let tell = |item| side.tell(chosen, reads, item);
            visit(&Differs { action, item: item.clone(), wider, tell: &tell });
        }
    }
}

fn target(route: &Route) -> Target {
    Target { resource: route.resource.clone(), operation: route.operation.clone(), parameters: Vec::new() }
}

/// The same requester, department, operation and scenario on the other side.
fn find_route(side: Side<'_>, route: &Route) -> Option<Route> {
    let requester = side.world.parties.requesters.get(&route.requester.id).map(|placed| &placed.value).filter(|one| !one.suspended)?;
    let department = requester.calls_for(&route.department.id)?;
    let resource = side.world.catalogue.resources.get(&route.resource.id)?;
    let same = &route.operation;
    let operation = resource.operations.iter().find(|one| one.kind == same.kind && one.method == same.method && one.path == same.path)?;
    let scenario = side.world.purposes.scenarios.get(&route.scenario.id)?;
    Some(Route {
        requester: requester.clone(),
        department: department.clone(),
        resource: resource.clone(),
        operation: operation.clone(),
        scenario: scenario.clone(),
    })
}

impl<'a> Asked<'a> {
    fn of(side: Side<'a>, reach: Reach<'a>, route: Option<&Route>, case: Option<&str>, time: Timestamp) -> Self {
        let case = case.map(str::to_owned);
        let bound = route.and_then(|route| reach.bind(&subject(route, &Chosen::plain(time)), &target(route), route, case, time));
        Self { side, reach, route: route.cloned(), bound }
    }

    /// Asks as this side would see the call; none where it is not bound here.
    fn as_call<T>(&self, chosen: &Chosen, ask: impl FnOnce(&Call<'_>, &Route, &Bound) -> T) -> Option<T> {
        let (route, bound) = (self.route.as_ref()?, self.bound.as_ref()?);
        let circumstances = self.reach.circumstances(chosen, bound.emergency(chosen.time));
        let (subject, target) = (subject(route, chosen), target(route));
        let (scenario, grant) = (&*bound.scenario, bound.grant.as_deref());
        let call =
            Call { subject: &subject, target: &target, scenario, grant, has_case: bound.case.is_some(), circumstances: &circumstances };
        Some(ask(&call, route, bound))
    }

    fn reads(&self, time: Timestamp) -> Option<Reads> {
        self.as_call(&Chosen::plain(time), |call, _, _| decide_cold(self.side.policies, call).0)?
    }

    /// What this side allows. A call that is not bound, and one on which a policy errs, is allowed nothing.
    fn allowed(&self, chosen: &Chosen) -> BTreeMap<Question, bool> {
        let policies = self.side.policies;
        let asked = self.as_call(chosen, |call, _, _| answers(policies, &policies.rules.index, call).unwrap_or_default());
        asked.into_iter().flatten().map(|answer| ((answer.action, answer.item), answer.allowed)).collect()
    }

    fn tell(&self, chosen: &Chosen, reads: &Reads, item: Option<Arc<str>>) -> Option<FoundCall> {
        self.as_call(chosen, |call, route, bound| {
            let policies = decide_cold(self.side.policies, call).1.map(|decision| decision.policies.clone()).unwrap_or_default();
            told(route, bound, item, chosen.told(reads, call.circumstances), policies)
        })
    }
}
