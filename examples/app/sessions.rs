//! The application's own sessions: who is signed in, in this browser.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sqlx::AnyPool;

use crate::error::AppError;
use crate::start::App;

const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The user of a request, among its extensions.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    /// The ID of the grant that the user has switched to; empty for the newest.
    pub(crate) chosen: String,
}

pub(crate) struct Sessions {
    db: AnyPool,
    is_https: bool,
}

impl Sessions {
    pub(crate) const fn new(db: AnyPool, is_https: bool) -> Self {
        Self { db, is_https }
    }

    /// Begins a session, and returns its cookie.
    pub(crate) async fn begin(&self, user_id: &str) -> Result<Cookie<'static>, AppError> {
        let token = random()?;
        sqlx::query("INSERT INTO sessions (token, user_id, expires) VALUES ($1, $2, $3)")
            .bind(digest(&token))
            .bind(user_id)
            .bind(unix_seconds(SystemTime::now() + LIFETIME))
            .execute(&self.db)
            .await?;
        Ok(self.cookie(token))
    }

    /// Ends the session of these cookies, and returns the cookie to remove.
    pub(crate) async fn end(&self, jar: &CookieJar) -> Result<Cookie<'static>, AppError> {
        if let Some(cookie) = jar.get(self.name()) {
            sqlx::query("DELETE FROM sessions WHERE token = $1")
                .bind(digest(cookie.value()))
                .execute(&self.db)
                .await?;
        }
        Ok(self.cookie(String::new()))
    }

    /// The session uses this grant from now on.
    pub(crate) async fn choose(&self, jar: &CookieJar, grant_id: &str) -> Result<(), AppError> {
        let token = jar.get(self.name()).map_or("", Cookie::value);
        sqlx::query("UPDATE sessions SET chosen = $1 WHERE token = $2")
            .bind(grant_id)
            .bind(digest(token))
            .execute(&self.db)
            .await?;
        Ok(())
    }

    async fn find(&self, token: &str) -> Result<Option<User>, AppError> {
        let found: Option<(String, String, String)> = sqlx::query_as(
            "SELECT users.id, users.email, sessions.chosen FROM sessions
             JOIN users ON users.id = sessions.user_id WHERE token = $1 AND expires > $2",
        )
        .bind(digest(token))
        .bind(unix_seconds(SystemTime::now()))
        .fetch_optional(&self.db)
        .await?;
        Ok(found.map(|(id, email, chosen)| User { id, email, chosen }))
    }

    /// Removes expired sessions.
    pub(crate) async fn purge(&self) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM sessions WHERE expires <= $1")
            .bind(unix_seconds(SystemTime::now()))
            .execute(&self.db)
            .await?;
        Ok(())
    }

    const fn name(&self) -> &'static str {
        // Browsers accept the prefix from https only.
        if self.is_https { "__Host-session" } else { "session" }
    }

    /// `Lax`: with `Strict`, nobody would be signed in when Webflow sends the browser back.
    fn cookie(&self, value: String) -> Cookie<'static> {
        Cookie::build((self.name(), value))
            .path("/")
            .http_only(true)
            .secure(self.is_https)
            .same_site(SameSite::Lax)
            .max_age(LIFETIME.try_into().unwrap_or_default())
            .build()
    }
}

/// Middleware: adds the [`User`] to the request, if somebody is signed in.
pub(crate) async fn identify(
    State(app): State<App>,
    jar: CookieJar,
    mut request: Request,
    next: Next,
) -> Result<Response, AppError> {
    if let Some(cookie) = jar.get(app.sessions.name())
        && let Some(user) = app.sessions.find(cookie.value()).await?
    {
        request.extensions_mut().insert(user);
    }
    Ok(next.run(request).await)
}

/// 256 bits, as text for a cookie or an ID.
pub(crate) fn random() -> Result<String, AppError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| AppError::Internal("there is no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn digest(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

pub(crate) fn unix_seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
