//! Redis as it is deployed: TLS, failover, limited rights, a cluster, and Valkey.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::http::{Method, StatusCode};
use redis::{AsyncCommands, Client, TlsCertificates};
use tower_webflow_auth::store::{
    GrantId, RedisStore, RedisStoreBuilder, SealedToken, StoreError, TokenKey, TokenStore,
    TokenVersion,
};
use tower_webflow_auth::testing::{ContractReport, TestBrowser, store_contract};
use tower_webflow_auth::{Subject, doctor::Status};

use crate::contract::concurrent_operations_are_serialized;
use crate::support::App;
use crate::support::log::logged;

fn setting(name: &str) -> String {
    let missing = || panic!("{name} is not set: run this by scripts/with-servers");
    std::env::var(name).unwrap_or_else(|_| missing())
}

/// A store with a key prefix of its own test.
fn builder(name: &str) -> RedisStoreBuilder {
    let now = UNIX_EPOCH.elapsed().unwrap().as_nanos();
    RedisStore::builder().key_prefix(format!("{name}-{now}"))
}

fn row(user: &str, version: i64, sites: &[&str]) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    let version = TokenVersion::from_i64(version).unwrap();
    let sites = sites.iter().map(|&id| id.to_owned()).collect();
    SealedToken::new(key, version, vec![1, 2, 3], UNIX_EPOCH).with_sites(sites)
}

