//! Signing up, in and out of the application itself.
//!
//! E-mail addresses are not verified, and nothing slows down the guessing of passwords but the time
//! that a hash takes: add both before you are open to the public, or use a crate or provider for
//! sign-ins.

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;

use crate::account_form::{LOGIN, SIGNUP, form};
use crate::error::AppError;
use crate::sessions::random;
use crate::start::App;

const SHORTEST: usize = 10;
const LONGEST: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Target {
    /// The page to continue with.
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: String,
}

impl Target {
    /// `next` if it is a path of this origin, else `/`: anybody can make a link to these pages.
    pub(crate) fn path(&self) -> &str {
        // Browsers read `\` as `/`, and skip tabs and line breaks.
        let is_odd = |c: char| c == '\\' || c.is_control();
        let next = self.next.as_str();
        let is_own = next.starts_with('/') && !next.starts_with("//") && !next.contains(is_odd);
        if is_own { next } else { "/" }
    }
}

pub(crate) async fn login_form(Query(target): Query<Target>) -> Response {
    form(&LOGIN, &target, "", None)
}

pub(crate) async fn signup_form(Query(target): Query<Target>) -> Response {
    form(&SIGNUP, &target, "", None)
}

pub(crate) async fn login(
    State(app): State<App>,
    Query(target): Query<Target>,
    jar: CookieJar,
    Form(Credentials { email, password }): Form<Credentials>,
) -> Result<Response, AppError> {
    let email = email.trim().to_lowercase();
    let found: Option<(String, String)> =
        sqlx::query_as("SELECT id, password FROM users WHERE email = $1")
            .bind(&email)
            .fetch_optional(&app.db)
            .await?;
    let (id, hash) = found.unzip();
    let is_correct = app.passwords.verify(password, hash).await?;
    match id.filter(|_| is_correct) {
        Some(id) => begin(&app, jar, &id, &target).await,
        None => Ok(form(&LOGIN, &target, &email, Some("The e-mail address or password is wrong."))),
    }
}

pub(crate) async fn signup(
    State(app): State<App>,
    Query(target): Query<Target>,
    jar: CookieJar,
    Form(Credentials { email, password }): Form<Credentials>,
) -> Result<Response, AppError> {
    let email = email.trim().to_lowercase();
    if !email.contains('@') || email.len() > LONGEST {
        return Ok(form(&SIGNUP, &target, &email, Some("This is not an e-mail address.")));
    }
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        let problem = "The password needs at least 10 characters, and at most 200.";
        return Ok(form(&SIGNUP, &target, &email, Some(problem)));
    }
    let id = random()?;
    let created = sqlx::query(
        "INSERT INTO users (id, email, password) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING",
    )
    .bind(&id)
    .bind(&email)
    .bind(app.passwords.hash(password).await?)
    .execute(&app.db)
    .await?;
    if created.rows_affected() == 0 {
        let problem = "There is an account with this e-mail address. Sign in instead.";
        return Ok(form(&SIGNUP, &target, &email, Some(problem)));
    }
    begin(&app, jar, &id, &target).await
}

/// Ends the session. The grant stays with the user, so signing in again does not involve Webflow.
pub(crate) async fn signout(State(app): State<App>, jar: CookieJar) -> Result<Response, AppError> {
    let cookie = app.sessions.end(&jar).await?;
    Ok((jar.remove(cookie), Redirect::to("/")).into_response())
}

async fn begin(
    app: &App,
    jar: CookieJar,
    user_id: &str,
    target: &Target,
) -> Result<Response, AppError> {
    let cookie = app.sessions.begin(user_id).await?;
    Ok((jar.add(cookie), Redirect::to(target.path())).into_response())
}
