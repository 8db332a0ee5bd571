//! Attacks on stored data and its ownership: group K of the threat model.

use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use tower_webflow_auth::store::{SealedToken, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::testing::{Page, TestBrowser};
use tower_webflow_auth::{Keyring, Subject, WebflowAuthLayer, config::WebflowAuthBuilder};

use crate::support::hostile::{
    self, CALLBACK, HOST, LOGIN, LOGOUT, TestStore, headers, raw_get, second_instance,
};
use crate::support::log::logged;
use crate::support::{self, App};

/// The application's user, in hex in a header, so that a name may contain any byte.
fn user_of(parts: &Parts) -> Option<Subject> {
    let hex = parts.headers.get("x-user")?.to_str().ok()?;
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok())
        .collect();
    Some(Subject::user(String::from_utf8(bytes?).ok()?))
}

/// A browser in which the user of that name is signed in.
struct User {
    name: String,
    browser: TestBrowser,
}

impl User {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), browser: TestBrowser::new() }
    }

    async fn send(&mut self, method: Method, url: &str, pairs: &[(&str, &str)]) -> Page {
        let mut given = headers(pairs);
        let hex = self.name.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        given.insert("x-user", hex.parse().unwrap());
        self.browser.send(method, url, &given, None).await.unwrap()
    }

    async fn visit(&mut self, app: &App, path: &str) -> Page {
        self.send(Method::GET, &app.url(path), &[("sec-fetch-mode", "navigate")]).await
    }

    async fn connect(&mut self, app: &App) {
        let challenge = self.visit(app, "/whoami").await;
        let callback = app.fake.approve(challenge.location().unwrap()).unwrap();
        let navigate = [("sec-fetch-mode", "navigate")];
        let done = self.send(Method::GET, callback.as_str(), &navigate).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    }

    /// The owner of the token that the application uses for this user.
    async fn whoami(&mut self, app: &App) -> Option<String> {
        let page = self.visit(app, "/whoami").await;
        match page.status {
            StatusCode::OK => Some(page.json()["subject"].as_str().unwrap().to_owned()),
            StatusCode::SEE_OTHER | StatusCode::UNAUTHORIZED => None,
            status => panic!("{status} for {:?}: {}", self.name, page.text),
        }
    }
}

async fn with_users(store: impl TokenStore) -> App {
    App::with(|builder| builder.subject(user_of).store(store)).await
}

fn ring(keys: &str) -> Keyring {
    Keyring::from_base64(keys).unwrap()
}

mod k1 {
    use super::*;

    #[tokio::test]
    async fn key_is_rotated_without_loss_and_dropped_without_error() {
        let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
        let store = TestStore::default();
        let with = |keys: &str| {
            let (keyring, store) = (ring(keys), store.clone());
            move |builder: WebflowAuthBuilder| builder.keyring(keyring).store(store)
        };
        let before = App::with(with(&old)).await;
        let mut browser = TestBrowser::new();
        let callback = before.callback(&mut browser, "/sites").await;
        browser.step(&callback).await.unwrap();
        let mut waiting = TestBrowser::new();
        let open_flow = before.callback(&mut waiting, "/sites").await;

        let rolled = second_instance(&before, with(&format!("{new},{old}"))).await;
        let dropped = second_instance(&before, with(&new)).await;
        let target = open_flow.strip_prefix(&before.url("")).unwrap();
        let page = browser.step(&rolled.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "the old session and row open");

        let late = waiting.step(&dropped.url(target)).await.unwrap();
        assert_eq!(late.status, StatusCode::BAD_REQUEST, "the old flow does not");
        let page = browser.step(&dropped.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "nor does the old session: a new consent");

        let done = waiting.step(&rolled.url(target)).await.unwrap();
        assert_eq!(done.location().unwrap().path(), "/sites", "where the old key is still known");
        let page = waiting.step(&dropped.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "what is written now has the new key");
    }

    #[tokio::test]
    async fn row_under_a_dropped_key_is_ignored_without_an_error() {
        let store = TestStore::default();
        let old = with_users(store.clone()).await;
        let mut ada = User::new("ada@example.com");
        ada.connect(&old).await;

        let (log, _guard) = logged();
        let new = second_instance(&old, |builder| {
            builder.keyring(Keyring::generate()).store(store.clone()).subject(user_of)
        })
        .await;
        assert_eq!(ada.whoami(&new).await, None);
        assert!(log.text().contains("does not open with any key"), "{}", log.text());
        assert!(!log.text().contains("ada@example.com"), "subjects are logged by their digest");
        assert_eq!(ada.whoami(&old).await.as_deref(), Some("user:ada@example.com"));
    }
}

