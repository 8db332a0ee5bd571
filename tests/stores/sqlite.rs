//! The SQLite store: restarts, several processes, and a file that is changed or replaced.

use std::path::Path;
use std::time::{Duration, SystemTime};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, SealedToken, SqliteStore, StoreError, TokenKey, TokenStore, TokenVersion,
};

fn row(user: &str, version: i64) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    let version = TokenVersion::from_i64(version).unwrap();
    SealedToken::new(key, version, vec![1, 2, 3], SystemTime::now())
        .with_sites(vec!["s1".to_owned(), "s2".to_owned()])
        .with_workspaces(vec!["w1".to_owned()])
}

async fn execute(path: &Path, sql: &'static str) {
    let mut connection =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn rows_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    store.save(&row("ada", 2)).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
    let [found] = store.by_site("s2").await.unwrap().try_into().unwrap();
    assert_eq!((found.version().as_i64(), found.sites()), (2, row("ada", 2).sites()));
    assert_eq!(store.by_workspace("w1").await.unwrap().len(), 1);
    assert!(!store.remove(found.key(), TokenVersion::from_i64(1).unwrap()).await.unwrap());
    assert!(store.remove(found.key(), found.version()).await.unwrap());
    assert!(store.by_site("s1").await.unwrap().is_empty(), "the index goes with the row");
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn ten_processes_open_a_new_file_in_parallel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let opened = (0..10).map(|i| {
        let path = path.clone();
        tokio::spawn(async move {
            let store = SqliteStore::open(&path).await.unwrap();
            store.save(&row(&i.to_string(), 1)).await.unwrap();
        })
    });
    for task in opened.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.by_site("s1").await.unwrap().len(), 10);
}

#[tokio::test]
async fn opening_waits_until_another_process_releases_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    // Not in WAL mode yet, as while another process creates the file.
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE; CREATE TABLE other (id)").await.unwrap();
    let mut opening = tokio::spawn(SqliteStore::open(path));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut opening).await;
    assert!(early.is_err(), "opened while the file was locked: {early:?}");
    other.execute("COMMIT").await.unwrap();
    opening.await.unwrap().unwrap().healthy().await.unwrap();
}

#[tokio::test]
async fn newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    execute(&path, "INSERT INTO webflow_schema VALUES (99)").await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaTooNew { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("update the crate"), "{error}");
}

#[tokio::test]
async fn deleted_replaced_and_restored_files_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    for result in [
        store.load(&Subject::user("ada")).await.map(drop),
        store.save(&row("ada", 2)).await,
        store.healthy().await,
    ] {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    std::fs::write(&path, b"").unwrap();
    assert!(store.load(&Subject::user("ada")).await.is_err(), "another file is not this one");
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn dropped_tables_are_an_outage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    execute(&path, "DROP TABLE webflow_token_coverage; DROP TABLE webflow_tokens").await;
    let result = store.load(&Subject::user("ada")).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert!(store.healthy().await.is_err());
}

#[tokio::test]
async fn malformed_row_affects_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    store.save(&row("bob", 1)).await.unwrap();
    execute(
        &path,
        "UPDATE webflow_tokens SET sites = 'no json' WHERE subject = CAST('user:ada' AS BLOB)",
    )
    .await;
    assert!(store.load(&Subject::user("ada")).await.unwrap().is_empty());
    assert_eq!(store.by_site("s1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn long_write_lock_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    // Another program holds the write lock longer than a write waits.
    let mut other =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let started = std::time::Instant::now();
    let result = store.save(&row("ada", 2)).await;
    assert!(result.is_err(), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(store.load(&Subject::user("ada")).await.unwrap()[0].version().as_i64(), 1);
    store.save(&row("ada", 3)).await.unwrap();
}

#[tokio::test]
async fn open_errors_explain_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("tokens.db");
    let error = SqliteStore::open(&missing).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("the parent directory must exist"), "{cause}");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but long enough to be read as one".repeat(50))
        .unwrap();
    assert!(SqliteStore::open(&text).await.is_err());
}

#[tokio::test]
async fn purge_removes_only_older_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
    let key = TokenKey::new(Subject::user("old"), GrantId::default());
    let old = SystemTime::now() - Duration::from_secs(100_000);
    let old = SealedToken::new(key, TokenVersion::from_i64(1).unwrap(), vec![1], old);
    store.save(&old).await.unwrap();
    store.save(&row("new", 1)).await.unwrap();
    assert_eq!(store.purge_older_than(Duration::from_secs(50_000)).await.unwrap(), 1);
    assert!(store.load(&Subject::user("old")).await.unwrap().is_empty());
    assert_eq!(store.load(&Subject::user("new")).await.unwrap().len(), 1);
}
