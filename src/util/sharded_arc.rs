//! A value that many threads hold on to, without waiting for each other.
//!
//! Routers clone a service for each request. Counting the references to one shared value then makes
//! every thread fetch the same line of memory from the others, twice for each request; so each
//! thread counts those to a replica of its own.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this share replicas; a power of two.
const REPLICAS: usize = 16;

/// Keeps the counts of two replicas apart: processors fetch pairs of lines of 64 bytes.
#[repr(align(128))]
#[derive(Debug)]
struct Apart<T>(T);

/// A shared, unchanging value. What is cloned from a first holder takes the replica of the thread
/// that clones; what is cloned from a clone shares that one's.
#[derive(Debug)]
pub(crate) enum Replicas<T> {
    First(Arc<[Replica<T>; REPLICAS]>),
    Clone(Replica<T>),
}

/// One thread's replica.
#[derive(Debug)]
pub(crate) struct Replica<T>(Arc<Apart<T>>);

impl<T> Clone for Replica<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Replica<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T: Clone> Replicas<T> {
    pub(crate) fn new(value: &T) -> Self {
        Self::First(Arc::new(std::array::from_fn(|_| Replica(Arc::new(Apart(value.clone()))))))
    }
}

impl<T> Replicas<T> {
    /// Another holder that is like this one: the first of what will be cloned from it.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::First(all) => Self::First(Arc::clone(all)),
            Self::Clone(replica) => Self::Clone(replica.clone()),
        }
    }
}

impl<T> Deref for Replicas<T> {
    type Target = Replica<T>;

    /// This thread's replica.
    fn deref(&self) -> &Replica<T> {
        match self {
            Self::First(all) => {
                let [first, ..] = &**all;
                // The remainder is in range; without the first one the compiler would not know.
                all.get(this_thread() % REPLICAS).unwrap_or(first)
            }
            Self::Clone(replica) => replica,
        }
    }
}

impl<T> Clone for Replicas<T> {
    fn clone(&self) -> Self {
        Self::Clone(Replica::clone(self))
    }
}

/// Threads in the order in which they came here.
fn this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THIS: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    THIS.try_with(|this| *this).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_replicas_of_their_own_and_clones_of_clones_stay_with_theirs() {
        let first = Replicas::new(&7);
        let address = |replicas: &Replicas<i32>| std::ptr::from_ref::<i32>(replicas) as usize;
        let here = first.clone();
        assert_eq!((**here, address(&here)), (7, address(&here.clone())));
        let there = std::thread::scope(|scope| {
            let there = scope.spawn(|| address(&first.clone())).join().unwrap();
            assert_eq!(scope.spawn(|| address(&here.clone())).join().unwrap(), address(&here));
            there
        });
        assert_ne!(there, address(&here));
    }
}