fn with_sealed(row: &SealedToken, sealed: Vec<u8>) -> SealedToken {
    SealedToken::new(row.key().clone(), row.version(), sealed, row.obtained_at())
        .with_sites(row.sites().to_vec())
}

mod k2 {
    use super::*;

    #[tokio::test]
    async fn tampered_rows_never_yield_another_users_token() {
        let store = TestStore::default();
        let app = with_users(store.clone()).await;
        let (mut ada, mut eve) = (User::new("ada"), User::new("eve"));
        ada.connect(&app).await;
        eve.connect(&app).await;
        let rows = store.rows();
        let row_of =
            |name: &str| rows.iter().find(|row| row.key().subject().id() == name).unwrap().clone();
        let (adas, eves) = (row_of("ada"), row_of("eve"));
        let other_version = TokenVersion::from_i64(eves.version().as_i64() + 1).unwrap();
        let bytes = adas.sealed().to_vec();
        let flipped = |i: usize| {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1;
            bytes
        };
        let (middle, last) = (bytes.len() / 2, bytes.len() - 1);
        let forged = [
            ("another subject's bytes", with_sealed(&eves, bytes.clone())),
            (
                "another subject's row under one's own name",
                SealedToken::new(
                    eves.key().clone(),
                    adas.version(),
                    bytes.clone(),
                    adas.obtained_at(),
                ),
            ),
            (
                "one's own bytes under a later version",
                SealedToken::new(
                    eves.key().clone(),
                    other_version,
                    eves.sealed().to_vec(),
                    eves.obtained_at(),
                ),
            ),
            ("no bytes", with_sealed(&eves, Vec::new())),
            ("a truncated head", with_sealed(&eves, eves.sealed()[..10].to_vec())),
            (
                "a truncated tail",
                with_sealed(&eves, eves.sealed()[..eves.sealed().len() - 1].into()),
            ),
            ("zeros", with_sealed(&eves, vec![0; 200])),
            ("a megabyte", with_sealed(&eves, vec![1; 1 << 20])),
        ];
        for (what, row) in forged {
            store.plant([row]);
            app.clock.advance(Duration::from_secs(60));
            assert_eq!(eve.whoami(&app).await, None, "{what}");
        }
        for i in [0, 1, 5, 29, middle, last] {
            store.plant([with_sealed(&adas, flipped(i))]);
            app.clock.advance(Duration::from_secs(60));
            assert_eq!(ada.whoami(&app).await, None, "byte {i}");
        }
        store.plant([adas]);
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(
            ada.whoami(&app).await.as_deref(),
            Some("user:ada"),
            "the right row opens again"
        );
        assert_eq!(app.fake.live_tokens(), 2, "nothing was revoked on the word of a forged row");
    }

