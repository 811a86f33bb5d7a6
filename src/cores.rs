//! Work that every core takes part in: large registers are read in parts.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` for each of `all`, in order, by as many threads as there are cores.
pub fn on_every_core<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(all.len());
    if threads < 2 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(number) else { return done };
            done.push((number, work(one)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            // A panic goes on in whoever asked, as it would without threads.
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_comes_back_in_order() {
        let all: Vec<usize> = (0..1000).collect();
        assert_eq!(on_every_core(&all, |number| number * 2), (0..1000).map(|number| number * 2).collect::<Vec<_>>());
        assert!(on_every_core(&[0_u8; 0], |byte| *byte).is_empty());
    }
}
