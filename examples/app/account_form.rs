//! The form to sign in or up.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;
use url::form_urlencoded;

use crate::account::Target;
use crate::pages::Frame;

pub(crate) struct Texts {
    title: &'static str,
    password: &'static str,
    /// The other page, and its question.
    other: (&'static str, &'static str, &'static str),
}

pub(crate) const LOGIN: Texts = Texts {
    title: "Sign in",
    password: "current-password",
    other: ("/signup", "No account yet?", "Create one"),
};

pub(crate) const SIGNUP: Texts = Texts {
    title: "Create an account",
    password: "new-password",
    other: ("/login", "Do you have an account?", "Sign in instead"),
};

/// The form, again with its problem if there is one.
pub(crate) fn form(texts: &Texts, target: &Target, email: &str, problem: Option<&str>) -> Response {
    let next =
        form_urlencoded::Serializer::new(String::new()).append_pair("next", target.path()).finish();
    let (path, question, label) = texts.other;
    let content = html! {
        h1 { (texts.title) }
        @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
        // Without an action, the form goes to the page's own address, `next` included.
        form.card method="post" {
            label { "E-mail address"
                input type="email" name="email" value=(email) autocomplete="username" required;
            }
            label { "Password"
                input type="password" name="password" autocomplete=(texts.password) required;
            }
            button { (texts.title) }
        }
        p { (question) " " a href={ (path) "?" (next) } { (label) } }
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, Frame::new(texts.title).page(&content)).into_response()
}
