//! Operations that wait, and which of them go next.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use super::Operation;
use crate::store::StoreError;

/// The largest group, so that none of it waits long for the others.
const LARGEST: usize = 64;

/// How many operations may wait. Beyond that the engine is too slow to serve them in time.
const MAX_WAITING: usize = 16 * 1024;

/// How many bytes may wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How many groups may be stuck while others go on.
const MAX_RELIEF: usize = 8;

type Caller<O> = Sender<Result<<O as Operation>::Done, StoreError>>;

pub struct Waiting<O: Operation> {
    operation: O,
    caller: Caller<O>,
    /// Its caller's, which lives as long as somebody waits.
    runtime: Handle,
    place: Arc<AtomicBool>,
}

/// An operation's place in the queue, for its caller.
pub struct Place(Arc<AtomicBool>);

impl Place {
    /// Takes the operation out of the queue, unless it has started.
    pub fn withdraw(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl<O: Operation> Waiting<O> {
    pub fn new(operation: O, caller: Caller<O>, runtime: Handle) -> (Self, Place) {
        let place = Arc::new(AtomicBool::new(false));
        (Self { operation, caller, runtime, place: Arc::clone(&place) }, Place(place))
    }

    pub const fn operation(&self) -> &O {
        &self.operation
    }

    pub fn split(self) -> (O, Caller<O>) {
        (self.operation, self.caller)
    }

    fn is_withdrawn(&self) -> bool {
        self.caller.is_closed() || self.place.load(Ordering::Acquire)
    }

    /// False if it was withdrawn.
    fn start(&self) -> bool {
        !self.caller.is_closed() && !self.place.swap(true, Ordering::AcqRel)
    }
}

pub struct Queue<O: Operation> {
    /// The oldest first.
    waiting: VecDeque<Waiting<O>>,
    waiting_bytes: usize,
    /// The keys of the operations that run.
    busy: HashSet<O::Key>,
    turns: usize,
    /// How many turns there are in addition, because others are stuck.
    relief: usize,
    last_relief: Instant,
    last_start: Instant,
    /// Whether somebody starts groups.
    is_starting: bool,
}

impl<O: Operation> Queue<O> {
    pub fn new(turns: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            busy: HashSet::new(),
            turns,
            relief: 0,
            last_relief: Instant::now(),
            last_start: Instant::now(),
            is_starting: false,
        }
    }

    /// Takes a turn for one operation, unless others came before it.
    pub fn try_start(&mut self, key: Option<&O::Key>) -> bool {
        let is_free = self.turns > 0
            && self.waiting.is_empty()
            && key.is_none_or(|key| self.busy.insert(key.clone()));
        if is_free {
            self.take_turn();
        }
        is_free
    }

    fn take_turn(&mut self) {
        self.turns -= 1;
        self.last_start = Instant::now();
    }

    /// Adds a turn if nothing has started for so long, although operations wait.
    pub fn relieve(&mut self, stalled: Duration) -> bool {
        let is_stuck = self.turns == 0
            && self.relief < MAX_RELIEF
            && !self.waiting.is_empty()
            && self.last_start.elapsed() >= stalled;
        if is_stuck {
            self.turns += 1;
            self.relief += 1;
            self.last_relief = Instant::now();
        }
        is_stuck
    }

    /// # Errors
    /// If too many operations are waiting.
    pub fn push(&mut self, waiting: Waiting<O>) -> Result<(), StoreError> {
        let bytes = waiting.operation.bytes();
        if !self.has_room(bytes) {
            self.waiting.retain(|it| !it.is_withdrawn());
            self.waiting_bytes = self.waiting.iter().map(|it| it.operation.bytes()).sum();
        }
        if !self.has_room(bytes) {
            return Err(StoreError::unavailable("too many operations wait for the store"));
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.waiting.len() < MAX_WAITING && self.waiting_bytes + bytes <= MAX_WAITING_BYTES
    }

    /// False if another call starts groups, which then also starts those of the caller.
    pub fn begin_start(&mut self) -> bool {
        !std::mem::replace(&mut self.is_starting, true)
    }

    /// Takes a turn for the next operations: the oldest, and those behind it that fit. Looks no
    /// further than two groups, so that a long queue costs no more than a short one. `None` ends
    /// what [`begin_start`](Self::begin_start) has begun.
    pub fn next_group(
        &mut self,
        largest_bytes: usize,
        fit: fn(&O, &O) -> bool,
    ) -> Option<(Handle, Vec<Waiting<O>>)> {
        let group = self.take_group(largest_bytes, fit);
        self.is_starting = group.is_some();
        group
    }

    fn take_group(
        &mut self,
        largest_bytes: usize,
        fit: fn(&O, &O) -> bool,
    ) -> Option<(Handle, Vec<Waiting<O>>)> {
        if self.turns == 0 {
            return None;
        }
        let (mut group, mut left) = (Vec::<Waiting<O>>::new(), Vec::new());
        // Also the keys of operations that are left, so that later ones do not overtake them.
        let mut passed = HashSet::new();
        let mut bytes = 0;
        while group.len() < LARGEST && left.len() < LARGEST {
            let Some(next) = self.waiting.pop_front() else { break };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(next.operation.bytes());
            if next.is_withdrawn() {
                continue;
            }
            if !group.is_empty() && bytes + next.operation.bytes() > largest_bytes {
                left.push(next);
                break;
            }
            let key = next.operation.key();
            let is_next = key.is_none_or(|key| !self.busy.contains(key) && !passed.contains(key))
                && group.first().is_none_or(|first| fit(&first.operation, &next.operation));
            if !is_next {
                passed.extend(key.cloned());
                left.push(next);
            } else if next.start() {
                passed.extend(key.cloned());
                bytes += next.operation.bytes();
                group.push(next);
            }
        }
        for waiting in left.into_iter().rev() {
            self.waiting_bytes += waiting.operation.bytes();
            self.waiting.push_front(waiting);
        }
        let runtime = group.first()?.runtime.clone();
        self.busy.extend(group.iter().filter_map(|it| it.operation.key().cloned()));
        self.take_turn();
        Some((runtime, group))
    }

    /// Gives a turn back that was taken then, unless another was added because this one was stuck.
    pub fn end(&mut self, keys: &[O::Key], began: Instant) {
        if self.relief > 0 && began < self.last_relief {
            self.relief -= 1;
        } else {
            self.turns += 1;
        }
        for key in keys {
            self.busy.remove(key);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}
