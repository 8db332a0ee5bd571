use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::*;
use crate::identity::subject::Subject;
use crate::store::{GrantId, SealedToken, TokenKey, TokenVersion};

/// Rows by what the engine does with them.
const REFUSED: usize = 1001;
const PANICS: usize = 1002;
const HANGS: usize = 1003;
const LOCKED: usize = 1004;

struct Recorder {
    /// The users of each group, in the order in which they were begun.
    groups: Mutex<Vec<Vec<String>>>,
    /// A permit for each group that may go on.
    gate: Semaphore,
    is_down: AtomicBool,
}

impl Engine<Write> for Recorder {
    async fn run(&self, writes: &[Write]) -> Result<Outcomes<bool>, StoreError> {
        let users: Vec<_> =
            writes.iter().map(|it| it.row_key().subject().id().to_owned()).collect();
        let has = |user: usize| users.contains(&user.to_string());
        let (refused, panics, hangs) = (has(REFUSED), has(PANICS), has(HANGS));
        let locked = has(LOCKED);
        self.groups.lock().unwrap().push(users);
        self.gate.acquire().await.unwrap().forget();
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Full);
        }
        if refused {
            return Err(StoreError::unavailable("refused"));
        }
        if locked {
            return Err(StoreError::Timeout);
        }
        assert!(!panics, "a row that panics");
        if hangs {
            pending::<()>().await;
        }
        Ok(writes.iter().map(|it| Ok(it.change() != Change::Update)).collect())
    }

    fn after(error: &StoreError) -> Separation {
        match error {
            StoreError::Unavailable(_) => Separation::Halves,
            StoreError::Timeout => Separation::Singly,
            _ => Separation::None,
        }
    }

    fn fit(first: &Write, other: &Write) -> bool {
        (first.change() == Change::Remove) == (other.change() == Change::Remove)
    }
}

struct Fixture {
    engine: Arc<Recorder>,
    group: Group<Recorder, Write>,
}

/// A group whose engine is open, or waits for [`Fixture::open`].
fn fixture(turns: usize, is_open: bool) -> Fixture {
    let gate = Semaphore::new(if is_open { Semaphore::MAX_PERMITS / 2 } else { 0 });
    let engine = Recorder { groups: Mutex::default(), gate, is_down: AtomicBool::new(false) };
    let engine = Arc::new(engine);
    let group = Group::new(&engine, turns, Duration::from_secs(2));
    Fixture { engine, group }
}

impl Fixture {
    fn open(&self) {
        self.engine.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    fn groups(&self) -> Vec<Vec<String>> {
        self.engine.groups.lock().unwrap().clone()
    }

    fn sizes(&self) -> Vec<usize> {
        self.groups().iter().map(Vec::len).collect()
    }

    /// Starts operations in this order, and returns their futures.
    fn begin(&self, writes: impl IntoIterator<Item = Write>) -> Vec<Begun<'_>> {
        let mut begun: Vec<_> =
            writes.into_iter().map(|write| self.group.run(write).boxed()).collect();
        for write in &mut begun {
            assert!(write.now_or_never().is_none());
        }
        begun
    }
}

type Begun<'f> = BoxFuture<'f, Result<bool, StoreError>>;

fn token(user: usize, bytes: usize) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    SealedToken::new(key, TokenVersion::from_i64(1).unwrap(), vec![1; bytes], UNIX_EPOCH)
}

fn save(user: usize) -> Write {
    Write::Save(token(user, 1))
}

fn remove(user: usize) -> Write {
    Write::Remove(token(user, 1).key().clone(), TokenVersion::from_i64(1).unwrap())
}

fn update(user: usize) -> Write {
    Write::Update(token(user, 1))
}

#[tokio::test]
async fn idle_engine_is_used_immediately_and_waiting_writes_share() {
    let fixture = fixture(1, false);
    let begun = fixture.begin((0..5).map(save));
    fixture.open();
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
    assert_eq!(fixture.sizes(), [1, 4]);
}

#[tokio::test]
async fn each_caller_gets_its_own_outcome() {
    let fixture = fixture(1, false);
    let begun = fixture.begin([save(0), save(1), update(2), save(3), update(4)]);
    fixture.open();
    let outcomes: Vec<_> = join_all(begun).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes, [true, true, false, true, false]);
}

#[tokio::test]
async fn writes_of_one_key_run_in_the_order_in_which_they_came() {
    for turns in [1, 2] {
        let fixture = fixture(turns, false);
        let begun = fixture.begin([save(0), save(1), save(1), save(2), remove(1), save(3)]);
        fixture.open();
        assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
        let of_one = fixture.groups().concat().into_iter().filter(|user| user == "1").count();
        assert_eq!(of_one, 3);
        assert!(
            fixture.groups().iter().all(|users| users.iter().filter(|it| *it == "1").count() < 2)
        );
    }
}

