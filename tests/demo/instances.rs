//! Several instances with one engine: three demo processes, and one browser at each in turn.

use std::process::Command;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, TestBrowser};

use crate::support::demo::Demo;
use crate::support::port::free_address;

/// Three instances that share an engine, a key and a redirect URI, as behind a load balancer. The
/// redirect URI names the first; the browser is sent on by hand, which is what a balancer does.
struct Cluster {
    fake: FakeWebflow,
    redirect_uri: String,
    store: String,
    instances: Vec<Demo>,
}

fn engine(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}

impl Cluster {
    async fn start(store: String, keys: &[&str; 3]) -> Self {
        let first = free_address().to_string();
        let redirect_uri = format!("http://{first}/auth/webflow/callback");
        let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).rate_limit(10_000).start();
        let fake = fake.await.unwrap();
        let mut cluster = Self { fake, redirect_uri, store, instances: Vec::new() };
        for (address, keys) in
            [first, free_address().to_string(), free_address().to_string()].iter().zip(keys)
        {
            let instance = cluster.instance(address, keys).await;
            cluster.instances.push(instance);
        }
        cluster
    }

    async fn instance(&self, address: &str, keys: &str) -> Demo {
        Demo::start_at(
            address,
            &[
                ("RUST_LOG", "info"),
                ("WEBFLOW_CLIENT_ID", self.fake.client_id()),
                ("WEBFLOW_CLIENT_SECRET", self.fake.client_secret()),
                ("WEBFLOW_REDIRECT_URI", &self.redirect_uri),
                ("WEBFLOW_SCOPES", "sites:read"),
                ("WEBFLOW_BASE_URL", self.fake.base_url()),
                ("WEBFLOW_AUTH_KEY", keys),
                ("DEMO_STORE", &self.store),
            ],
        )
        .await
    }

    fn url(&self, instance: usize, path: &str) -> String {
        self.instances[instance].url(path)
    }

    /// Starts a flow at one instance, and returns the callback to be visited at another.
    async fn callback(&self, browser: &mut TestBrowser, from: usize, to: usize) -> String {
        let challenge = browser.step(&self.url(from, "/whoami")).await.unwrap();
        let callback = self.fake.approve(challenge.location().unwrap()).unwrap();
        let query = callback.query().unwrap();
        self.url(to, &format!("/auth/webflow/callback?{query}"))
    }

    async fn status(&self, browser: &mut TestBrowser, instance: usize) -> StatusCode {
        browser.fetch(Method::GET, &self.url(instance, "/whoami")).await.unwrap().status
    }

    /// Waits up to a second until every instance responds like this.
    async fn within_a_second(&self, browser: &mut TestBrowser, expected: StatusCode) {
        for instance in 0..self.instances.len() {
            let mut status = StatusCode::IM_A_TEAPOT;
            for _ in 0..20 {
                status = self.status(browser, instance).await;
                if status == expected {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(status, expected, "instance {instance}");
        }
    }
}

async fn flow_touches_every_instance(store: String) {
    let key = Keyring::generate_base64();
    let cluster = Cluster::start(store, &[&key; 3]).await;
    let mut browser = TestBrowser::new();
    let callback = cluster.callback(&mut browser, 0, 1).await;
    let before = browser.clone();
    let back = browser.step(&callback).await.unwrap();
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    for instance in [2, 0, 1] {
        assert_eq!(cluster.status(&mut browser, instance).await, StatusCode::OK, "{instance}");
    }

    // The same callback at another instance, as if a load balancer had repeated the request.
    let mut repeated = before;
    let elsewhere = callback.replace(&cluster.instances[1].address, &cluster.instances[2].address);
    let back = repeated.step(&elsewhere).await.unwrap();
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    assert_eq!(cluster.status(&mut repeated, 0).await, StatusCode::OK);
    assert_eq!(cluster.fake.requests_to("/oauth/access_token").len(), 1);

    // A grant that one instance removes is gone for the others within a second.
    let logout = cluster.url(1, "/auth/webflow/logout?revoke=true");
    let out = browser.fetch(Method::POST, &logout).await.unwrap();
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let mut stolen = repeated;
    cluster.within_a_second(&mut stolen, StatusCode::UNAUTHORIZED).await;
}

async fn parallel_callbacks_at_two_instances_make_one_exchange(store: String) {
    let key = Keyring::generate_base64();
    let cluster = Cluster::start(store, &[&key; 3]).await;
    let mut browser = TestBrowser::new();
    let first = cluster.callback(&mut browser, 0, 1).await;
    let second = first.replace(&cluster.instances[1].address, &cluster.instances[2].address);
    let mut other = browser.clone();
    let (a, b) = tokio::join!(browser.step(&first), other.step(&second));
    assert_eq!(
        (a.unwrap().status, b.unwrap().status),
        (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER)
    );
    assert_eq!(cluster.status(&mut browser, 0).await, StatusCode::OK);
    assert_eq!(cluster.status(&mut other, 0).await, StatusCode::OK);
    assert_eq!(cluster.fake.issued_tokens(), 1);
}

async fn rolling_key_rotation_logs_nobody_out(store: String) {
    let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
    let mut cluster = Cluster::start(store, &[&old; 3]).await;
    let mut browser = TestBrowser::new();
    let callback = cluster.callback(&mut browser, 0, 0).await;
    browser.step(&callback).await.unwrap();
    // First every instance gets the new key, then the new key moves to the front.
    for keys in [format!("{old},{new}"), format!("{new},{old}")] {
        for i in 0..3 {
            cluster.instances[i].stop();
            let address = cluster.instances[i].address.clone();
            cluster.instances[i] = cluster.instance(&address, &keys).await;
            for instance in 0..3 {
                assert_eq!(cluster.status(&mut browser, instance).await, StatusCode::OK);
            }
            let mut newcomer = TestBrowser::new();
            let callback = cluster.callback(&mut newcomer, i, (i + 1) % 3).await;
            newcomer.step(&callback).await.unwrap();
            assert_eq!(cluster.status(&mut newcomer, (i + 2) % 3).await, StatusCode::OK);
        }
    }
}

async fn killed_instance_leaves_a_login_that_can_be_repeated(store: String) {
    let key = Keyring::generate_base64();
    let mut cluster = Cluster::start(store, &[&key; 3]).await;

    // An instance dies during a flow: another one takes the callback.
    let mut browser = TestBrowser::new();
    let callback = cluster.callback(&mut browser, 2, 1).await;
    cluster.instances[2].kill();
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::SEE_OTHER);
    assert_eq!(cluster.status(&mut browser, 0).await, StatusCode::OK);

    // An instance dies during the exchange: the user is told to start again, and that works.
    let mut browser = TestBrowser::new();
    let callback = cluster.callback(&mut browser, 0, 1).await;
    cluster.fake.fail_next(Endpoint::Token, Fault::Delay(Duration::from_secs(60)).after_effect());
    let asked = cluster.fake.requests_to("/oauth/access_token").len();
    let mut victim = browser.clone();
    let (answer, ()) = tokio::join!(victim.step(&callback), async {
        cluster.fake.wait_for_requests("/oauth/access_token", asked + 1).await;
        let id = cluster.instances[1].id();
        Command::new("kill").args(["-9", &id.to_string()]).status().unwrap();
    });
    assert!(answer.is_err(), "the instance is down");
    let elsewhere = callback.replace(&cluster.instances[1].address, &cluster.instances[0].address);
    let page = browser.step(&elsewhere).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "the code was used up: {}", page.text);
    let callback = cluster.callback(&mut browser, 0, 0).await;
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::SEE_OTHER);
    assert_eq!(cluster.status(&mut browser, 0).await, StatusCode::OK);
}

