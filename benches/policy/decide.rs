//! Decisions in this process, timed in batches: medians, so that a busy moment of the machine counts little.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use kanhe::catalogue::route::Target;
use kanhe::identity::{Credential, CredentialKind, Subject};
use kanhe::purpose::bind::{Bound, bind};
use kanhe::purpose::stated::Stated;
use kanhe::snapshot::Snapshot;
use kanhe::sys;

use crate::process::processor_time;
use crate::world::{REQUESTERS, TENS};

/// Calls that are measured together.
const BATCH: usize = 50;

/// Seconds a decision, and how long the load took.
pub struct Decided {
    pub load: Duration,
    /// Processor time of it, of all threads.
    pub work: Duration,
    /// The first decision of all.
    pub first: f64,
    /// Median of new requesters' decisions, 10 items.
    pub cold: f64,
    /// A kept decision with 50 items, and with 10.
    pub warm_many: f64,
    pub warm: f64,
}

/// Loads the folder and decides.
pub fn run(control: &Path, grants: usize) -> Decided {
    let (started, before) = (Instant::now(), processor_time("/proc/self/stat"));
    let (snapshot, _) = Snapshot::load(control).unwrap_or_else(|refused| panic!("{:#?}", refused.errors));
    let (load, work) = (started.elapsed(), processor_time("/proc/self/stat") - before);
    let calls: Vec<_> = (0..REQUESTERS).map(|n| call(&snapshot, n, "/r0", "s0")).collect();
    let first = per_call(&snapshot, &calls[..1]);
    let mut cold: Vec<f64> = calls[BATCH..].chunks(BATCH).map(|calls| per_call(&snapshot, calls)).collect();
    cold.sort_by(f64::total_cmp);
    let warm = warm(&snapshot, &calls[0]);
    // The grants of twenty are the departments'; a tenth has none for the resource with many items.
    let many = (grants >= 20).then(|| call(&snapshot, 0, &format!("/r{}", TENS - 1), "s1"));
    Decided { load, work, first, cold: cold[cold.len() / 2], warm_many: many.map_or(f64::NAN, |call| self::warm(&snapshot, &call)), warm }
}

struct Call(Subject, Target, Bound);

fn call(snapshot: &Snapshot, requester: usize, path: &str, scenario: &str) -> Call {
    let requester = snapshot.parties.requesters[format!("app{requester}").as_str()].value.clone();
    let subject = Subject {
        department: requester.department.clone(),
        roles: requester.roles.clone(),
        requester,
        operator: None,
        operator_roles: BTreeSet::new(),
        operator_clearance: 0,
        credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
        bound: false,
        scope: None,
    };
    let target = snapshot.catalogue.routes.find(&Method::GET, path).expect("a resource");
    let stated = Stated { scenario: scenario.to_owned(), case: None };
    let bound = bind(snapshot.registered(), &subject, &target, Some(&stated), sys::now()).expect("bound");
    assert!(bound.grant.is_some(), "every call is under a grant");
    Call(subject, target, bound)
}

fn per_call(snapshot: &Snapshot, calls: &[Call]) -> f64 {
    let network: Arc<str> = "other".into();
    let before = Instant::now();
    for Call(subject, target, bound) in calls {
        let circumstances = snapshot.circumstances(bound, sys::now(), [127, 0, 0, 1].into(), &network);
        let permit = snapshot.policies.decide(subject, target, bound, &circumstances).expect("permitted");
        assert!(!permit.into_decision().plan.items.is_empty());
    }
    before.elapsed().as_secs_f64() / calls.len() as f64
}

/// The decision alone, its circumstances made beforehand.
fn warm(snapshot: &Snapshot, Call(subject, target, bound): &Call) -> f64 {
    let circumstances = snapshot.circumstances(bound, sys::now(), [127, 0, 0, 1].into(), &"other".into());
    let round = |calls: u32| {
        let before = Instant::now();
        for _ in 0..calls {
            std::hint::black_box(snapshot.policies.decide(subject, target, bound, &circumstances).expect("permitted").into_decision());
        }
        before.elapsed().as_secs_f64() / f64::from(calls)
    };
    round(2_000);
    let mut rounds: Vec<f64> = (0..7).map(|_| round(20_000)).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
