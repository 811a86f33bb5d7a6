//! Who waits for a batch is told, whoever else goes away; and what nobody waits for becomes durable all the same.

use super::*;

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never: {what}");
}

#[test]
fn a_settlement_alone_becomes_durable() {
    let place = Place::new();
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let settling = ledger.reserve().unwrap();
    let share = wait(ledger.append(granted("aa")).unwrap()).unwrap();
    settling.settle(settled(share.index), None);
    until("the settlement is durable", || ledger.stats().size == 2);
    ledger.close();
    assert_eq!(all(&place.config().folder).len(), 2);
}

#[test]
fn everybody_on_a_thread_is_told_even_if_the_one_who_is_woken_first_has_gone() {
    let place = Place::new();
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    for gone in 0..8 {
        let wakers: Vec<_> = (0..8).map(|_| Arc::new(Count::default())).collect();
        // Appended in one go, so that most of them share a batch.
        let mut pending: Vec<_> = (0..8).map(|n| Some(ledger.append(granted(&format!("{gone}{n}"))).unwrap())).collect();
        let mut woken = [false; 8];
        for (at, (slot, waker)) in pending.iter_mut().zip(&wakers).enumerate() {
            let waker = Waker::from(waker.clone());
            let polled = std::pin::Pin::new(slot.as_mut().unwrap()).poll(&mut Context::from_waker(&waker));
            woken[at] = polled.is_ready();
        }
        pending[gone] = None;
        woken[gone] = true;
        until("everybody is woken and finds its entry durable", || {
            for at in 0..8 {
                if !woken[at] && wakers[at].0.load(Ordering::SeqCst) > 0 {
                    let waker = Waker::from(wakers[at].clone());
                    let polled = std::pin::Pin::new(pending[at].as_mut().unwrap()).poll(&mut Context::from_waker(&waker));
                    assert!(matches!(polled, Poll::Ready(Ok(_))), "woken for nothing");
                    woken[at] = true;
                }
            }
            woken.iter().all(|woken| *woken)
        });
    }
}

#[test]
fn many_threads_that_append_and_settle_at_once_all_get_their_entries() {
    let place = Place::new();
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let ledger = ledger.clone();
            std::thread::spawn(move || {
                for n in 0..50 {
                    let settling = ledger.reserve().unwrap();
                    let haste = if n % 2 == 0 { Haste::Busy } else { Haste::Standing };
                    let share = wait(ledger.append_with(granted(&format!("{thread}-{n}")), haste).unwrap()).unwrap();
                    settling.settle(settled(share.index), Some([1; 32]));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    ledger.close();
    assert_eq!(all(&place.config().folder).len(), 8 * 50 * 2);
    assert!(ledger.stats().batches < 800);
}

#[test]
fn a_batch_is_held_only_while_every_worker_is_busy() {
    let place = Place::new();
    let ledger = Ledger::open(&place.config(), true).unwrap();
    assert!(!ledger.shared.workers.all_busy(), "nobody is no crowd");
    let (one, other) = (ledger.worker(), ledger.worker());
    assert!(ledger.shared.workers.all_busy());
    one.sleeps();
    assert!(!ledger.shared.workers.all_busy());
    one.wakes();
    assert!(ledger.shared.workers.all_busy());
    // Ten shares are under way and one waits: nobody ever falls asleep, and it is recorded all the same.
    let open: Vec<_> = (0..10).map(|_| ledger.reserve().unwrap()).collect();
    wait(ledger.append_with(granted("aa"), Haste::Busy).unwrap()).unwrap();
    // It waits, and a worker falls asleep.
    let pending = ledger.append_with(granted("bb"), Haste::Busy).unwrap();
    other.sleeps();
    wait(pending).unwrap();
    drop((one, other, open));
    assert!(!ledger.shared.workers.all_busy());
}