#[tokio::test]
async fn removal_waits_for_a_save_whose_caller_has_gone() {
    let fixture = fixture(2, false);
    // Both turns are taken; the third write waits, and is started by the end of the first.
    let mut begun = fixture.begin([save(0), save(1), save(2), save(3)]);
    fixture.engine.gate.add_permits(1);
    assert!(begun.remove(0).await.unwrap());
    while fixture.sizes() != [1, 1, 2] {
        yield_now().await;
    }
    // Of user 2, in a group that has started.
    drop(begun.remove(1));
    let removal = fixture.begin([remove(2)]).remove(0);
    fixture.engine.gate.add_permits(1);
    assert!(begun.remove(0).await.unwrap());
    yield_now().await;
    assert_eq!(fixture.sizes(), [1, 1, 2], "the key is busy, though a turn is free");
    fixture.open();
    assert!(removal.await.unwrap());
    assert_eq!(fixture.groups().last().unwrap(), &["2"]);
}

#[tokio::test]
async fn refused_write_fails_alone() {
    let fixture = fixture(1, false);
    let begun = fixture.begin((0..64).map(|user| save(if user == 20 { REFUSED } else { user })));
    fixture.open();
    for (user, outcome) in join_all(begun).await.into_iter().enumerate() {
        assert_eq!(outcome.is_err(), user == 20, "{outcome:?}");
    }
    let runs = fixture.sizes().len();
    assert!(runs <= 1 + 2 * 6 + 1, "{runs} runs");
}

#[tokio::test]
async fn write_that_waits_for_a_lock_does_so_twice_at_most() {
    let fixture = fixture(1, false);
    let begun = fixture.begin((0..64).map(|user| save(if user == 20 { LOCKED } else { user })));
    fixture.open();
    for (user, outcome) in join_all(begun).await.into_iter().enumerate() {
        assert_eq!(outcome.is_err(), user == 20, "{outcome:?}");
    }
    let groups = fixture.groups();
    let of_locked = groups.iter().filter(|users| users.contains(&LOCKED.to_string()));
    assert_eq!(of_locked.count(), 2);
}

#[tokio::test]
async fn panic_of_one_write_fails_it_alone_and_poisons_nothing() {
    let fixture = fixture(1, false);
    let begun = fixture.begin([0, 1, 2, PANICS, 4].map(save));
    fixture.open();
    for (place, outcome) in join_all(begun).await.into_iter().enumerate() {
        match outcome {
            Err(StoreError::Panicked) => assert_eq!(place, 3),
            outcome => assert!(outcome.unwrap(), "{place}"),
        }
    }
    let alone = std::panic::AssertUnwindSafe(fixture.group.run(save(PANICS))).catch_unwind().await;
    assert!(alone.is_err());
    assert!(fixture.group.run(save(0)).await.unwrap(), "the turn was given back");
    assert!(fixture.group.run(save(PANICS + 100)).await.unwrap());
}

#[tokio::test]
async fn an_outage_is_everybodys_error() {
    let fixture = fixture(1, false);
    let begun = fixture.begin((0..5).map(save));
    fixture.engine.is_down.store(true, Ordering::Relaxed);
    fixture.open();
    for outcome in join_all(begun).await {
        assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
    }
    assert_eq!(fixture.sizes(), [1, 4], "nothing is repeated");
}

#[tokio::test]
async fn a_caller_that_goes_takes_no_other_write_with_it() {
    let fixture = fixture(1, false);
    let mut begun = fixture.begin((0..4).map(save));
    fixture.engine.gate.add_permits(1);
    assert!(begun.remove(0).await.unwrap());
    while fixture.sizes() != [1, 3] {
        yield_now().await;
    }
    drop(begun.remove(0));
    fixture.open();
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
    assert_eq!(fixture.sizes(), [1, 3], "nothing is repeated");
}

#[tokio::test]
async fn dropped_before_its_turn_is_not_made() {
    let fixture = fixture(1, false);
    let mut begun = fixture.begin((0..4).map(save));
    drop(begun.remove(2));
    fixture.open();
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
    assert_eq!(fixture.groups(), [vec!["0"], vec!["1", "3"]]);
}

