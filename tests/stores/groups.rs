//! Operations that share a step of the engine: what one of them meets does not concern the others.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::{FutureExt, join_all, maybe_done};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, PostgresStore, RedisStore, SealedToken, SqliteStore, StoreError, TokenKey, TokenStore,
    TokenVersion,
};

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/with-servers"))
}

fn key(user: impl std::fmt::Display) -> TokenKey {
    TokenKey::new(Subject::user(user), GrantId::default())
}

fn version(number: i64) -> TokenVersion {
    TokenVersion::from_i64(number).unwrap()
}

fn row(user: impl std::fmt::Display, number: i64) -> SealedToken {
    let sites = vec![format!("site of {user}"), "shared site".to_owned()];
    SealedToken::new(key(user), version(number), vec![1; 300], UNIX_EPOCH).with_sites(sites)
}

async fn sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("tokens.db")).await.unwrap()
}

/// A name that no earlier run on the same server has used.
fn fresh(name: &str) -> String {
    format!("{name}_{}", UNIX_EPOCH.elapsed().unwrap().as_nanos())
}

async fn postgres(table: &str) -> PostgresStore {
    PostgresStore::builder().table(table).connect(&setting("TEST_POSTGRES_URL")).await.unwrap()
}

async fn sql(statements: &str) {
    let mut connection = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    connection.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
}

async fn redis(prefix: &str) -> RedisStore {
    RedisStore::builder().key_prefix(prefix).connect(&setting("TEST_REDIS_URL")).await.unwrap()
}

type Operation<'s> = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 's>>;

/// Among writes and loads that wait together, those of a row that the engine refuses fail, and no
/// others.
async fn refused_row_fails_alone(store: &impl TokenStore, refused: &str) {
    for number in 0..10 {
        store.save(&row(format_args!("there {number}"), 1)).await.unwrap();
    }
    let operations = (0..60).map(|number| -> Operation<'_> {
        let user = format!("user {number}");
        let token = if number == 20 { row(refused, 1) } else { row(user, 1) };
        let there = format!("there {}", number / 6);
        match number % 6 {
            5 => Box::pin(async move { store.update(&row(there, 1)).await }),
            4 if number >= 30 => {
                Box::pin(async move { store.remove(&key(there), version(7)).await.map(|it| !it) })
            }
            _ => Box::pin(async move { store.save(&token).await.map(|()| true) }),
        }
    });
    let outcomes = join_all(operations).await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(done) => assert!(done && number != 20, "{number}"),
            Err(error) => assert_eq!(number, 20, "{error:?}"),
        }
    }
    for number in 0..4 {
        assert_eq!(store.load(&Subject::user(format!("user {number}"))).await.unwrap().len(), 1);
    }
    assert_eq!(store.load(&Subject::user("there 3")).await.unwrap(), [row("there 3", 1)]);
}

/// A save and a removal of its row that begin in this order end in this order, also when the save's
/// caller goes.
async fn removal_follows_its_save(store: &impl TokenStore) {
    for round in 0..20 {
        let others: Vec<_> =
            (0..20).map(|number| row(format_args!("other {number}"), round)).collect();
        let mine = row(format_args!("mine {round}"), 1);
        let left = row(format_args!("left {round}"), 1);
        // A fast engine may answer at the first poll, so any of these may be ready by now.
        let mut crowd = Box::pin(maybe_done(join_all(others.iter().map(|row| store.save(row)))));
        let _ = crowd.as_mut().now_or_never();
        let mut abandoned = Box::pin(store.save(&left));
        for _ in 0..=round {
            if abandoned.as_mut().now_or_never().is_some() {
                break;
            }
            let _ = crowd.as_mut().now_or_never();
            tokio::task::yield_now().await;
        }
        drop(abandoned);
        let (saved, removed, cleared, ()) = tokio::join!(
            biased;
            store.save(&mine).boxed(),
            store.remove(mine.key(), mine.version()).boxed(),
            store.remove(left.key(), left.version()).boxed(),
            crowd.as_mut(),
        );
        saved.unwrap();
        assert!(removed.unwrap(), "{round}");
        cleared.unwrap();
        assert!(crowd.as_mut().take_output().unwrap().iter().all(Result::is_ok));
        for gone in [&mine, &left] {
            assert!(store.load(gone.key().subject()).await.unwrap().is_empty(), "{round}");
        }
    }
}

