//! The SQLite store on a full disk, a locked file, missing rights and odd names.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::join_all;
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, SealedToken, SqliteStore, StoreError, TokenKey, TokenStore, TokenVersion,
};

async fn store() -> (TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    (folder, path, store)
}

fn row(user: &str, version: i64) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    SealedToken::new(key, TokenVersion::from_i64(version).unwrap(), vec![7; 9000], UNIX_EPOCH)
        .with_sites(vec!["s1".to_owned()])
}

async fn other_process(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

async fn lock(path: &Path) -> SqliteConnection {
    let mut other = other_process(path).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    other
}

fn causes(error: &StoreError) -> String {
    format!("{error:?}")
}

/// Runs the rest of the test in its own process, in which file sizes can be limited and file modes
/// apply even to root. Returns true in that process.
#[cfg(target_os = "linux")]
fn in_child(test: &str) -> bool {
    const CHILD: &str = "SQLITE_FAULTS_CHILD";
    // An ignored signal stays ignored after `exec`, so a write over the limit is an error.
    const START: &str = r#"trap "" XFSZ
        [ "$(id -u)" -ne 0 ] || set -- setpriv --bounding-set=-dac_override,-dac_read_search "$@"
        exec "$@""#;
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    // The test harness names tests without the crate.
    let (_, name) = test.split_once("::").unwrap();
    let child = std::process::Command::new("sh")
        .args(["-c", START, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("sh, setpriv and prlimit are needed: install util-linux");
    let output = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && output.contains("1 passed"), "{output}\n{errors}");
    false
}

/// Limits the size of files that this process may write.
#[cfg(target_os = "linux")]
fn limit_files(bytes: &str) {
    let status = std::process::Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), &format!("--fsize={bytes}:")])
        .status()
        .expect("prlimit is needed: install util-linux");
    assert!(status.success());
}

#[cfg(target_os = "linux")]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(target_os = "linux")]
fn allow_writing(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        set_mode(&file.unwrap().path(), 0o600);
    }
}

#[cfg(target_os = "linux")]
mod e1_disk_full {
    use axum::http::StatusCode;
    use tower_webflow_auth::testing::TestBrowser;

    use super::*;
    use crate::support::App;

    #[tokio::test]
    async fn the_first_sign_in_with_room_succeeds() {
        if !in_child(concat!(module_path!(), "::the_first_sign_in_with_room_succeeds")) {
            return;
        }
        let (_folder, _, store) = store().await;
        let app = App::with(|builder| builder.store(store)).await;
        limit_files("0");
        for _ in 0..3 {
            let page = app.connect(&mut TestBrowser::new(), "/sites").await;
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        }
        limit_files("unlimited");
        let page = app.connect(&mut TestBrowser::new(), "/sites").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    }

