//! Quotas that several gateways share: the clerk, a thread that draws portions of each day from the book in the database,
//! gives back what others need, and counts a gateway's use again from its own ledger when it starts.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::ToSpan;
use jiff::civil::Date;

use super::Error;
use crate::ledger::register::{Asked, Broken, Database, Hand, Portion};
use crate::ledger::{self, Ledger};
use crate::purpose::quota::{Message, Quotas, Told, Wish};
use crate::snapshot::Snapshot;
use crate::sys;

/// How often wishes that wait are tried again.
const TICK: Duration = Duration::from_millis(250);
/// How often others' hunger is looked at, and how long to wait after a failure.
const EVERY: Duration = Duration::from_secs(1);
/// How long others have to give back what a call waits for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the book is kept.
const KEPT_DAYS: i64 = 8;

/// The thread at the book; it gives back what is unused when this is dropped.
pub(super) struct Clerk {
    desk: mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Quotas of this gateway, with today's use as its ledger tells it: a restart gives nobody a second quota. With a database,
/// the desk at which portions are wished for.
pub(super) fn open(config: &ledger::Config, ledger: &Ledger, snapshot: &Snapshot) -> Result<(Arc<Quotas>, Option<Desk>), Error> {
    let (quotas, desk) = match &config.database {
        None => (Arc::new(Quotas::default()), None),
        Some(database) => {
            let (desk, wishes) = mpsc::channel();
            let quotas = Arc::new(Quotas::shared(desk.clone()));
            let desk = Desk { database: database.clone(), log: config.name.clone(), quotas: Arc::downgrade(&quotas), desk, wishes };
            (quotas, Some(desk))
        }
    };
    let failed = |error: &dyn std::fmt::Display| {
        Error::trouble("无法从共享台账恢复当日用量", "today's use of quotas cannot be counted from the ledger", error)
    };
    let today = sys::now().to_zoned_datetime(snapshot.parties.time_zone.clone());
    let midnight = today.start_of_day().map_err(|error| failed(&error))?;
    for (grant, used) in ledger.day_use(midnight.timestamp()).map_err(|error| failed(&error))? {
        quotas.restore(&grant, today.date(), used);
    }
    Ok((quotas, desk))
}

/// Where wishes arrive, before anybody sits there.
pub(super) struct Desk {
    database: Database,
    log: String,
    quotas: Weak<Quotas>,
    desk: mpsc::Sender<Message>,
    wishes: Receiver<Message>,
}

impl Desk {
    /// Starts the clerk.
    pub(super) fn staff(self, snapshot: Arc<ArcSwap<Snapshot>>) -> io::Result<Clerk> {
        let Self { database, log, quotas, desk, wishes } = self;
        let work =
            Work { database, log, quotas, snapshot, hand: None, retry: None, broken: None, waiting: Vec::new(), looked: None, kept: None };
        let thread = std::thread::Builder::new().name("quotas".to_owned()).spawn(move || work.run(&wishes))?;
        Ok(Clerk { desk, thread: Some(thread) })
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        // A thread that has ended needs no word.
        let _ = self.desk.send(Message::End);
        // A thread that panicked has said so on standard error already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Work {
    database: Database,
    log: String,
    quotas: Weak<Quotas>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    hand: Option<Hand>,
    retry: Option<Instant>,
    broken: Option<String>,
    waiting: Vec<Wish>,
    looked: Option<Instant>,
    /// The first day that the book was last cleared for.
    kept: Option<Date>,
}

impl Work {
    fn run(mut self, wishes: &Receiver<Message>) {
        loop {
            let mut ended = match wishes.recv_timeout(TICK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            // All that came meanwhile is answered together.
            while let Ok(message) = wishes.try_recv() {
                ended |= self.take(message);
            }
            let Some(quotas) = self.quotas.upgrade() else { return };
            if ended {
                self.give_all(&quotas);
                return;
            }
            self.round(&quotas);
        }
    }

    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Wish(wish) => self.waiting.push(wish),
            Message::End => return true,
        }
        false
    }

    fn today(&self) -> Date {
        sys::now().to_zoned_datetime(self.snapshot.load().parties.time_zone.clone()).date()
    }