/// Callers that go at any moment leave rows that are whole, and the others with their outcomes.
async fn callers_that_go_concern_nobody_else(store: impl TokenStore) {
    let store = Arc::new(store);
    for round in 1..=20 {
        let saves: Vec<_> = (0..40)
            .map(|number| {
                let (store, token) = (Arc::clone(&store), row(number, round));
                tokio::spawn(async move { store.save(&token).await })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        saves.iter().step_by(3).for_each(tokio::task::JoinHandle::abort);
        for (number, save) in saves.into_iter().enumerate() {
            match save.await {
                Ok(outcome) => outcome.unwrap(),
                Err(aborted) => assert!(aborted.is_cancelled() && number % 3 == 0, "{aborted}"),
            }
        }
        for number in 0..40 {
            let found = store.load(&Subject::user(number)).await.unwrap();
            let Some(found) = found.first() else {
                assert_eq!(number % 3, 0);
                continue;
            };
            let last = found.version().as_i64();
            assert!(last == round || number % 3 == 0 && last < round, "{number}: {last}");
            assert_eq!(*found, row(number, last));
        }
    }
}

mod of_sqlite {
    use super::*;

    #[tokio::test]
    async fn refused_row_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path()).await;
        let url = format!("sqlite://{}", folder.path().join("tokens.db").display());
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON webflow_tokens \
                      WHEN NEW.subject = CAST('user:refused' AS BLOB) \
                      BEGIN SELECT RAISE(ABORT, 'refused'); END";
        SqliteConnection::connect(&url).await.unwrap().execute(refuse).await.unwrap();
        super::refused_row_fails_alone(&store, "refused").await;
    }

    #[tokio::test]
    async fn removal_follows_its_save() {
        let folder = tempfile::tempdir().unwrap();
        super::removal_follows_its_save(&sqlite(folder.path()).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_that_go_concern_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        super::callers_that_go_concern_nobody_else(sqlite(folder.path()).await).await;
    }
}

mod of_postgres {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn refused_row_fails_alone() {
        let table = fresh("refusing");
        let store = postgres(&table).await;
        sql(&format!("ALTER TABLE {table} ADD CHECK (subject <> 'user:refused'::bytea)")).await;
        super::refused_row_fails_alone(&store, "refused").await;
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn removal_follows_its_save() {
        super::removal_follows_its_save(&postgres(&fresh("following")).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn callers_that_go_concern_nobody_else() {
        super::callers_that_go_concern_nobody_else(postgres(&fresh("going")).await).await;
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn locked_row_holds_up_no_other() {
        let table = fresh("stuck");
        let store = postgres(&table).await;
        store.save(&row("locked", 1)).await.unwrap();
        let mut other = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
        let mut transaction = other.begin().await.unwrap();
        let lock = format!("SELECT 1 FROM {table} FOR UPDATE");
        transaction.execute(AssertSqlSafe(lock)).await.unwrap();
        let locked = row("locked", 2);
        let mut stuck = Box::pin(store.save(&locked));
        assert!(stuck.as_mut().now_or_never().is_none());
        let others: Vec<_> = (0..50).map(|number| row(number, 1)).collect();
        let saves = join_all(others.iter().map(|row| store.save(row)));
        let saves = tokio::time::timeout(Duration::from_secs(2), saves);
        let (outcomes, stuck) = tokio::join!(saves, stuck);
        assert!(outcomes.unwrap().iter().all(Result::is_ok));
        assert!(matches!(stuck, Err(StoreError::Unavailable(_))), "{stuck:?}");
        let crowd: Vec<_> = (0..50).map(|number| row(number, 2)).collect();
        let crowd = crowd.iter().chain([&locked]).map(|row| store.save(row));
        let mut outcomes =
            tokio::time::timeout(Duration::from_secs(4), join_all(crowd)).await.unwrap();
        assert!(outcomes.pop().unwrap().is_err());
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        transaction.rollback().await.unwrap();
        store.save(&locked).await.unwrap();
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn each_change_is_announced_and_nothing_else() {
        let table = fresh("announced");
        let store = postgres(&table).await;
        let mut listener = PgListener::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
        listener.listen(&format!("public.{table}")).await.unwrap();
        changes_and_misses(&store).await;
        store.save(&row("end", 1)).await.unwrap();
        let mut announced = Vec::new();
        loop {
            let heard = tokio::time::timeout(Duration::from_secs(5), listener.recv()).await;
            announced.push(heard.unwrap().unwrap().payload().to_owned());
            if announced.last() == Some(&encoded("end")) {
                break;
            }
        }
        assert_announced(announced);
    }
}

mod of_redis {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn refused_row_fails_alone() {
        let prefix = fresh("refusing");
        let store = redis(&prefix).await;
        let client = redis::Client::open(setting("TEST_REDIS_URL")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        // A key of another type.
        let key = format!("{prefix}:t:{{{}}}", encoded("refused"));
        let () = redis::cmd("SET").arg(key).arg("1").query_async(&mut connection).await.unwrap();
        super::refused_row_fails_alone(&store, "refused").await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn removal_follows_its_save() {
        super::removal_follows_its_save(&redis(&fresh("following")).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs Redis: run scripts/test"]
    async fn callers_that_go_concern_nobody_else() {
        super::callers_that_go_concern_nobody_else(redis(&fresh("going")).await).await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn each_change_is_announced_and_nothing_else() {
        let prefix = fresh("announced");
        let store = redis(&prefix).await;
        let client = redis::Client::open(setting("TEST_REDIS_URL")).unwrap();
        let mut listener = client.get_async_pubsub().await.unwrap();
        listener.subscribe(format!("{prefix}:changes")).await.unwrap();
        changes_and_misses(&store).await;
        store.save(&row("end", 1)).await.unwrap();
        let mut announced = Vec::new();
        let mut messages = listener.on_message();
        while announced.last() != Some(&encoded("end")) {
            let heard = tokio::time::timeout(Duration::from_secs(5), messages.next()).await;
            announced.push(heard.unwrap().unwrap().get_payload::<String>().unwrap());
        }
        assert_announced(announced);
    }
}

fn encoded(user: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Subject::user(user).as_str())
}

/// Saves users 0 to 9, updates and removes some of them, and tries what changes nothing.
async fn changes_and_misses(store: &impl TokenStore) {
    let operations = (0..40).map(|number| -> Operation<'_> {
        Box::pin(async move {
            match number {
                0..10 => store.save(&row(number, 1)).await.map(|()| true),
                // Of another version, and of nobody.
                10..20 => store.update(&row(number - 10, 5)).await.map(|it| !it),
                20..30 => store.remove(&key(number - 20), version(5)).await.map(|it| !it),
                _ => store.update(&row(number, 1)).await.map(|it| !it),
            }
        })
    });
    assert!(join_all(operations).await.into_iter().all(|outcome| outcome.unwrap()));
    let operations = (0..10).map(|number| -> Operation<'_> {
        Box::pin(async move {
            if number < 5 {
                store.update(&row(number, 1)).await
            } else {
                store.remove(&key(number), version(1)).await
            }
        })
    });
    assert!(join_all(operations).await.into_iter().all(|outcome| outcome.unwrap()));
}

/// Each of the users was announced for its save and for its second change.
fn assert_announced(mut announced: Vec<String>) {
    announced.sort();
    let twice =
        (0..10).flat_map(|number| [encoded(&number.to_string()), encoded(&number.to_string())]);
    let mut expected: Vec<_> = twice.chain([encoded("end")]).collect();
    expected.sort();
    assert_eq!(announced, expected);
}
