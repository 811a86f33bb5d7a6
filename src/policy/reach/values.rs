//! Which circumstances are worth trying: for each member of the context that policies read, one value on each side of
//! every constant that they hold.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cedar_policy::Policy;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::policy::entities::TYPES;
use crate::policy::reads::Reads;
use crate::policy::{Circumstances, World};

/// Offices work or do not at some half hour of these.
const HALF_HOURS: i64 = 2 * 24 * 14;

/// Constants of policies.
#[derive(Debug, Default)]
pub(in crate::policy) struct Values {
    texts: BTreeSet<Arc<str>>,
    numbers: BTreeSet<i64>,
    roles: BTreeSet<Arc<str>>,
    sources: BTreeSet<IpAddr>,
    times: BTreeSet<i64>,
}

/// One choice of circumstances.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Chosen {
    pub(super) time: Timestamp,
    /// Against what the scenario's order says at that time.
    pub(super) other_emergency: bool,
    pub(super) network: Arc<str>,
    pub(super) bound: bool,
    pub(super) operator_roles: BTreeSet<Arc<str>>,
    pub(super) operator_clearance: i64,
    pub(super) source: IpAddr,
}

impl Chosen {
    /// A call about which nothing is special.
    pub(super) fn plain(time: Timestamp) -> Self {
        Self {
            time,
            other_emergency: false,
            network: "other".into(),
            bound: false,
            operator_roles: BTreeSet::new(),
            operator_clearance: 0,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// The circumstances that were read, by their names in the context; the time in any case.
    pub(super) fn told(&self, reads: &Reads, as_asked: &Circumstances) -> Map<String, Value> {
        let all = reads.unbounded;
        let members = [
            ("network", all || reads.network, json!(&*self.network)),
            ("work_time", all || reads.work_time, json!(as_asked.work_time)),
            ("emergency", all || reads.emergency, json!(as_asked.emergency)),
            ("operator_clearance", all || reads.operator_clearance, json!(self.operator_clearance)),
            ("operator_roles", all || reads.operator_roles, json!(self.operator_roles.iter().map(|role| &**role).collect::<Vec<_>>())),
            ("bound", all || reads.bound, json!(self.bound)),
            ("source", all || reads.source, json!(self.source.to_string())),
            ("time", true, json!(self.time.to_string())),
        ];
        members.into_iter().filter(|(_, read, _)| *read).map(|(name, _, value)| (name.to_owned(), value)).collect()
    }
}

impl Values {
    /// The constants of all these policies.
    pub(in crate::policy) fn of<'p>(policies: impl Iterator<Item = &'p Policy>) -> Self {
        let mut values = Self::default();
        for policy in policies {
            for name in policy.entity_literals().iter().filter(|name| *name.type_name() == TYPES.role) {
                values.roles.insert(name.id().unescaped().into());
            }
            // A policy that has no JSON cannot be indexed either, and then nothing loads.
            if let Ok(syntax) = policy.to_json() {
                let reads = Reads::of(&syntax);
                values.collect(&syntax["conditions"], &reads);
                values.times.extend(reads.times);
            }
        }
        values
    }

    fn collect(&mut self, syntax: &Value, reads: &Reads) {
        match syntax {
            Value::Object(members) => members.values().for_each(|inner| self.collect(inner, reads)),
            Value::Array(elements) => elements.iter().for_each(|inner| self.collect(inner, reads)),
            Value::Number(number) if reads.operator_clearance || reads.unbounded => self.numbers.extend(number.as_i64()),
            Value::String(text) => {
                if reads.network || reads.unbounded {
                    self.texts.insert(text.as_str().into());
                }
                if reads.source || reads.unbounded {
                    let network = text.parse::<IpNet>().map(|net| net.network());
                    self.sources.extend(network.or_else(|_| text.parse()).ok());
                }
            }
            _ => {}
        }
    }

    /// The moments worth trying: now; when offices do the opposite; and, between the times that policies name, again a
    /// moment of work and one of rest.
    pub(super) fn instants(&self, world: World<'_>, now: Timestamp) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        let step = SignedDuration::from_mins(30);
        let from = |start: Timestamp, until: Option<Timestamp>, instants: &mut Vec<Timestamp>| {
            let works = |at: Timestamp| {
                let local = at.to_zoned_datetime(world.parties.time_zone.clone());
                world.purposes.calendar.as_ref().is_some_and(|calendar| calendar.work_time(&local))
            };
            instants.push(start);
            let first = works(start);
            let later = (1..HALF_HOURS).filter_map(|n| start.checked_add(step * i32::try_from(n).ok()?).ok());
            let mut later = later.take_while(|at| until.is_none_or(|until| *at < until));
            instants.extend(later.find(|at| works(*at) != first));
        };
        let times: Vec<Timestamp> = self.times.iter().filter_map(|at| Timestamp::from_millisecond(*at).ok()).collect();
        from(now, times.iter().copied().find(|time| *time > now), &mut instants);
        for (number, &time) in times.iter().enumerate() {
            let until = times.get(number + 1).copied();
            instants.extend(time.checked_sub(SignedDuration::from_millis(1)).ok());
            instants.push(time);
            from(time.checked_add(SignedDuration::from_millis(1)).unwrap_or(time), until, &mut instants);
        }
        let mut seen = BTreeSet::new();
        instants.retain(|at| seen.insert(*at));
        instants
    }

    /// Every choice that these reads tell apart, the plain one first.
    pub(super) fn choices(&self, reads: &Reads, time: Timestamp) -> Vec<Chosen> {
        let mut choices = vec![Chosen::plain(time)];
        let all = reads.unbounded;
        if all || reads.emergency {
            spread(&mut choices, [true], |chosen, other| chosen.other_emergency = other);
        }
        if all || reads.network {
            spread(&mut choices, self.texts.iter().filter(|text| &***text != "other").cloned(), |chosen, name| chosen.network = name);
        }
        if all || reads.bound {
            spread(&mut choices, [true], |chosen, bound| chosen.bound = bound);
        }
        if all || reads.operator_clearance {
            let around = self.numbers.iter().flat_map(|number| [number.saturating_sub(1), *number, number.saturating_add(1)]);
            let levels: BTreeSet<i64> = around.filter(|level| *level > 0).collect();
            spread(&mut choices, levels, |chosen, level| chosen.operator_clearance = level);
        }
        if all || reads.operator_roles {
            let each = self.roles.iter().map(|role| BTreeSet::from([role.clone()]));
            let together = (self.roles.len() > 1).then(|| self.roles.clone());
            spread(&mut choices, each.chain(together), |chosen, roles| chosen.operator_roles = roles);
        }
        if all || reads.source {
            spread(&mut choices, self.sources.iter().copied(), |chosen, source| chosen.source = source);
        }
        choices
    }
}

/// Each choice again with each further value.
fn spread<T: Clone>(choices: &mut Vec<Chosen>, values: impl IntoIterator<Item = T>, set: impl Fn(&mut Chosen, T)) {
    let plain = choices.clone();
    for value in values {
        choices.extend(plain.iter().cloned().map(|mut chosen| {
            set(&mut chosen, value.clone());
            chosen
        }));
    }
}
