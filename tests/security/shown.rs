//! What types and errors print: O5 of the threat model, apart from the logs.

use std::fmt::Debug;
use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};
use tower::{Layer, Service};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::handle::IdTokenError;
use tower_webflow_auth::store::{
    MemoryStore, PostgresStore, RedisStore, SqliteStore, StoreError, TokenStore,
};
use tower_webflow_auth::testing::{Endpoint, Fault};
use tower_webflow_auth::{Endpoints, Keyring, Scope, Subject, WebflowAuthLayer};

use crate::support::hostile::{HOST, TestStore};
use crate::support::secrets::{Secrets, chain};
use crate::support::{App, KEY};

/// Both forms of `Debug`.
fn shown(thing: &dyn Debug) -> String {
    format!("{thing:?}\n{thing:#?}")
}

mod o5 {
    use super::*;

    #[tokio::test]
    async fn debug_hides_secrets() {
        let store = TestStore::default();
        let app = App::with(|builder| builder.store(store.clone())).await;
        let browser = app.connected().await;
        let mut secrets = Secrets::default();
        secrets.add("access token", &app.fake.latest_token().unwrap());
        secrets.add("client secret", app.fake.client_secret());
        secrets.add("key", KEY);
        for (name, value) in browser.cookies(HOST) {
            secrets.add(&name, &value);
        }
        let row = store.rows().pop().unwrap();
        secrets.add("session id", row.key().subject().id());
        let token = app.auth.handle().token(row.key().subject()).await.unwrap().unwrap();
        let inner = tower::service_fn(async |_: Request<axum::body::Body>| {
            Ok::<_, std::convert::Infallible>(
                axum::response::Response::<axum::body::Body>::default(),
            )
        });
        let mut service = app.auth.clone().layer(inner);
        let request =
            Request::get("/auth/webflow/callback?code=c&state=s").body(axum::body::Body::empty());
        let call = service.call(request.unwrap());
        let builder = WebflowAuthLayer::builder()
            .client_id("id")
            .client_secret(app.fake.client_secret().to_owned())
            .keyring(Keyring::from_base64(KEY).unwrap());
        let things: [(&str, &dyn Debug); 17] = [
            ("WebflowAuthLayer", &app.auth),
            ("optional", &app.auth.optional()),
            ("require_scopes", &app.auth.require_scopes([Scope::CMS_WRITE])),
            ("WebflowAuthHandle", &app.auth.handle()),
            ("EndpointsService", &app.auth.endpoints_service()),
            ("WebflowAuth", &service),
            ("ResponseFuture", &call),
            ("WebflowAuthBuilder", &builder),
            ("Keyring", &Keyring::from_base64(KEY).unwrap()),
            ("WebflowToken", &token),
            ("access_token", token.access_token()),
            ("WebflowApi", &token.api()),
            ("ApiRequest", &token.api().get("/v2/sites?q=1")),
            ("ApiResponse", &token.api().get("/v2/sites").send().await.unwrap()),
            ("Reauthorize", &token.reauthorize()),
            ("SealedToken", &row),
            ("Subject", row.key().subject()),
        ];
        for (name, thing) in things {
            secrets.assert_unseen(name, &shown(thing));
        }
        drop(call);
    }

