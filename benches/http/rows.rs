//! The compared servers: the same handler behind different middleware.
//!
//! The alternatives log in at `/in`; this crate's row goes through the whole flow.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::{Arc, RwLock};

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;
use tower_sessions_014::cookie::Key;
use tower_sessions_014::{MemoryStore, Session, SessionManagerLayer};
use tower_webflow_auth::{Endpoints, Keyring, Scope, WebflowAuthLayer};

use crate::{CLIENT_ID, CLIENT_SECRET, support};

/// Listens on a free port, prints its address, and serves until it is killed.
pub(crate) async fn serve(row: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = match row {
        "bare" => support::bare(),
        "webflow" => webflow(&origin),
        "from_fn" => from_fn(),
        "sessions" => sessions(),
        "login" => login(),
        other => panic!("unknown row {other}"),
    };
    println!("{origin}");
    axum::serve(listener, app).await.unwrap();
}

fn webflow(origin: &str) -> Router {
    let auth = WebflowAuthLayer::builder()
        .client_id(CLIENT_ID)
        .client_secret(CLIENT_SECRET)
        .redirect_uri(format!("{origin}{}", support::CALLBACK))
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
        .store(tower_webflow_auth::store::MemoryStore::new())
        .endpoints(Endpoints::at(&std::env::var("WEBFLOW_BASE_URL").unwrap()).unwrap())
        .build()
        .unwrap();
    support::protected(&auth)
}

/// A minimal hand-written middleware: a signed ID and a map.
#[derive(Clone)]
struct ByHand {
    mac: Hmac<Sha256>,
    tokens: Arc<RwLock<HashMap<String, Arc<str>>>>,
}

impl ByHand {
    fn find(&self, request: &Request) -> Option<Arc<str>> {
        let cookies = request.headers().get(COOKIE)?.to_str().ok()?;
        let value = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="))?;
        let (id, tag) = value.split_once('.')?;
        let tag: Vec<u8> = (0..tag.len() / 2)
            .map(|i| u8::from_str_radix(tag.get(2 * i..2 * i + 2)?, 16).ok())
            .collect::<Option<_>>()?;
        self.mac.clone().chain_update(id).verify_slice(&tag).ok()?;
        self.tokens.read().unwrap().get(id).cloned()
    }

    fn log_in(&self) -> Response {
        let id = "0123456789abcdef".repeat(3);
        let tag = self.mac.clone().chain_update(&id).finalize().into_bytes();
        let tag: Vec<_> = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        self.tokens.write().unwrap().insert(id.clone(), "t".repeat(64).into());
        ([(SET_COOKIE, format!("session={id}.{}; HttpOnly", tag.concat()))], "in").into_response()
    }
}

async fn by_hand(State(state): State<ByHand>, mut request: Request, next: Next) -> Response {
    if request.uri().path() == "/in" {
        return state.log_in();
    }
    let Some(token) = state.find(&request) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    request.extensions_mut().insert(token);
    next.run(request).await
}

fn from_fn() -> Router {
    let mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    let state = ByHand { mac, tokens: Arc::default() };
    let handler = |Extension(token): Extension<Arc<str>>| async move {
        drop(black_box(token));
        "ok"
    };
    Router::new()
        .route("/", get(handler))
        .fallback(|uri: Uri| async move { uri.to_string() })
        .layer(from_fn_with_state(state, by_hand))
}

fn signed_sessions() -> SessionManagerLayer<MemoryStore, tower_sessions_014::service::SignedCookie>
{
    SessionManagerLayer::new(MemoryStore::default()).with_secure(false).with_signed(Key::generate())
}

fn sessions() -> Router {
    let handler = |session: Session| async move {
        drop(black_box(session.get::<String>("token").await.unwrap().unwrap()));
        "ok"
    };
    let log_in = |session: Session| async move {
        session.insert("token", "t".repeat(64)).await.unwrap();
    };
    Router::new().route("/", get(handler)).route("/in", get(log_in)).layer(signed_sessions())
}

#[derive(Clone, Debug)]
struct User {
    id: i64,
    token: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.token.as_bytes()
    }
}

#[derive(Clone)]
struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        Ok(Some(User { id, token: "t".repeat(64) }))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        self.authenticate(*id).await
    }
}

fn login() -> Router {
    let handler = |auth: AuthSession<Users>| async move {
        drop(black_box(auth.user.unwrap()));
        "ok"
    };
    let log_in = |mut auth: AuthSession<Users>| async move {
        let user = auth.authenticate(1).await.unwrap().unwrap();
        auth.login(&user).await.unwrap();
    };
    Router::new()
        .route("/", get(handler))
        .route("/in", get(log_in))
        .layer(AuthManagerLayerBuilder::new(Users, signed_sessions()).build())
}