async fn round_trip(store: &RedisStore) {
    let row = row("ada", 1, &["site"]);
    store.save(&row).await.unwrap();
    assert_eq!(store.load(row.key().subject()).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(store.by_site("site").await.unwrap(), std::slice::from_ref(&row));
    assert!(store.remove(row.key(), row.version()).await.unwrap());
}

async fn connection(url: &str) -> redis::aio::MultiplexedConnection {
    Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn keys(url: &str, pattern: &str) -> Vec<String> {
    connection(url).await.keys(pattern).await.unwrap()
}

fn message(error: &StoreError) -> String {
    format!("{error:?}")
}

fn spawn(folder: &Path) -> Child {
    spawn_with(folder, &["--save", ""])
}

fn spawn_with(folder: &Path, arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "socket"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is not installed: run this by scripts/with-servers")
}

/// A server for one test, on a Unix socket.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = spawn_with(folder.path(), arguments);
        let server = Self { folder, process };
        let client = Client::open(server.url()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while client.get_multiplexed_async_connection().await.is_err() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.path().join("socket").display())
    }

    async fn run(&self, command: &str) {
        run(&self.url(), command).await;
    }

    async fn user(&self, rights: &str) -> String {
        self.run(&format!("ACL SETUSER app on >secret {rights}")).await;
        format!("{}?user=app&pass=secret", self.url())
    }

    /// How often a command was executed since the last `CONFIG RESETSTAT`.
    async fn calls(&self, command: &str) -> u64 {
        let stats: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut connection(&self.url()).await)
            .await
            .unwrap();
        let line =
            stats.lines().find_map(|it| it.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

mod e3_tls {
    use super::*;

    /// The tests enable two providers of rustls, so none is the default.
    #[tokio::test]
    #[ignore = "needs Redis over TLS: run scripts/with-servers"]
    async fn connects_without_a_default_provider() {
        let (url, ca) = (setting("TEST_REDIS_TLS_URL"), setting("TEST_CA_FILE"));
        round_trip(&builder("e3").ca_file(&ca).connect(&url).await.unwrap()).await;
        round_trip(&builder("e3-lazy").ca_file(&ca).connect_lazy(&url).unwrap()).await;
        let app =
            App::with(|it| it.store(builder("e3-app").ca_file(&ca).connect_lazy(&url).unwrap()));
        app.await.connected().await;
    }
}

mod e4_private_ca {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Redis over TLS: run scripts/with-servers"]
    async fn pem_is_trusted_and_nothing_else() {
        let url = setting("TEST_REDIS_TLS_URL");
        let pem = std::fs::read(setting("TEST_CA_FILE")).unwrap();
        round_trip(&builder("e4").ca_pem(pem).connect(&url).await.unwrap()).await;
        let error = builder("e4").connect(&url).await.unwrap_err();
        assert!(message(&error).contains("UnknownIssuer"), "{error:?}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |builder: RedisStoreBuilder, url: &str| {
            message(&builder.connect_lazy(url).unwrap_err())
        };
        let tls = "rediss://localhost/";
        assert!(refused(builder("e4").ca_file("/nowhere.pem"), tls).contains("/nowhere.pem"));
        assert!(refused(builder("e4").ca_pem("no certificate"), tls).contains("PEM"));
        assert!(refused(builder("e4").ca_pem("x"), "redis://localhost/").contains("rediss://"));
    }

    #[tokio::test]
    #[ignore = "needs Redis over TLS: run scripts/with-servers"]
    async fn an_own_client_is_taken() {
        let root_cert = Some(std::fs::read(setting("TEST_CA_FILE")).unwrap());
        let certificates = TlsCertificates { client_tls: None, root_cert };
        let client = Client::build_with_tls(setting("TEST_REDIS_TLS_URL"), certificates).unwrap();
        round_trip(&builder("e4-client").with_client(client).unwrap()).await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/with-servers"]
    async fn an_own_connection_is_taken_and_told_what_it_cannot_do() {
        let url = setting("TEST_REDIS_URL");
        let store = builder("e4-own").with_connection(connection(&url).await).unwrap();
        round_trip(&store).await;
        assert!(store.warnings().await.concat().contains("listen_url"));
        let store = builder("e4-own").listen_url(&url).with_connection(connection(&url).await);
        assert_eq!(store.unwrap().warnings().await, Vec::<String>::new());
    }
}

mod e8_failover {
    use super::*;

    fn control(action: &str) {
        let ctl = Command::new(setting("TEST_REDIS_FAILOVER_CTL")).arg(action).status().unwrap();
        assert!(ctl.success(), "{action}");
    }

    async fn saved_within_two_seconds(store: &RedisStore, version: i64) {
        let started = Instant::now();
        store.save(&row("ada", version, &[])).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    /// The open connection stays with the old primary, which has become a replica.
    #[tokio::test]
    #[ignore = "needs a Redis failover pair: run scripts/with-servers"]
    async fn the_new_primary_is_found() {
        control("reset");
        let url = setting("TEST_REDIS_FAILOVER_URL");
        let store = builder("e8").connect(&url).await.unwrap();
        saved_within_two_seconds(&store, 1).await;

        control("promote");
        saved_within_two_seconds(&store, 2).await;
        store.healthy().await.unwrap();
        control("cut");
        assert_eq!(store.load(&Subject::user("ada")).await.unwrap(), [row("ada", 2, &[])]);
        control("cut");
        saved_within_two_seconds(&store, 3).await;
        control("cut");
        assert!(store.remove(row("ada", 3, &[]).key(), version(3)).await.unwrap());
        control("reset");
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_replica_is_not_healthy() {
        let server = Server::start(&["--replicaof", "127.0.0.1 1"]).await;
        let store = builder("e8-replica").connect_lazy(&server.url()).unwrap();
        let error = store.healthy().await.unwrap_err();
        assert!(message(&error).contains("read only"), "{error:?}");
        let error = store.save(&row("ada", 1, &[])).await.unwrap_err();
        assert!(message(&error).contains("read only"), "{error:?}");
        server.run("REPLICAOF NO ONE").await;
        round_trip(&store).await;
    }

    /// As if the old primary's machine were gone: the connection stays open but silent.
    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_silent_server_is_left() {
        let mut server = Server::start(&["--save", ""]).await;
        let store = builder("e8-silent").connect(&server.url()).await.unwrap();
        let pid = server.process.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        std::fs::remove_file(server.path().join("socket")).unwrap();
        let replacement = spawn(server.path());
        let mut silent = std::mem::replace(&mut server.process, replacement);
        let late = store.save(&row("ada", 1, &[])).await.unwrap_err();
        assert!(matches!(late, StoreError::Timeout), "{late:?}");
        saved_within_two_seconds(&store, 2).await;
        silent.kill().unwrap();
        silent.wait().unwrap();
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_write_waits_for_a_restart() {
        let mut server = Server::start(&["--save", ""]).await;
        let store = builder("e8-restart").connect(&server.url()).await.unwrap();
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        let path = server.path().to_owned();
        let restart = std::thread::spawn(move || spawn(&path));
        let saved = store.save(&row("ada", 1, &["site"])).await;
        server.process = restart.join().unwrap();
        saved.unwrap();
        assert_eq!(store.by_site("site").await.unwrap().len(), 1);
    }
}

fn version(number: i64) -> TokenVersion {
    TokenVersion::from_i64(number).unwrap()
}

/// The guide's command that creates a user.
fn documented_rights() -> String {
    let guide = std::fs::read_to_string("docs/guide/persistence.md").unwrap();
    let line = guide.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    line.replace("SECRET", "secret")
}

async fn run(url: &str, command: &str) {
    let mut words = command.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.exec_async(&mut connection(url).await).await.unwrap();
}

mod e9_rights {
    use super::*;

    #[tokio::test]
    #[ignore = "needs a Redis user without channels: run scripts/with-servers"]
    async fn a_user_without_channels_can_sign_in() {
        let (log, _guard) = logged();
        let store = builder("e9").connect(&setting("TEST_REDIS_ACL_URL")).await.unwrap();
        round_trip(&store).await;
        round_trip(&store).await;
        store.healthy().await.unwrap();
        assert_eq!(log.text().matches("cannot publish changes").count(), 1, "{}", log.text());
        let app = App::with(|builder| builder.store(store)).await;
        app.connected().await;
        let report = app.auth.diagnose().await;
        let check = report.get("store").unwrap();
        assert_eq!(check.status(), Status::Warning, "{report}");
        assert!(check.finding().contains("cannot publish"), "{report}");
        assert!(check.finding().contains("not receiving changes"), "{report}");
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn connect_names_the_missing_right() {
        let server = Server::start(&["--save", ""]).await;
        for (rights, named) in [
            ("~* &* +@all -evalsha", "evalsha"),
            ("~* &* +@all -hset", "hset"),
            ("~* &* +@all -hdel", "hdel"),
            ("~* &* +@all -sadd", "sadd"),
            ("~* &* +@all -zrangebyscore", "zrangebyscore"),
            ("~other:* &* +@all", "key"),
            ("~* &* +@read +eval +evalsha", "hdel"),
        ] {
            server.run("ACL DELUSER app").await;
            let url = server.user(rights).await;
            let error = message(&builder("e9").connect(&url).await.unwrap_err());
            assert!(error.to_lowercase().contains(named), "{rights}: {error}");
            assert!(
                keys(&server.url(), "*").await.is_empty(),
                "{rights}: the probe leaves nothing"
            );
        }
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_refused_write_writes_nothing() {
        let server = Server::start(&["--save", ""]).await;
        let url = server.user("~* &* +@all -zadd").await;
        let store = builder("e9").connect_lazy(&url).unwrap();
        store.save(&row("ada", 1, &["site"])).await.unwrap_err();
        assert!(keys(&server.url(), "*").await.is_empty());
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_full_or_failing_disk_and_memory_are_unhealthy() {
        let server = Server::start(&["--save", "1000 1"]).await;
        let store = builder("e9").connect(&server.url()).await.unwrap();
        server.run("CONFIG SET maxmemory 1").await;
        for refused in [store.healthy().await, store.save(&row("ada", 1, &["site"])).await] {
            assert!(message(&refused.unwrap_err()).contains("OOM"));
        }
        server.run("CONFIG SET maxmemory 0").await;
        // A folder in place of the snapshot, so that it cannot be written.
        std::fs::create_dir(server.path().join("dump.rdb")).unwrap();
        server.run("BGSAVE").await;
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            match store.healthy().await {
                Err(error) => break error,
                Ok(()) => assert!(Instant::now() < deadline, "BGSAVE did not fail"),
            }
        };
        assert!(message(&error).contains("MISCONF"), "{error:?}");
        store.save(&row("ada", 1, &["site"])).await.unwrap_err();
        assert!(keys(&server.url(), "*").await.is_empty());
    }

    /// The guide's ACL line is sufficient, and each of its commands is necessary.
    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn the_documented_rights_are_exact() {
        let line = documented_rights();
        let server = Server::start(&["--save", ""]).await;
        server.run(&line).await;
        let url = format!("{}?user=webflow&pass=secret", server.url());
        let store = RedisStore::connect(&url).await.unwrap();
        assert_eq!(store.warnings().await, Vec::<String>::new());
        assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());

        let store = RedisStore::connect(&url).await.unwrap();
        for right in line.split_whitespace().filter(|it| it.starts_with('+')) {
            let command = &right[1..];
            if command == "eval" || command == "ping" {
                continue; // Needed only after a restart, and only for a listener.
            }
            server.run(&format!("ACL SETUSER webflow -{command}")).await;
            let refused = store.healthy().await.is_err() || !store.warnings().await.is_empty();
            assert!(refused, "{command} is not needed");
            server.run(&format!("ACL SETUSER webflow +{command}")).await;
        }
    }
}

mod e10_cluster {
    use super::*;

    fn nodes() -> Vec<String> {
        setting("TEST_REDIS_CLUSTER_NODES").split(',').map(str::to_owned).collect()
    }

    async fn all_keys(prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        for node in nodes() {
            found.extend(keys(&node, &format!("{prefix}*")).await);
        }
        found
    }

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn keeps_the_contract() {
        let store = builder("e10").connect_cluster(nodes()).await.unwrap();
        assert_eq!(store.warnings().await, Vec::<String>::new());
        assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
    }

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn an_own_cluster_connection_keeps_the_contract() {
        let client = redis::cluster::ClusterClient::new(nodes()).unwrap();
        let connection = client.get_async_connection().await.unwrap();
        let store = builder("e10-own").with_connection(connection).unwrap();
        assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn a_late_update_neither_brings_back_nor_replaces() {
        let store = builder("e10-late").connect_cluster(nodes()).await.unwrap();
        concurrent_operations_are_serialized(store).await;
    }

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn the_documented_rights_suffice() {
        for node in nodes() {
            run(&node, &format!("{} +cluster|slots", documented_rights())).await;
        }
        let urls = nodes().into_iter().map(|node| node.replace("//", "//webflow:secret@"));
        let store = RedisStore::builder().connect_cluster(urls).await.unwrap();
        assert_eq!(store.warnings().await, Vec::<String>::new());
        assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
    }

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn a_store_for_one_server_names_the_remedy() {
        let mut refused = 0;
        for node in nodes() {
            if let Err(error) = builder("e10-one").connect(&node).await {
                assert!(message(&error).contains("connect_cluster"), "{error:?}");
                refused += 1;
            }
        }
        assert!(refused >= 2, "at most one node has the slot of the probe");
    }

    /// One instance listens at the first node, and the change is published at the last.
    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn changes_reach_every_node() {
        let nodes = nodes();
        let builder = builder("e10-changes");
        let store = builder.clone().connect_cluster(&nodes[..1]).await.unwrap();
        let other = builder.connect_cluster(&nodes[2..]).await.unwrap();
        assert_that_changes_are_heard(store, other).await;
    }

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: run scripts/with-servers"]
    async fn writes_leave_no_stale_entries() {
        let store = RedisStore::builder().key_prefix("e10-stale").connect_cluster(nodes());
        assert_no_stale_entries(store.await.unwrap()).await;
        assert_eq!(all_keys("e10-stale").await, Vec::<String>::new());
    }
}

#[tokio::test]
#[ignore = "needs Valkey: run scripts/with-servers"]
async fn e10_valkey_keeps_the_contract() {
    let store = builder("valkey").connect(&setting("TEST_VALKEY_URL")).await.unwrap();
    assert_eq!(store.warnings().await, Vec::<String>::new());
    assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
}

/// Runs without a runtime.
#[test]
fn e13_a_lazy_store_is_made_outside_a_runtime() {
    let store = builder("e13").connect_lazy("redis://127.0.0.1:1/").unwrap();
    let cluster = builder("e13").connect_cluster_lazy(["redis://127.0.0.1:1/"]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for store in [store, cluster] {
        assert!(runtime.block_on(store.load(&Subject::user("ada"))).is_err());
    }
}

mod e18_listener {
    use super::*;

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_refused_subscription_is_logged() {
        let server = Server::start(&["--save", ""]).await;
        let url = server.user("~* resetchannels +@all").await;
        let (log, _guard) = logged();
        let store = builder("e18").connect(&url).await.unwrap();
        let app = App::with(|builder| builder.store(store)).await;
        app.connected().await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !log.text().contains("cannot subscribe to changes") {
            assert!(Instant::now() < deadline, "{}", log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(log.text().contains("no permissions"), "{}", log.text());
    }

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn changes_are_heard_after_the_right_is_granted() {
        let server = Server::start(&["--save", ""]).await;
        let url = server.user("~* resetchannels +@all").await;
        let builder = builder("e18-granted");
        let store = builder.clone().connect(&url).await.unwrap();
        let other = builder.connect(&server.url()).await.unwrap();
        server.run("ACL SETUSER app &*").await;
        assert_that_changes_are_heard(store, other).await;
    }
}

/// The clock stands still, so only a published change invalidates the application's cache.
async fn assert_that_changes_are_heard(store: RedisStore, other: RedisStore) {
    let app = App::with(|builder| builder.store(store)).await;
    let mut browser = app.connected().await;
    let url = app.url("/whoami");
    let whoami = browser.visit(&url).await.unwrap();
    let subject: Subject = whoami.json()["subject"].as_str().unwrap().parse().unwrap();
    let status =
        async |browser: &mut TestBrowser| browser.fetch(Method::GET, &url).await.unwrap().status;
    let mut rows = other.by_workspace(app.fake.workspaces()[0].id()).await.unwrap();
    rows.retain(|row| row.key().subject().id() == subject.id());
    let removed = rows.remove(0);
    assert!(other.remove(removed.key(), removed.version()).await.unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(&mut browser).await == StatusCode::OK {
        assert!(Instant::now() < deadline, "the removal was not heard of");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&mut browser).await, StatusCode::UNAUTHORIZED);
}

mod e19_index {
    use super::*;

    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn writes_leave_no_stale_entries() {
        let server = Server::start(&["--save", ""]).await;
        assert_no_stale_entries(builder("e19").connect(&server.url()).await.unwrap()).await;
        assert_eq!(keys(&server.url(), "*").await, Vec::<String>::new());
    }

    /// Each operation is one call to the server, and unchanged index entries are not written.
    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn an_unchanged_coverage_is_one_script_without_index_commands() {
        let server = Server::start(&["--save", ""]).await;
        let store = builder("e19").connect(&server.url()).await.unwrap();
        let first = row("ada", 1, &["a", "b"]);
        store.save(&first).await.unwrap();
        server.run("CONFIG RESETSTAT").await;
        store.save(&row("ada", 2, &["b", "a"])).await.unwrap();
        assert!(store.update(&row("ada", 2, &["a", "b"])).await.unwrap());
        assert_eq!(server.calls("evalsha").await, 2);
        for index in ["sadd", "zadd", "srem", "zrem"] {
            assert_eq!(server.calls(index).await, 0, "{index}");
        }
        assert_eq!(store.by_site("a").await.unwrap().len(), 1);
        assert_eq!(store.by_site("b").await.unwrap()[0].version(), version(2));
    }

    /// If a write is interrupted before its index entries, the next write adds them.
    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn entries_left_by_a_crash_are_tidied_by_look_ups_and_purges() {
        let server = Server::start(&["--save", ""]).await;
        let store = RedisStore::builder().key_prefix("e19-crash");
        let store = store.connect(&server.url()).await.unwrap();
        store.save(&row("ada", 1, &["a"])).await.unwrap();
        for key in keys(&server.url(), "e19-crash:t:*").await {
            let _: () = connection(&server.url()).await.del(key).await.unwrap();
        }
        assert_eq!(keys(&server.url(), "*").await.len(), 3, "the set, the ages and the order");
        assert!(store.by_site("a").await.unwrap().is_empty());
        assert!(store.page(None, 10).await.unwrap().is_empty());
        assert_eq!(store.purge_older_than(Duration::ZERO).await.unwrap(), 0);
        assert_eq!(keys(&server.url(), "*").await, Vec::<String>::new());
    }

    /// A renewed grant keeps its outdated age entry.
    #[tokio::test]
    #[ignore = "needs redis-server: run scripts/with-servers"]
    async fn a_purge_spares_a_renewed_grant() {
        let server = Server::start(&["--save", ""]).await;
        let store = builder("e19").connect(&server.url()).await.unwrap();
        let old = row("ada", 1, &["a"]);
        store.save(&old).await.unwrap();
        let now = UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap();
        let renewed = SealedToken::new(old.key().clone(), version(2), vec![2], now);
        store.save(&renewed.with_sites(vec!["a".to_owned()])).await.unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        for _ in 0..2 {
            assert_eq!(store.purge_older_than(day).await.unwrap(), 0);
        }
        assert_eq!(store.by_site("a").await.unwrap().len(), 1);
    }
}

/// Asserts that the store leaves nothing behind.
async fn assert_no_stale_entries(store: RedisStore) {
    for number in 1..=20 {
        let user = format!("user-{number}");
        let saved = row(&user, number, &["a", "b"]);
        store.save(&saved).await.unwrap();
        assert!(store.remove(saved.key(), saved.version()).await.unwrap());
        assert!(!store.update(&row(&user, number, &["a", "c"])).await.unwrap(), "it is gone");
        assert!(!store.remove(saved.key(), saved.version()).await.unwrap());
        // The coverage changes with and without a new version, and one update comes too late.
        store.save(&row(&user, number, &["a", "b"])).await.unwrap();
        assert!(store.update(&row(&user, number, &["b", "c"])).await.unwrap());
        store.save(&row(&user, number + 1, &["d"])).await.unwrap();
        assert!(!store.update(&row(&user, number, &["e"])).await.unwrap(), "it is replaced");
        assert!(store.remove(saved.key(), version(number + 1)).await.unwrap());
    }
}