    #[tokio::test]
    async fn rows_returned_for_another_subject_are_rejected() {
        /// A store that returns all rows for every lookup.
        struct Confused(TestStore);
        impl TokenStore for Confused {
            async fn load(
                &self,
                _: &Subject,
            ) -> Result<Vec<SealedToken>, tower_webflow_auth::store::StoreError> {
                Ok(self.0.rows())
            }
            async fn save(
                &self,
                token: &SealedToken,
            ) -> Result<(), tower_webflow_auth::store::StoreError> {
                self.0.save(token).await
            }
            async fn remove(
                &self,
                key: &TokenKey,
                version: TokenVersion,
            ) -> Result<bool, tower_webflow_auth::store::StoreError> {
                self.0.remove(key, version).await
            }
        }
        let store = TestStore::default();
        let app = with_users(Confused(store.clone())).await;
        let (mut ada, mut eve) = (User::new("ada"), User::new("eve"));
        ada.connect(&app).await;
        assert_eq!(eve.whoami(&app).await, None);
        eve.send(Method::POST, &app.url(LOGOUT), &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(store.rows().len(), 1, "a logout ends nobody else's grant");
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(ada.whoami(&app).await.as_deref(), Some("user:ada"));
    }

    #[tokio::test]
    async fn unsealed_columns_are_not_trusted() {
        let store = TestStore::default();
        let app = with_users(store.clone()).await;
        let mut ada = User::new("ada");
        ada.connect(&app).await;
        let row = store.rows().remove(0);
        let sealed = row.sealed().to_vec();
        store.plant([with_sealed(&row, sealed).with_sites(vec!["somebody-elses-site".to_owned()])]);
        let found = app.auth.handle().tokens_for_site("somebody-elses-site").await.unwrap();
        assert!(found.is_empty(), "the column says so, the sealed grant does not");
    }
}

mod k3 {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn database_copy_holds_no_secret() {
        use tower_webflow_auth::store::SqliteStore;

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
        let app = App::with(|builder| builder.store(store)).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        browser.step(&callback).await.unwrap();
        let token = app.fake.latest_token().unwrap();
        let code = hostile::parameter(&callback, "code");
        let state = hostile::parameter(&callback, "state");
        let session = browser.cookies(HOST)[0].1.clone();
        let hex = token.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let base64 = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(&token)
        };
        let mut files = 0;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            files += 1;
            for (what, secret) in [
                ("token", token.as_str()),
                ("token in hex", &hex),
                ("token in base64", &base64),
                ("code", &code),
                ("state", &state),
                ("session cookie", &session),
                ("client secret", app.fake.client_secret()),
                ("key", support::KEY),
            ] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "the {what} is in the database");
            }
        }
        assert!(files >= 2, "the log of writes is looked at, too");
    }
}

/// Names that some engine, pattern or normalization may confuse.
fn look_alikes() -> Vec<String> {
    let mut names: Vec<String> = [
        "ada",
        "Ada",
        "ADA",
        "ada ",
        " ada",
        "ada\u{0}",
        "ada\u{0}b",
        "ada\n",
        "ada\t",
        "a",
        "ad",
        "adaa",
        "%",
        "a%",
        "_da",
        "a_a",
        "*",
        "a*",
        "ad?",
        "[a]da",
        "{ada}",
        "{ada",
        "ada'",
        "ada''",
        "ada' OR '1'='1",
        "ada'--",
        "\"ada\"",
        "ada;",
        "ada\\",
        "ada:",
        ":ada",
        "user:ada",
        "session:ada",
        "\u{e9}",
        "e\u{301}",
        "\u{df}",
        "ss",
        "\u{131}",
        "i",
        "I",
        "\u{130}",
        "\u{430}da",
        "\u{ff41}da",
        "ada\u{200b}",
        "ada\u{fe0f}",
        "\u{feff}ada",
        "ada/default",
        "ada\u{1f}default",
        "NULL",
        "0",
        "00",
        "0.0",
        "1",
        "01",
        "1e0",
        "true",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(1024));
    names.push("x".repeat(1023));
    names.push(format!("{}y", "x".repeat(1023)));
    names
}

async fn every_name_is_a_subject_of_its_own(store: impl TokenStore) {
    let app = with_users(store).await;
    app.fake.set_rate_limit(100_000);
    let names = look_alikes();
    let mut users: Vec<_> = names.iter().map(|name| User::new(name)).collect();
    users[0].connect(&app).await;
    for user in &mut users[1..] {
        assert_eq!(user.whoami(&app).await, None, "{:?} is not ada", user.name);
    }
    for user in &mut users[1..] {
        user.browser.drop_cookies("");
        user.connect(&app).await;
    }
    app.clock.advance(Duration::from_secs(60));
    for user in &mut users {
        let expected = format!("user:{}", user.name);
        assert_eq!(user.whoami(&app).await, Some(expected), "{:?}", user.name);
    }
    let gone = [("sec-fetch-site", "same-origin")];
    for i in (0..users.len()).step_by(2) {
        let page = users[i].send(Method::POST, &app.url(LOGOUT), &gone).await;
        assert_eq!(page.status, StatusCode::NO_CONTENT);
    }
    app.clock.advance(Duration::from_secs(60));
    for (i, user) in users.iter_mut().enumerate() {
        let there = user.whoami(&app).await.is_some();
        assert_eq!(there, i % 2 == 1, "{:?} after the others' logouts", user.name);
    }
}

