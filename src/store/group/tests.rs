use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenVersion};

#[derive(Default)]
struct Engine {
    batches: Mutex<Vec<usize>>,
    failures: AtomicUsize,
    hangs: AtomicUsize,
}

impl Together<Write> for Engine {
    async fn together(&self, writes: &[Arc<Write>]) -> Result<Vec<bool>, StoreError> {
        self.batches.lock().unwrap().push(writes.len());
        if self
            .hangs
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        if self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(StoreError::unavailable("full"));
        }
        Ok(writes.iter().map(|write| write.is_update).collect())
    }
}

fn row(user: usize) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    SealedToken::new(key, TokenVersion::from_i64(1).unwrap(), vec![1], UNIX_EPOCH)
}

fn write(token: &SealedToken, is_update: bool) -> Write {
    Write { token: token.clone(), is_update }
}

fn group() -> Group<Write> {
    Group::new(1, Duration::from_secs(2))
}

#[tokio::test]
async fn writes_that_wait_are_made_together_and_of_a_key_one_after_another() {
    let (engine, group) = (Engine::default(), group());
    let rows: Vec<_> = [0, 1, 2, 1, 1, 3].map(row).to_vec();
    let writes = rows.iter().map(|row| group.run(&engine, write(row, true)));
    assert!(join_all(writes).await.into_iter().all(|result| result.unwrap()));
    assert_eq!(*engine.batches.lock().unwrap(), [1, 3, 1, 1]);
}

#[tokio::test]
async fn all_of_a_batch_get_its_error() {
    let (engine, group) = (Engine::default(), group());
    engine.failures.store(2, Ordering::Relaxed);
    let rows: Vec<_> = (0..4).map(row).collect();
    let writes = rows.iter().map(|row| group.run(&engine, write(row, false)));
    for result in join_all(writes).await {
        assert_eq!(format!("{:?}", result.unwrap_err()), "the token store is not available: full");
    }
}

#[tokio::test]
async fn those_that_wait_for_a_dropped_write_are_made() {
    let (engine, group) = (Engine::default(), group());
    engine.hangs.store(2, Ordering::Relaxed);
    let rows: Vec<_> = (0..4).map(row).collect();
    let start = |row| Box::pin(group.run(&engine, write(row, true)));
    let mut writes: Vec<_> = rows.iter().map(start).collect();
    for write in &mut writes {
        assert!(write.as_mut().now_or_never().is_none());
    }
    let last = writes.pop().unwrap();
    // The next one makes those that wait, and hangs as well; the one after it is dropped too.
    let mut next = writes.remove(1);
    drop(writes);
    assert!(next.as_mut().now_or_never().is_none());
    drop(next);
    assert!(last.await.unwrap());
    assert_eq!(*engine.batches.lock().unwrap(), [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_so_long_and_is_then_not_made() {
    let (engine, group) = (Engine::default(), group());
    engine.hangs.store(1, Ordering::Relaxed);
    let rows = [row(0), row(1)];
    let mut hanging = Box::pin(group.run(&engine, write(&rows[0], true)));
    assert!(hanging.as_mut().now_or_never().is_none());
    let late = group.run(&engine, write(&rows[1], true)).await.unwrap_err();
    assert!(matches!(late, StoreError::Timeout));
    drop(hanging);
    assert!(group.waiting().iter().all(|it| it.done.is_closed()));
}
