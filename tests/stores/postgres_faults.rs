//! Faults of Postgres and of the systems in front of it: poolers, failovers, missing rights. Each
//! test is named after its entry.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row};
use tokio::sync::{Mutex, MutexGuard};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, PostgresStore, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion,
};
use tower_webflow_auth::testing::TestBrowser;

use crate::support::App;
use crate::support::log::logged;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start the servers with `scripts/with-servers cargo test ..`")
    })
}

fn url() -> String {
    setting("TEST_POSTGRES_URL")
}

/// The same URL for another role. Every role is trusted.
fn url_of(role: &str) -> String {
    url().replacen("//test@", &format!("//{role}@"), 1)
}

async fn sql_at(url: &str, statements: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.unwrap();
}

async fn sql(statements: &str) {
    sql_at(&url(), statements).await;
}

async fn number(url: &str, query: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
    connection.fetch_one(query).await.unwrap().get(0)
}

fn row(user: &str, version: i64) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    let version = TokenVersion::from_i64(version).unwrap();
    SealedToken::new(key, version, vec![1, 2, 3], SystemTime::now())
}

async fn pool(url: &str, connections: u32) -> PgPool {
    // PgBouncer refuses sqlx's default for this parameter.
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.extra_float_digits(None);
    PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}

fn with_pool(table: &str, pool: PgPool) -> PostgresStore {
    PostgresStore::builder().table(table).with_pool(pool).unwrap()
}

async fn connect(table: &str, url: &str) -> PostgresStore {
    PostgresStore::builder().table(table).connect(url).await.unwrap()
}