mod postgres {
    use super::engine;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn flow_touches_every_instance() {
        super::flow_touches_every_instance(engine("TEST_POSTGRES_URL")).await;
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn parallel_callbacks_at_two_instances_make_one_exchange() {
        super::parallel_callbacks_at_two_instances_make_one_exchange(engine("TEST_POSTGRES_URL"))
            .await;
    }

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn rolling_key_rotation_logs_nobody_out() {
        super::rolling_key_rotation_logs_nobody_out(engine("TEST_POSTGRES_URL")).await;
    }
}

mod redis {
    use super::engine;

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn flow_touches_every_instance() {
        super::flow_touches_every_instance(engine("TEST_REDIS_URL")).await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn parallel_callbacks_at_two_instances_make_one_exchange() {
        super::parallel_callbacks_at_two_instances_make_one_exchange(engine("TEST_REDIS_URL"))
            .await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn rolling_key_rotation_logs_nobody_out() {
        super::rolling_key_rotation_logs_nobody_out(engine("TEST_REDIS_URL")).await;
    }
}

mod n7 {
    use super::engine;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn killed_instance_leaves_a_login_that_can_be_repeated_with_postgres() {
        super::killed_instance_leaves_a_login_that_can_be_repeated(engine("TEST_POSTGRES_URL"))
            .await;
    }

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn killed_instance_leaves_a_login_that_can_be_repeated_with_redis() {
        super::killed_instance_leaves_a_login_that_can_be_repeated(engine("TEST_REDIS_URL")).await;
    }
}