    fn round(&mut self, quotas: &Quotas) {
        let done = if self.retry.is_some_and(|retry| sys::instant() < retry) { None } else { Some(self.work(quotas)) };
        match done {
            Some(Ok(())) => {
                self.retry = None;
                if self.broken.take().is_some() {
                    tracing::info!("portions of quotas are drawn again");
                }
                return;
            }
            Some(Err(broken)) => {
                self.hand = None;
                self.retry = Some(sys::instant() + EVERY);
                if self.broken.as_ref() != Some(&broken.why) {
                    tracing::error!(error = %broken, "no portion of a quota can be drawn; calls go on with what is left of those that were");
                }
                self.broken = Some(broken.why);
            }
            None => {}
        }
        for wish in std::mem::take(&mut self.waiting) {
            let (held, _) = quotas.held(&wish.grant, wish.day);
            // Nothing is on its way any more.
            quotas.hold(&wish.grant, wish.day, held);
            wish.tell(Told::Unavailable);
        }
    }

    fn work(&mut self, quotas: &Quotas) -> Result<(), Broken> {
        let today = self.today();
        let yesterday = today.yesterday().unwrap_or(today);
        let mut hand = match self.hand.take() {
            Some(hand) => hand,
            None => self.connect(quotas, today, yesterday)?,
        };
        let mut wishes: BTreeMap<(Arc<str>, Date), Vec<Wish>> = BTreeMap::new();
        for wish in std::mem::take(&mut self.waiting) {
            wishes.entry((wish.grant.clone(), wish.day)).or_default().push(wish);
        }
        for ((grant, day), wishes) in wishes {
            let asked = ask(&mut hand, quotas, &grant, day, &wishes);
            let answer = match asked {
                Ok(told) => told,
                Err(broken) => {
                    self.waiting.extend(wishes);
                    return Err(broken);
                }
            };
            for wish in wishes {
                match answer {
                    Told::Later if !wish.is_waited_for() => {}
                    Told::Later if wish.since.elapsed() < PATIENCE => self.waiting.push(wish),
                    told => wish.tell(told),
                }
            }
        }
        if self.looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
            for (grant, day) in hand.hungry(yesterday)? {
                if let Some((held, unused)) = quotas.give_half(&grant, day) {
                    hand.keep(&grant, day, held, unused)?;
                }
            }
            self.looked = Some(sys::instant());
        }
        if self.kept != Some(today) {
            hand.forget(today.saturating_sub(KEPT_DAYS.days()))?;
            self.kept = Some(today);
        }
        self.hand = Some(hand);
        Ok(())
    }

    /// Connects, tells the book what this gateway holds, and finds what the book says that it holds.
    fn connect(&self, quotas: &Quotas, today: Date, yesterday: Date) -> Result<Hand, Broken> {
        let mut hand = Hand::open(&self.database, &self.log)?;
        let mut known = quotas.since(yesterday);
        known.extend(hand.own(today)?.into_iter().map(|grant| (Arc::from(grant), today)));
        known.sort_unstable();
        known.dedup();
        for (grant, day) in known {
            ask(&mut hand, quotas, &grant, day, &[])?;
        }
        Ok(hand)
    }

    fn give_all(&mut self, quotas: &Quotas) {
        if let Some(why) = &self.broken {
            tracing::warn!(error = why, "unused portions of quotas are not given back; they are found again at the next start");
            return;
        }
        let today = self.today();
        let given = || -> Result<(), Broken> {
            let mut hand = self.hand.take().map_or_else(|| Hand::open(&self.database, &self.log), Ok)?;
            for (grant, day) in quotas.since(today) {
                if let Some(held) = quotas.give_all(&grant, day) {
                    hand.keep(&grant, day, held, Portion::default())?;
                }
            }
            Ok(())
        };
        if let Err(error) = { given }() {
            tracing::warn!(%error, "unused portions of quotas could not be given back; they are found again at the next start");
        }
    }
}

/// Draws the next portion, for what all these wishes need.
fn ask(hand: &mut Hand, quotas: &Quotas, grant: &str, day: Date, wishes: &[Wish]) -> Result<Told, Broken> {
    let (held, unused) = quotas.held(grant, day);
    let waiting = || wishes.iter().filter(|wish| wish.is_waited_for()).map(|wish| wish.wanted);
    let missing = |wanted: Portion| wanted.with(unused, u64::saturating_sub);
    let least = waiting().reduce(|one, other| one.with(other, u64::min)).map(missing).unwrap_or_default();
    let all = missing(waiting().fold(Portion::default(), |sum, wanted| sum.with(wanted, u64::saturating_add)));
    let limits = wishes.last().map_or([None, None], |wish| wish.limits);
    let given = hand.ask(&Asked { grant, day, limits, held, unused, least, all })?;
    quotas.hold(grant, day, given.held);
    Ok(match given {
        _ if given.enough => Told::Given,
        _ if given.elsewhere => Told::Later,
        _ => Told::Spent,
    })
}