/// Polls until the condition holds, up to a time limit.
async fn within(limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An application with a store that the test can still query.
async fn app(store: PostgresStore) -> (App, Arc<PostgresStore>) {
    let store = Arc::new(store);
    let shared = Shared(Arc::clone(&store));
    (App::with(|builder| builder.store(shared)).await, store)
}

/// A change by another instance is noticed although the cache's clock stands still.
async fn hears_a_removal(app: &App, other: &PostgresStore) {
    let mut browser = app.connected().await;
    let page = browser.visit(&app.url("/whoami")).await.unwrap();
    let subject: Subject = page.json()["subject"].as_str().unwrap().parse().unwrap();
    let workspace = app.fake.workspaces()[0].id();
    let mut rows = other.by_workspace(workspace).await.unwrap();
    rows.retain(|row| row.key().subject().id() == subject.id());
    assert_eq!(rows.len(), 1);
    for grant in rows {
        assert!(other.remove(grant.key(), grant.version()).await.unwrap());
    }
    within(Duration::from_secs(2), async || {
        app.auth.handle().token(&subject).await.unwrap().is_none()
    })
    .await;
}

struct Shared(Arc<PostgresStore>);

impl TokenStore for Shared {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.0.load(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        self.0.save(token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.0.remove(key, version).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.0.update(token).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        self.0.healthy().await
    }

    async fn warnings(&self) -> Vec<String> {
        self.0.warnings().await
    }

    async fn watch(&self, changes: tower_webflow_auth::store::Invalidator) {
        self.0.watch(changes).await;
    }
}

mod e1_state_of_connections {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_failed_write_leaves_a_clean_connection() {
        // In a transaction behind PgBouncer, and outside one directly at Postgres.
        for (table, address) in [("e1_direct", url()), ("e1_pooled", setting("TEST_PGBOUNCER_URL"))]
        {
            let store = with_pool(table, pool(&address, 1).await);
            store.healthy().await.unwrap();
            sql(&format!("ALTER TABLE {table} ADD CONSTRAINT full_up CHECK (version <> 7)")).await;
            assert!(store.save(&row("ada", 7)).await.is_err());
            store.save(&row("ada", 8)).await.unwrap();
            assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn an_abandoned_write_leaves_a_clean_connection() {
        for (table, address) in
            [("e1_left", url()), ("e1_left_pooled", setting("TEST_PGBOUNCER_URL"))]
        {
            let store = with_pool(table, pool(&address, 1).await);
            store.healthy().await.unwrap();
            let mut other = PgConnection::connect(&url()).await.unwrap();
            let mut lock = other.begin().await.unwrap();
            lock.execute(AssertSqlSafe(format!("LOCK TABLE {table}"))).await.unwrap();
            let token = row("ada", 1);
            let write = store.save(&token);
            assert!(tokio::time::timeout(Duration::from_millis(200), write).await.is_err());
            lock.rollback().await.unwrap();
            store.save(&row("ada", 2)).await.unwrap();
            let rows = store.load(&Subject::user("ada")).await.unwrap();
            assert_eq!(rows[0].version().as_i64(), 2);
        }
    }
}

mod e5_pgbouncer {
    use super::*;

    async fn no_server_connection_listens(address: &str) {
        // PgBouncer has three server connections, so three concurrent transactions see all of them.
        let pool = pool(address, 3).await;
        let mut transactions = Vec::new();
        for _ in 0..3 {
            transactions.push(pool.begin().await.unwrap());
        }
        for transaction in &mut transactions {
            let query = sqlx::raw_sql("SELECT count(*) FROM pg_listening_channels()");
            let count: i64 = transaction.fetch_one(query).await.unwrap().get(0);
            assert_eq!(count, 0);
        }
    }

    async fn ten_sign_ins(store: PostgresStore, address: &str) {
        let (app, store) = app(store).await;
        let sign_ins = (0..10).map(|_| app.connected());
        futures::future::join_all(sign_ins).await;
        assert_eq!(app.fake.live_tokens(), 10);
        let warnings = store.warnings().await;
        assert!(warnings[0].contains("pooler"), "{warnings:?}");
        no_server_connection_listens(address).await;
    }

    #[tokio::test]
    #[ignore = "needs PgBouncer: run scripts/test"]
    async fn signs_in_over_an_existing_pool() {
        let address = setting("TEST_PGBOUNCER_URL");
        let store = with_pool("e5_pool", pool(&address, 10).await);
        ten_sign_ins(store, &address).await;
    }

    #[tokio::test]
    #[ignore = "needs PgBouncer: run scripts/test"]
    async fn signs_in_without_named_prepared_statements() {
        let address = setting("TEST_PGBOUNCER_OLD_URL");
        let store = with_pool("e5_unnamed", pool(&address, 10).await);
        ten_sign_ins(store, &address).await;
    }

    #[tokio::test]
    #[ignore = "needs PgBouncer: run scripts/test"]
    async fn e6_connects_by_address() {
        for (table, name) in
            [("e6_new", "TEST_PGBOUNCER_URL"), ("e6_old", "TEST_PGBOUNCER_OLD_URL")]
        {
            let address = setting(name);
            ten_sign_ins(connect(table, &address).await, &address).await;
        }
    }

    #[tokio::test]
    #[ignore = "needs PgBouncer: run scripts/test"]
    async fn receives_changes_at_a_direct_address() {
        let store = PostgresStore::builder().table("e5_listen").listen_url(url());
        let store = store.connect(&setting("TEST_PGBOUNCER_URL")).await.unwrap();
        let (app, store) = app(store).await;
        app.connected().await;
        assert_eq!(store.warnings().await, [""; 0]);
        hears_a_removal(&app, &connect("e5_listen", &url()).await).await;
    }

    #[tokio::test]
    #[ignore = "needs PgBouncer: run scripts/test"]
    async fn a_pooler_is_logged_once() {
        let (log, _capture) = logged();
        let (app, store) = app(connect("e5_logged", &setting("TEST_PGBOUNCER_URL")).await).await;
        for _ in 0..3 {
            app.connected().await;
        }
        assert_eq!(store.warnings().await.len(), 1);
        assert_eq!(log.text().matches("does not support LISTEN").count(), 1, "{}", log.text());
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn e7_a_pool_of_one_connection_is_enough() {
    let (app, store) = app(with_pool("e7_one", pool(&url(), 1).await)).await;
    for _ in 0..3 {
        app.connected().await;
    }
    assert_eq!(store.warnings().await, [""; 0], "it listens outside the pool");
    hears_a_removal(&app, &connect("e7_one", &url()).await).await;
}

#[tokio::test]
#[ignore = "needs Postgres with TLS: run scripts/test"]
async fn e3_tls_is_verified_against_a_private_ca() {
    let address = setting("TEST_POSTGRES_TLS_URL");
    let (app, store) = app(connect("e3_tls", &address).await).await;
    app.connected().await;
    assert_eq!(store.warnings().await, [""; 0]);
    let without_ca = address.split("&sslrootcert").next().unwrap();
    let refused = PostgresStore::builder().table("e3_tls").connect(without_ca).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

mod e8_failover {
    use super::*;

    static SERVERS: Mutex<()> = Mutex::const_new(());

    /// The primary and its standby, used by one test at a time.
    struct Servers {
        address: String,
        _guard: MutexGuard<'static, ()>,
    }

    impl Servers {
        async fn start() -> Self {
            let guard = SERVERS.lock().await;
            let servers = Self { address: setting("TEST_POSTGRES_FAILOVER_URL"), _guard: guard };
            servers.control("reset").await;
            servers
        }

        async fn control(&self, action: &'static str) {
            let run = move || {
                Command::new(setting("TEST_POSTGRES_FAILOVER_CTL"))
                    .arg(action)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status()
            };
            let status = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
            assert!(status.success(), "{action}");
        }
    }

    /// Fills the pool with connections to the current primary.
    async fn warm(store: &PostgresStore) {
        let writes = (0..10).map(|i| async move { store.save(&row(&format!("{i}"), 1)).await });
        for written in futures::future::join_all(writes).await {
            written.unwrap();
        }
    }

    async fn survives_a_failover(servers: &Servers, store: PostgresStore) {
        warm(&store).await;
        let (app, store) = app(store).await;
        app.connected().await;
        assert_eq!(store.warnings().await, [""; 0]);
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/whoami").await;
        servers.control("promote").await;
        let began = Instant::now();
        let page = browser.visit(&callback).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
        store.healthy().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let other = connect("e8", &servers.address).await;
        within(Duration::from_secs(3), async || store.warnings().await.is_empty()).await;
        hears_a_removal(&app, &other).await;
    }

    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn writes_go_to_the_new_primary() {
        let servers = Servers::start().await;
        let store = connect("e8", &servers.address).await;
        survives_a_failover(&servers, store).await;
    }

    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn writes_of_an_existing_pool_go_to_the_new_primary() {
        let servers = Servers::start().await;
        let store = with_pool("e8", pool(&servers.address, 10).await);
        survives_a_failover(&servers, store).await;
    }

    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn reads_after_a_write_see_the_new_primary() {
        let servers = Servers::start().await;
        let store = connect("e8", &servers.address).await;
        warm(&store).await;
        servers.control("promote").await;
        store.save(&row("late", 9)).await.unwrap();
        for _ in 0..20 {
            assert_eq!(store.load(&Subject::user("late")).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn a_lost_connection_is_replaced() {
        let servers = Servers::start().await;
        for store in [
            connect("e8", &servers.address).await,
            with_pool("e8", pool(&servers.address, 10).await),
        ] {
            warm(&store).await;
            // Closed by an intermediary, and terminated by the server itself (57P01).
            servers.control("cut").await;
            store.save(&row("cut", 1)).await.unwrap();
            warm(&store).await;
            sql_at(
                &servers.address,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .await;
            store.save(&row("ended", 1)).await.unwrap();
        }
    }

    /// The server commits a removal whose client is gone, and the retry finds no row.
    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn a_removal_whose_reply_was_lost_is_reported() {
        let servers = Servers::start().await;
        let store = connect("lost", &servers.address).await;
        let slow_commit = "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END$$; \
             CREATE CONSTRAINT TRIGGER pause AFTER DELETE ON lost DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION pause()";
        sql_at(&servers.address, slow_commit).await;
        let (held, gone) = (row("ada", 1), row("bob", 1));
        store.save(&held).await.unwrap();
        assert!(!store.remove(gone.key(), gone.version()).await.unwrap());
        let commits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let (removed, ()) = tokio::join!(store.remove(held.key(), held.version()), async {
            let limit = Duration::from_secs(3);
            within(limit, async || number(&servers.address, commits).await == 1).await;
            servers.control("cut").await;
        });
        assert!(removed.unwrap());
        assert!(store.load(held.key().subject()).await.unwrap().is_empty());
    }

    #[tokio::test]
    #[ignore = "needs a Postgres standby: run scripts/test"]
    async fn a_standby_is_not_healthy() {
        let servers = Servers::start().await;
        let store = connect("e8", &servers.address).await;
        servers.control("standby").await;
        servers.control("cut").await;
        let error = store.healthy().await.unwrap_err();
        assert!(format!("{error:?}").contains("read-only"), "{error:?}");
        let error = PostgresStore::builder().table("e8").connect(&servers.address).await;
        assert!(format!("{error:?}").contains("read-only"), "{error:?}");
        // The URL leads back to the server, so nothing has to be restarted.
        servers.control("primary").await;
        store.healthy().await.unwrap();
    }
}

mod e9_rights {
    use super::*;

    async fn role(name: &str, grants: &str) -> String {
        sql(&format!("CREATE ROLE {name} LOGIN; {grants}")).await;
        url_of(name)
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_role_that_may_only_read_is_refused() {
        connect("e9", &url()).await;
        let address = role("e9_reader", "GRANT SELECT ON e9, e9_schema TO e9_reader").await;
        let error = PostgresStore::builder().table("e9").connect(&address).await.unwrap_err();
        let text = format!("{error:?}");
        for right in ["INSERT", "UPDATE", "DELETE", "ON public.e9 TO e9_reader"] {
            assert!(text.contains(right), "{right}: {text}");
        }
        assert!(!text.contains("SELECT"), "rights that the role has are not reported: {text}");
        let lazy = PostgresStore::builder().table("e9").connect_lazy(&address).unwrap();
        assert!(matches!(lazy.healthy().await, Err(StoreError::Unavailable(_))));
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn each_missing_right_is_named() {
        connect("e9_each", &url()).await;
        for right in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
            let name = format!("e9_no_{}", right.to_lowercase());
            let all = format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON e9_each TO {name}; \
                 GRANT SELECT ON e9_each_schema TO {name}; REVOKE {right} ON e9_each FROM {name}"
            );
            let address = role(&name, &all).await;
            let error =
                PostgresStore::builder().table("e9_each").connect(&address).await.unwrap_err();
            let expected = format!("GRANT {right} ON public.e9_each TO {name}");
            assert!(format!("{error:?}").contains(&expected), "{error:?}");
        }
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_schema_that_may_not_be_created_is_named() {
        let address = role("e9_stranger", "").await;
        let store = PostgresStore::builder().schema("e9_absent");
        let error = format!("{:?}", store.connect(&address).await.unwrap_err());
        assert!(error.contains("GRANT CREATE ON DATABASE postgres TO e9_stranger"), "{error}");
        sql("CREATE SCHEMA e9_closed").await;
        let store = PostgresStore::builder().schema("e9_closed");
        let error = format!("{:?}", store.connect(&address).await.unwrap_err());
        assert!(error.contains("GRANT CREATE ON SCHEMA e9_closed TO e9_stranger"), "{error}");
        assert!(error.contains("GRANT USAGE ON SCHEMA e9_closed TO e9_stranger"), "{error}");
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_health_check_leaves_nothing_behind() {
        let store = connect("e9_clean", &url()).await;
        let (app, watched) = app(connect("e9_clean", &url()).await).await;
        app.connected().await;
        assert_eq!(watched.warnings().await, [""; 0]);
        for _ in 0..3 {
            store.healthy().await.unwrap();
        }
        assert_eq!(number(&url(), "SELECT count(*) FROM e9_clean").await, 1, "the sign-in's row");
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn e11_a_role_with_a_schema_of_its_own_can_start() {
        let address = role("e11_owner", "CREATE SCHEMA e11_own AUTHORIZATION e11_owner").await;
        PostgresStore::builder().schema("e11_own").connect(&address).await.unwrap();
        // A second start finds what the first one created.
        PostgresStore::builder().schema("e11_own").connect(&address).await.unwrap();
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn e11_a_role_that_may_create_in_public_can_start() {
        let address = role("e11_public", "GRANT CREATE ON SCHEMA public TO e11_public").await;
        connect("e11_in_public", &address).await.healthy().await.unwrap();
    }
}

mod e13_outside_of_a_runtime {
    use super::*;

    #[test]
    fn a_lazy_store_is_created() {
        let store = PostgresStore::builder().connect_lazy("postgres://127.0.0.1/app").unwrap();
        let read = futures::executor::block_on(store.load(&Subject::user("ada")));
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    }

    #[test]
    #[ignore = "needs Postgres: run scripts/test"]
    fn a_lazy_store_is_used_later() {
        let store = PostgresStore::builder().table("e13").connect_lazy(&url()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(store.healthy()).unwrap();
    }
}

mod e17_odd_ids {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn an_id_that_postgres_cannot_hold_costs_no_grant() {
        let store = connect("e17", &url()).await;
        let long = "x".repeat(100_000);
        let odd = ["a\0b", &long].map(str::to_owned);
        let token = row("ada", 1)
            .with_sites([vec!["plain".to_owned()], odd.to_vec()].concat())
            .with_workspaces(odd.to_vec());
        store.save(&token).await.unwrap();
        assert!(store.update(&token).await.unwrap());
        assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
        assert_eq!(store.by_site("plain").await.unwrap().len(), 1);
        for id in &odd {
            assert!(store.by_site(id).await.unwrap().is_empty());
            assert!(store.by_workspace(id).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_grant_id_that_postgres_cannot_hold_is_no_outage() {
        let store = connect("e17_grants", &url()).await;
        let key = TokenKey::new(Subject::user("ada"), GrantId::new("a\0b"));
        let version = TokenVersion::from_i64(1).unwrap();
        let token = SealedToken::new(key.clone(), version, vec![1], SystemTime::now());
        assert!(matches!(store.save(&token).await, Err(StoreError::Unsupported(_))));
        assert!(!store.remove(&key, version).await.unwrap());
    }
}

mod e18_listener {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn a_listener_that_may_not_connect_is_logged_and_reported() {
        sql("CREATE ROLE e18_locked_out NOLOGIN").await;
        let (log, _capture) = logged();
        let store = PostgresStore::builder().table("e18").listen_url(url_of("e18_locked_out"));
        let (app, store) = app(store.connect(&url()).await.unwrap()).await;
        app.connected().await;
        let warnings = store.warnings().await;
        assert!(warnings[0].contains("not permitted to log in"), "{warnings:?}");
        assert!(log.text().contains("not receiving changes by other instances"));
        let report = app.auth.diagnose().await;
        let check = report.get("store").unwrap();
        assert!(check.finding().contains("not receiving changes"), "{report}");
    }
}

/// The statements of docs/guide/persistence.md, run verbatim.
#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn e9_the_documented_rights_are_enough() {
    let page = include_str!("../../docs/guide/persistence.md");
    let blocks: Vec<&str> =
        page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [own_schema, rows_only, listener] = blocks[..] else {
        panic!("the page has {} blocks of SQL", blocks.len())
    };
    sql("CREATE DATABASE app").await;
    let at = |role: &str| format!("{}/app", url_of(role).rsplit_once('/').unwrap().0);

    sql_at(&at("test"), own_schema).await;
    let builder = || PostgresStore::builder().schema("webflow").table("grants");
    builder().connect(&at("webflow_owner")).await.unwrap();

    sql_at(&at("test"), rows_only).await;
    sql_at(&at("test"), listener).await;
    let store = builder().listen_url(at("webflow_listener"));
    let (app, store) = app(store.connect(&at("webflow_app")).await.unwrap()).await;
    app.connected().await;
    assert_eq!(store.warnings().await, [""; 0]);
    hears_a_removal(&app, &builder().connect(&at("webflow_owner")).await.unwrap()).await;
    store.purge_older_than(Duration::from_secs(1)).await.unwrap();
}