    #[tokio::test]
    async fn errors_and_their_sources_hide_secrets() {
        let app = App::with(|builder| {
            builder.timeout(Duration::from_secs(3)).subject(|_| Some(Subject::user("ada")))
        })
        .await;
        app.connect(&mut tower_webflow_auth::testing::TestBrowser::new(), "/whoami").await;
        let handle = app.auth.handle();
        let token = handle.token(&Subject::user("ada")).await.unwrap().unwrap();
        let secret = app.fake.latest_token().unwrap();
        let mut secrets = Secrets::default();
        secrets.add("access token", &secret);
        secrets.add("client secret", app.fake.client_secret());

        let echo = json!({"code": secret, "message": secret, "details": {"x": secret}});
        let mut faults: Vec<Fault> =
            [401, 403, 404, 429, 500].map(|status| Fault::json(status, &echo)).into();
        faults.extend([Fault::Reset, Fault::Hang, Fault::Truncated, Fault::Huge(40 << 20)]);
        let mut kinds = std::collections::BTreeSet::new();
        for fault in faults {
            app.fake.fail_next(Endpoint::Sites, fault);
            let call = async { token.api().get("/v2/sites").no_retry().send().await?.json().await };
            let outcome: Result<Value, ApiError> = call.await;
            let error = outcome.unwrap_err();
            let kind = shown(&error).split([' ', '(', '{']).next().unwrap().to_owned();
            secrets.assert_unseen(&kind, &chain(&error));
            secrets.assert_unseen(&kind, &chain(&IdTokenError::from(error)));
            kinds.insert(kind);
        }
        assert!(kinds.len() >= 6, "{kinds:?}");
        let invalid = token.api().get("//evil.example").send().await.unwrap_err();
        secrets.assert_unseen("a malformed call", &chain(&invalid));
    }

    #[tokio::test]
    async fn database_passwords_are_hidden() {
        let mut secrets = Secrets::default();
        secrets.add("password", "pa55word-of-the-database");
        let mut errors: Vec<StoreError> = Vec::new();
        for url in [
            "postgres://u:pa55word-of-the-database@127.0.0.1:1/db",
            "postgres://u:pa55word-of-the-database@127.0.0.1:port/db",
            "postgres://u:pa55word-of-the-database@/db?sslmode=nonsense",
            "pa55word-of-the-database",
        ] {
            errors.extend(PostgresStore::builder().connect(url).await.err());
            if let Ok(store) = PostgresStore::builder().connect_lazy(url) {
                secrets.assert_unseen("PostgresStore", &shown(&store));
                errors.extend(store.healthy().await.err());
            }
        }
        for url in [
            "redis://u:pa55word-of-the-database@127.0.0.1:1/",
            "redis://u:pa55word-of-the-database@127.0.0.1:port/",
            "redis://u:pa55word-of-the-database@127.0.0.1:1/nodb",
            "pa55word-of-the-database",
        ] {
            errors.extend(RedisStore::builder().connect(url).await.err());
            if let Ok(store) = RedisStore::builder().connect_lazy(url) {
                secrets.assert_unseen("RedisStore", &shown(&store));
                errors.extend(store.healthy().await.err());
            }
        }
        assert!(errors.len() >= 8, "{errors:?}");
        for error in &errors {
            secrets.assert_unseen("a store's error", &chain(error));
        }
        let folder = tempfile::tempdir().unwrap();
        shown(&SqliteStore::open(folder.path().join("t.db")).await.unwrap());
        secrets.assert_unseen("MemoryStore", &shown(&MemoryStore::new()));
    }

    #[test]
    fn configuration_errors_hide_secrets() {
        let mut secrets = Secrets::default();
        let short = "c2hvcnQga2V5LCBidXQgc2VjcmV0";
        for secret in
            [short, "!not-base64-but-secret!", "the-client-secret", "pa55word-in-an-address"]
        {
            secrets.add("secret", secret);
        }
        let mut errors = vec![
            Keyring::from_base64(short).unwrap_err(),
            Keyring::from_base64("!not-base64-but-secret!").unwrap_err(),
            Keyring::from_bytes(b"the-client-secret").unwrap_err(),
        ];
        for base in [
            "https://u:pa55word-in-an-address@webflow.example",
            "https://:pa55word-in-an-address@webflow.example",
            "http://u:pa55word-in-an-address@webflow.example",
        ] {
            errors.push(Endpoints::at(base).unwrap_err());
        }
        for uri in [
            "https://u:pa55word-in-an-address@app.example/callback",
            "http://u:pa55word-in-an-address@app.example/callback",
        ] {
            let builder = WebflowAuthLayer::builder().client_secret("the-client-secret");
            let builder = builder.redirect_uri(uri).keyring(Keyring::generate());
            errors.push(builder.build().unwrap_err());
        }
        for error in &errors {
            secrets.assert_unseen("an error of the configuration", &chain(error));
        }
    }
}
