//! Deduplicates deliveries: the same one is handled once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::signature::{Signature, WINDOW_MILLIS};

/// How many handled deliveries are remembered: over 50 per second for the whole window.
const CAPACITY: usize = 16_384;

/// The deliveries of one process, identified by their verified signature, which covers the
/// timestamp.
#[derive(Debug, Default)]
pub struct Deliveries(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Ordered by timestamp, so that the first entry leaves the window first.
    handled: BTreeSet<(u64, Signature)>,
    /// One lock per delivery that is being handled or waits for a copy of itself.
    running: HashMap<Signature, Arc<AsyncMutex<()>>>,
}

/// What to do with a delivery.
#[derive(Debug)]
pub enum Turn {
    /// Skip it: it was already handled.
    Repeated,
    Run(Running),
}

/// The exclusive right to handle a delivery. If it is dropped without a call of
/// [`handled`](Self::handled), the next copy gets it.
#[derive(Debug)]
pub struct Running {
    millis: u64,
    // Declared before the slot, so that the lock is released first.
    _guard: OwnedMutexGuard<()>,
    slot: Slot,
}

/// A reference to a delivery's lock. The last one removes the lock from the table.
#[derive(Debug)]
struct Slot {
    deliveries: Arc<Deliveries>,
    signature: Signature,
    lock: Arc<AsyncMutex<()>>,
}

impl Deliveries {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no copy of the delivery is being handled.
    pub async fn turn(self: &Arc<Self>, signature: Signature, millis: u64) -> Turn {
        let slot = {
            let mut state = self.state();
            if state.handled.contains(&(millis, signature)) {
                return Turn::Repeated;
            }
            let lock = Arc::clone(state.running.entry(signature).or_default());
            Slot { deliveries: Arc::clone(self), signature, lock }
        };
        let guard = Arc::clone(&slot.lock).lock_owned().await;
        if self.state().handled.contains(&(millis, signature)) {
            return Turn::Repeated;
        }
        Turn::Run(Running { millis, _guard: guard, slot })
    }
}

impl Running {
    /// Remembers the delivery until its timestamp leaves the window.
    pub fn handled(self, now_millis: u64) {
        let mut state = self.slot.deliveries.state();
        let oldest = now_millis.saturating_sub(WINDOW_MILLIS);
        while state.handled.first().is_some_and(|(millis, _)| *millis < oldest) {
            state.handled.pop_first();
        }
        state.handled.insert((self.millis, self.slot.signature));
        if state.handled.len() > CAPACITY {
            state.handled.pop_first();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.deliveries.state();
        // References are only taken while `state` is locked, so two are this one and the table's.
        if Arc::strong_count(&self.lock) == 2 {
            state.running.remove(&self.signature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    fn signature(number: u64) -> Signature {
        Signature::parse(format!("{number:064x}").as_bytes()).unwrap()
    }

    /// Handles the delivery if that needs no waiting, otherwise `None`.
    fn run(deliveries: &Arc<Deliveries>, number: u64, millis: u64, now: u64) -> Option<bool> {
        match deliveries.turn(signature(number), millis).now_or_never()? {
            Turn::Repeated => Some(false),
            Turn::Run(running) => {
                running.handled(now);
                Some(true)
            }
        }
    }

    #[test]
    fn h3_a_delivery_runs_once_and_is_forgotten_after_the_window() {
        let deliveries = Arc::new(Deliveries::default());
        assert_eq!(run(&deliveries, 1, NOW, NOW), Some(true));
        assert_eq!(run(&deliveries, 1, NOW, NOW + WINDOW_MILLIS), Some(false));
        assert_eq!(run(&deliveries, 2, NOW + 1, NOW + WINDOW_MILLIS), Some(true));
        assert_eq!(deliveries.state().handled.len(), 2, "exactly five minutes is in the window");
        assert_eq!(run(&deliveries, 3, NOW + 2, NOW + WINDOW_MILLIS + 1), Some(true));
        assert_eq!(deliveries.state().handled.len(), 2, "the first has left it");
    }

    #[tokio::test]
    async fn h3_copies_run_one_at_a_time_until_one_is_handled() {
        let deliveries = Arc::new(Deliveries::default());
        let turn = || deliveries.turn(signature(1), NOW);
        let Turn::Run(first) = turn().await else { panic!("nothing runs yet") };
        let (mut second, mut third) = (Box::pin(turn()), Box::pin(turn()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert_eq!(run(&deliveries, 2, NOW, NOW), Some(true), "another one need not wait");

        drop(first); // its handler failed
        let Turn::Run(second) = second.await else { panic!("it was not handled") };
        assert!((&mut third).now_or_never().is_none());
        second.handled(NOW);
        assert!(matches!(third.await, Turn::Repeated));
        assert!(matches!(turn().await, Turn::Repeated));
        assert!(deliveries.state().running.is_empty());
    }

    #[tokio::test]
    async fn a_copy_dropped_while_waiting_leaves_no_lock() {
        let deliveries = Arc::new(Deliveries::default());
        let turn = || deliveries.turn(signature(1), NOW);
        let Turn::Run(first) = turn().await else { panic!("nothing runs yet") };
        let (mut second, mut third) = (Box::pin(turn()), Box::pin(turn()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(second);
        drop(first);
        drop(third);
        assert!(deliveries.state().running.is_empty());
    }

    #[test]
    fn h3_at_capacity_the_oldest_is_forgotten() {
        let deliveries = Arc::new(Deliveries::default());
        for number in 0..CAPACITY as u64 + 10 {
            assert_eq!(run(&deliveries, number, NOW + number, NOW), Some(true));
        }
        assert_eq!(deliveries.state().handled.len(), CAPACITY);
        assert_eq!(run(&deliveries, 9, NOW + 9, NOW), Some(true), "the oldest ten are gone");
        assert_eq!(run(&deliveries, 11, NOW + 11, NOW), Some(false));
        assert!(deliveries.state().running.is_empty());
    }

    proptest! {
        /// A delivery within the window runs once, whatever the order of arrivals.
        #[test]
        fn no_delivery_runs_twice_within_its_window(
            arrivals in prop::collection::vec((0_u64..8, 0_u64..600_000), 1..100),
        ) {
            let deliveries = Arc::new(Deliveries::default());
            let mut now = NOW;
            let mut ran = std::collections::HashSet::new();
            for (number, step) in arrivals {
                now += step / 20;
                // The timestamp follows from the number, as a signature covers its timestamp.
                let millis = NOW + number * 40_000;
                if millis.abs_diff(now) > WINDOW_MILLIS {
                    continue;
                }
                let first = ran.insert(number);
                prop_assert_eq!(run(&deliveries, number, millis, now), Some(first));
            }
            prop_assert!(deliveries.state().running.is_empty());
        }
    }
}