mod k5_k6 {
    use super::*;

    #[tokio::test]
    async fn similar_user_names_are_distinct_in_memory() {
        every_name_is_a_subject_of_its_own(tower_webflow_auth::store::MemoryStore::new()).await;
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn similar_user_names_are_distinct_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.db");
        let store = tower_webflow_auth::store::SqliteStore::open(path).await.unwrap();
        every_name_is_a_subject_of_its_own(store).await;
    }
}

mod k5 {
    use super::*;

    #[tokio::test]
    async fn unstorable_user_name_is_nobody() {
        let store = TestStore::default();
        let app = with_users(store.clone()).await;
        for name in [String::new(), "x".repeat(1025), "\u{e9}".repeat(513)] {
            let mut user = User::new(&name);
            for path in ["/whoami", LOGIN, &format!("{CALLBACK}?code=x&state=y")] {
                let page = user.visit(&app, path).await;
                assert_eq!(
                    page.status,
                    StatusCode::UNAUTHORIZED,
                    "{path} for {} bytes",
                    name.len()
                );
                assert!(page.set_cookies().is_empty());
            }
            assert_eq!(user.visit(&app, "/").await.text, "not connected");
        }
        assert!(store.rows().is_empty());
    }
}

mod k4 {
    use super::*;

    #[tokio::test]
    async fn guessable_keys_are_rejected_from_every_source() {
        let example = "example key: make your own one, with openssl rand -base64 32";
        for key in [&[0; 32][..], &[7; 31], b"", example.as_bytes()] {
            assert!(Keyring::from_bytes(key).is_err(), "{key:?}");
            let text = {
                use base64::Engine;
                base64::engine::general_purpose::URL_SAFE.encode(key)
            };
            let good = Keyring::generate_base64();
            for keys in [text.clone(), format!("{good},{text}"), format!(" {text} , {good}")] {
                let error = Keyring::from_base64(&keys).unwrap_err().to_string();
                assert!(!error.contains(&good), "{error}");
            }
        }
        for setting in ["", ",", " ", "not base64!", "\u{1f511}"] {
            assert!(Keyring::from_base64(setting).is_err(), "{setting:?}");
        }
        let without = WebflowAuthLayer::builder()
            .client_id("id")
            .client_secret("secret")
            .redirect_uri("https://app.example.com/cb")
            .scopes([tower_webflow_auth::Scope::SITES_READ]);
        assert!(without.build().is_err(), "no key is ever made up");
    }
}

mod c5 {
    use super::*;

    #[tokio::test]
    async fn plain_http_is_rejected_for_urls_that_look_like_loopback() {
        for uri in [
            "http://app.example.com/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://localhost.evil.example/cb",
            "http://evil.example#@127.0.0.1/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://[::ffff:8.8.8.8]/cb",
            "http://0.0.0.0/cb",
            "http://2130706434.evil.example/cb",
            "http://192.168.0.1/cb",
            "http://[fe80::1]/cb",
            "javascript:alert(1)",
            "file:///cb",
            "//app.example.com/cb",
        ] {
            let built = WebflowAuthLayer::builder()
                .client_id("id")
                .client_secret("secret")
                .redirect_uri(uri)
                .scopes([tower_webflow_auth::Scope::SITES_READ])
                .keyring(Keyring::generate())
                .build();
            assert!(built.is_err(), "{uri}");
            assert!(tower_webflow_auth::Endpoints::at(uri).is_err(), "{uri}");
        }
    }
}

#[tokio::test]
async fn row_with_a_false_age_stays_with_its_subject() {
    let store = TestStore::default();
    let app = App::with(|builder| builder.store(store.clone())).await;
    let browser = app.connected().await;
    let row = store.rows().remove(0);
    for obtained_at in [SystemTime::UNIX_EPOCH, app.clock.now() + Duration::from_secs(1 << 40)] {
        let sealed = row.sealed().to_vec();
        store.plant([SealedToken::new(row.key().clone(), row.version(), sealed, obtained_at)]);
        app.clock.advance(Duration::from_secs(60));
        let cookies = hostile::cookie_line(&browser);
        let answer = raw_get(&app, "/whoami", &[&cookies]).await;
        assert_eq!(answer.status, 200, "the sealed time counts, and nothing overflows");
    }
}