    #[tokio::test]
    async fn every_kind_of_write_fails_and_then_succeeds() {
        if !in_child(concat!(module_path!(), "::every_kind_of_write_fails_and_then_succeeds")) {
            return;
        }
        let (_folder, _, store) = store().await;
        store.save(&row("ada", 1)).await.unwrap();
        let ada = Subject::user("ada");
        for _ in 0..3 {
            limit_files("0");
            let age = Duration::from_secs(1);
            for result in [
                store.healthy().await,
                store.save(&row("bob", 1)).await,
                store.update(&row("ada", 1)).await.map(drop),
                store.remove(row("ada", 1).key(), row("ada", 1).version()).await.map(drop),
                store.purge_older_than(age).await.map(drop),
            ] {
                let error = causes(&result.unwrap_err());
                assert!(error.contains("tokens.db") && error.contains("full"), "{error}");
            }
            assert_eq!(store.load(&ada).await.unwrap(), [row("ada", 1)], "reads go on");
            limit_files("unlimited");
            store.save(&row("bob", 1)).await.unwrap();
            assert!(store.update(&row("ada", 1)).await.unwrap());
            store.healthy().await.unwrap();
            assert_eq!(store.load(&ada).await.unwrap(), [row("ada", 1)]);
            assert!(store.remove(row("bob", 1).key(), row("bob", 1).version()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_found_at_start() {
        if !in_child(concat!(module_path!(), "::a_full_disk_is_found_at_start")) {
            return;
        }
        let (_folder, path, store) = store().await;
        store.close().await;
        limit_files("0");
        let error = causes(&SqliteStore::open(&path).await.unwrap_err());
        assert!(error.contains("full"), "{error}");
        limit_files("unlimited");
        SqliteStore::open(&path).await.unwrap();
    }
}

mod e2_locked {
    use super::*;

    #[tokio::test]
    async fn writes_fail_soon_and_reads_do_not_wait_for_them() {
        let (_folder, path, store) = store().await;
        store.save(&row("ada", 1)).await.unwrap();
        let mut other = lock(&path).await;
        let started = Instant::now();
        let rows: Vec<_> = (0..8).map(|i| row(&i.to_string(), 1)).collect();
        let mut writes = pin!(join_all(rows.iter().map(|row| store.save(row))));
        let mut slowest = Duration::ZERO;
        // Each turn polls the writes, so that as many as possible hold a connection.
        let results = loop {
            if let Some(results) = writes.as_mut().now_or_never() {
                break results;
            }
            let read = Instant::now();
            assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
            slowest = slowest.max(read.elapsed());
        };
        assert!(slowest < Duration::from_secs(1), "a read took {slowest:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(results.iter().all(Result::is_err), "{results:?}");
        let error = causes(results[0].as_ref().unwrap_err());
        assert!(error.contains("locked by another process"), "{error}");
        other.execute("ROLLBACK").await.unwrap();
        store.save(&row("ada", 2)).await.unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_write_leaves_a_clean_connection() {
        let (_folder, path, store) = store().await;
        for polls in 1..=10 {
            let mut other = lock(&path).await;
            let token = row("locked", 1);
            let mut write = Box::pin(store.save(&token));
            for _ in 0..polls {
                assert!(write.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            drop(write);
            other.execute("ROLLBACK").await.unwrap();
            store.save(&row("free", polls)).await.unwrap();
            assert_eq!(store.load(&Subject::user("free")).await.unwrap(), [row("free", polls)]);
            assert!(store.load(&Subject::user("locked")).await.unwrap().is_empty());
        }
    }
}

mod e9_rights {
    use super::*;

    async fn count(path: &Path, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut other_process(path).await).await.unwrap()
    }

    #[tokio::test]
    async fn being_healthy_leaves_nothing_behind() {
        let (_folder, path, store) = store().await;
        store.healthy().await.unwrap();
        assert_eq!(count(&path, "SELECT count(*) FROM webflow_tokens").await, 0);
        assert_eq!(count(&path, "SELECT count(*) FROM webflow_token_coverage").await, 0);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_written_is_not_healthy() {
        let (_folder, path, store) = store().await;
        let mut other = lock(&path).await;
        let error = causes(&store.healthy().await.unwrap_err());
        assert!(error.contains("locked by another process"), "{error}");
        other.execute("ROLLBACK").await.unwrap();
        store.healthy().await.unwrap();
        other.execute("DROP TABLE webflow_token_coverage").await.unwrap();
        let error = causes(&store.healthy().await.unwrap_err());
        assert!(error.contains("no such table"), "{error}");
        assert!(SqliteStore::open(&path).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_missing_right_is_named_at_start() {
        if !in_child(concat!(module_path!(), "::a_missing_right_is_named_at_start")) {
            return;
        }
        let (folder, path, store) = store().await;
        store.close().await;
        let right = "this process needs permission to";
        for (changed, mode, usual) in
            [(folder.path(), 0o500, 0o700), (&*path, 0o000, 0o600), (&*path, 0o400, 0o600)]
        {
            set_mode(changed, mode);
            let error = causes(&SqliteStore::open(&path).await.unwrap_err());
            assert!(error.contains(right) && error.contains("directory"), "{mode:o}: {error}");
            set_mode(changed, usual);
            // SQLite creates the companion files with the database file's mode.
            allow_writing(folder.path());
        }
        SqliteStore::open(&path).await.unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_that_was_opened_read_only_is_not_kept() {
        if !in_child(concat!(
            module_path!(),
            "::a_connection_that_was_opened_read_only_is_not_kept"
        )) {
            return;
        }
        let (folder, path, store) = store().await;
        set_mode(&path, 0o400);
        for result in [
            store.healthy().await,
            store.save(&row("ada", 1)).await,
            store.remove(row("ada", 1).key(), row("ada", 1).version()).await.map(drop),
        ] {
            let error = causes(&result.unwrap_err());
            assert!(error.contains("permission to write the file"), "{error}");
        }
        assert!(store.load(&Subject::user("ada")).await.unwrap().is_empty());
        allow_writing(folder.path());
        store.save(&row("ada", 1)).await.unwrap();
        store.healthy().await.unwrap();
    }
}

mod e12_names {
    use super::*;

    #[tokio::test]
    async fn special_names_are_refused_with_a_hint() {
        for (name, advice) in [
            ("", "name a file"),
            (":memory:", "use MemoryStore"),
            ("sqlite::memory:", "use MemoryStore"),
            ("file::memory:?cache=shared", "use MemoryStore"),
            ("file:tokens?mode=memory", "use MemoryStore"),
            ("sqlite://tokens.db", "a path, not a URL"),
            ("sqlite:tokens.db", "a path, not a URL"),
            ("SQLite:tokens.db", "a path, not a URL"),
            ("file:tokens.db", "a path, not a URL"),
            ("postgres://app@localhost/app", "a path, not a URL"),
        ] {
            let error = SqliteStore::open(name).await.unwrap_err();
            assert!(causes(&error).contains(advice), "{name}: {error:?}");
            assert!(name.is_empty() || !Path::new(name).exists(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_not_a_database_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = causes(&SqliteStore::open(folder.path()).await.unwrap_err());
        assert!(error.contains("is not a file"), "{error}");
    }

    #[tokio::test]
    async fn odd_names_are_files_with_exactly_that_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in [":memory:", "a?mode=memory", "a%20b#c", "file:a", "\u{e9} b.db"] {
            let path = folder.path().join(name);
            let store = SqliteStore::open(&path).await.unwrap();
            store.save(&row("ada", 1)).await.unwrap();
            store.close().await;
            let store = SqliteStore::open(&path).await.unwrap();
            assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1, "{name}");
        }
        let files = std::fs::read_dir(folder.path()).unwrap();
        let files = files.filter(|file| {
            let name = file.as_ref().unwrap().file_name().into_string().unwrap();
            !name.ends_with("-wal") && !name.ends_with("-shm")
        });
        assert_eq!(files.count(), 5);
    }
}