#[tokio::test]
async fn dropped_alone_gives_its_turn_back() {
    let fixture = fixture(1, true);
    let mut begun = fixture.begin([save(HANGS), save(1), save(2)]);
    drop(begun.remove(0));
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn waits_for_its_turn_for_so_long_and_is_then_not_made() {
    let fixture = fixture(1, false);
    let mut begun = fixture.begin([save(0), remove(0)]);
    let late = begun.remove(1).await;
    assert!(matches!(late, Err(StoreError::Timeout)), "{late:?}");
    fixture.open();
    assert!(begun.remove(0).await.unwrap());
    assert_eq!(fixture.sizes(), [1]);
    assert_eq!(fixture.group.0.queue().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_write_holds_up_only_those_of_its_key() {
    let fixture = fixture(1, true);
    let started = Instant::now();
    let mut begun = fixture.begin([save(HANGS), save(1), save(HANGS), save(2)]);
    for other in [3, 1] {
        assert!(begun.remove(other).await.unwrap());
    }
    assert!(started.elapsed() < Duration::from_millis(300));
    assert!(matches!(begun.remove(1).await, Err(StoreError::Timeout)));
    drop(begun);
    assert!(fixture.group.run(save(4)).await.unwrap());
    assert_eq!(fixture.groups(), [vec!["1003"], vec!["1", "2"], vec!["4"]]);
}

#[tokio::test(start_paused = true)]
async fn others_keep_their_pace_while_one_is_stuck() {
    let fixture = fixture(1, true);
    let mut stuck = fixture.begin([save(HANGS)]);
    let started = Instant::now();
    let begun = fixture.begin((0..640).map(save));
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
    assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    drop(stuck.pop());
    let begun = fixture.begin([save(HANGS), save(1)]);
    assert_eq!(fixture.sizes().last(), Some(&1), "there is one turn again");
    drop(begun);
}

#[tokio::test(start_paused = true)]
async fn runtime_that_no_longer_runs_keeps_nobody_waiting() {
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = fixture(1, false);
    let mut first = fixture.begin([save(0)]);
    let mut others = {
        let _entered = idle.enter();
        fixture.begin([save(1)])
    };
    others.extend(fixture.begin([save(2)]));
    fixture.open();
    assert!(first.remove(0).await.unwrap());
    let outcome = others.remove(1).await;
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
    // A runtime cannot be dropped by default where others run.
    idle.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn what_has_started_is_awaited() {
    let fixture = fixture(1, false);
    let begun = fixture.begin([save(0), save(1)]);
    fixture.engine.gate.add_permits(1);
    let opened = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        fixture.open();
    };
    let (outcomes, ()) = tokio::join!(join_all(begun), opened);
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap()));
}

#[tokio::test]
async fn groups_and_the_queue_are_bounded() {
    let fixture = fixture(1, false);
    let large = |user| Write::Save(token(user, 100_000));
    let begun = fixture.begin((0..101).map(save).chain((200..206).map(large)));
    fixture.open();
    assert!(join_all(begun).await.into_iter().all(|outcome| outcome.unwrap()));
    assert_eq!(fixture.sizes(), [1, 64, 36 + 2, 2, 2]);

    let fixture = self::fixture(1, false);
    let mut begun = fixture.begin((0..=16 * 1024).map(save));
    let refused = fixture.group.run(save(20_000)).await.unwrap_err();
    assert!(format!("{refused:?}").contains("too many"), "{refused:?}");
    drop(begun.pop());
    assert!(fixture.group.run(save(20_000)).now_or_never().is_none(), "it has a place now");

    let fixture = self::fixture(1, false);
    let mebibytes = |user| Write::Save(token(user, 8 * 1024 * 1024 - 1024));
    let mut begun = fixture.begin((0..=8).map(mebibytes));
    let refused = fixture.group.run(mebibytes(10)).await.unwrap_err();
    assert!(format!("{refused:?}").contains("too many"), "{refused:?}");
    drop(begun.pop());
    assert!(fixture.group.run(mebibytes(10)).now_or_never().is_none(), "it has a place now");
}

#[tokio::test]
async fn the_oldest_goes_first_and_newcomers_do_not_overtake() {
    let fixture = fixture(1, false);
    let begun = fixture.begin([save(0), save(1), remove(2), save(3), remove(4)]);
    fixture.engine.gate.add_permits(1);
    yield_now().await;
    let late = fixture.begin([remove(5)]);
    fixture.open();
    assert!(join_all(begun.into_iter().chain(late)).await.into_iter().all(|it| it.unwrap()));
    let expected: [&[&str]; 3] = [&["0"], &["1", "3"], &["2", "4", "5"]];
    assert_eq!(fixture.groups(), expected);
}

#[test]
fn the_end_of_a_runtime_hands_the_turn_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = fixture(1, false);
    let (ending, other) = (runtime(), runtime());
    let mut begun = ending.block_on(async { fixture.begin([save(0), save(1)]) });
    let mut others = other.block_on(async { fixture.begin([save(2)]) });
    // The group of 1 and 2 starts in the runtime of 1, which ends before the group does.
    drop(begun.remove(0));
    drop(begun);
    drop(ending);
    assert!(other.block_on(others.remove(0)).is_err());
    fixture.open();
    assert!(other.block_on(fixture.group.run(save(3))).unwrap());
}

#[test]
fn the_end_of_a_runtime_with_many_groups_is_not_recursive() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = fixture(1, false);
    let large = |user| Write::Save(token(user, 2 * Recorder::LARGEST_BYTES / 100));
    let mut begun = runtime.block_on(async { fixture.begin((0..8000).map(large)) });
    let waiting = begun.split_off(1);
    runtime.shutdown_background();
    // The end of the first operation starts groups, whose tasks the runtime drops immediately.
    drop(begun);
    assert_eq!(fixture.group.0.queue().len(), 0);
    drop(waiting);
}

#[test]
fn outside_a_runtime_the_engine_answers() {
    let fixture = fixture(1, true);
    assert!(fixture.group.run(save(0)).now_or_never().unwrap().unwrap());
}
