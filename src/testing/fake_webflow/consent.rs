//! The pages of `/oauth/authorize`.

mod scope_texts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::answer;
use super::answer::Answer;
use super::authorize::{AuthorizationRequest, Decision, Refused};
use super::state::FakeState;
use super::workspaces::{Access, Workspace};
use scope_texts::permissions;

const STYLE: &str = include_str!("consent.css");

/// Form fields with the user's decision. All others are the link's parameters.
pub const CHOICES: [&str; 3] = ["decision", "access", "site"];

const WORKSPACE: &str = "workspace:";
const CHOSEN_SITES: &str = "sites";

/// Parses the form's [`CHOICES`].
pub fn read_decision(choices: &[(String, String)]) -> Result<Decision, Refused> {
    let choice =
        |name: &str| choices.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match choice("decision") {
        Some("cancel") => return Ok(Decision::Cancel),
        Some("authorize") => {}
        _ => return Err(Refused::new("Choose Authorize or Cancel.")),
    }
    match choice("access") {
        Some(CHOSEN_SITES) => {
            let sites = choices.iter().filter(|(name, _)| name == "site");
            Ok(Decision::Authorize(Access::Sites(sites.map(|(_, id)| id.clone()).collect())))
        }
        Some(access) => access
            .strip_prefix(WORKSPACE)
            .map(|id| Decision::Authorize(Access::Workspace(id.to_owned())))
            .ok_or_else(|| Refused::new("Choose a workspace or sites.")),
        None => Err(Refused::new("Choose a workspace or sites.")),
    }
}

/// A form that was filled in incorrectly.
pub struct Rejected<'a> {
    pub reason: &'a Refused,
    pub choices: &'a [(String, String)],
}

/// The consent page. A rejected form is shown again with the reason and the user's choices, so that
/// submitting it again cannot grant more than was chosen.
pub fn page(
    fake: &FakeState,
    request: &AuthorizationRequest,
    params: &[(String, String)],
    rejected: Option<&Rejected<'_>>,
) -> Answer {
    let (app, user) = (&fake.app, &fake.user);
    let body = html! {
        div.app aria-hidden="true" { (initials(&[&app.name])) }
        h1 { "Authorize " (app.name) }
        p.soft { (app.name) " asks for access to your Webflow data." }
        @if let Some(rejected) = rejected {
            p.problem role="alert" tabindex="-1" autofocus { (rejected.reason.reason()) }
        }
        div.user {
            span.face aria-hidden="true" { (initials(&[&user.first_name, &user.last_name])) }
            p {
                "Signed in as " strong { (user.first_name) " " (user.last_name) }
                br;
                span.soft { (user.email) }
            }
        }
        h2 { "It will be able to" }
        ul.scopes {
            @for permission in permissions(&request.scopes) {
                li {
                    (glyph(permission.read_only))
                    div {
                        (permission.text) " "
                        span.names { @for scope in permission.scopes { code { (scope) } " " } }
                    }
                }
            }
        }
        form method="post" action="/oauth/authorize" {
            @for (name, value) in params {
                input type="hidden" name=(name) value=(value);
            }
            (choice(&fake.workspaces, rejected.map_or(&[], |rejected| rejected.choices)))
            p.after { "You will then be redirected to " span.address { (request.redirect_uri) } }
            div.buttons {
                button.primary type="submit" name="decision" value="authorize" { "Authorize" }
                button type="submit" name="decision" value="cancel" formnovalidate { "Cancel" }
            }
        }
    };
    let status = if rejected.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    document(status, &format!("Authorize {}", app.name), &body)
}

/// Initials as a placeholder picture, from up to two names.
fn initials(names: &[&str]) -> String {
    names.iter().filter_map(|name| name.chars().next()).flat_map(char::to_uppercase).collect()
}

/// An eye for read access, a pen for write access. The text says it too.
fn glyph(read_only: bool) -> Markup {
    html! {
        svg.glyph viewBox="0 0 24 24" aria-hidden="true" {
            @if read_only {
                path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" {}
                circle cx="12" cy="12" r="2.75" {}
            } @else {
                path d="M4 20l1-4.5L16.5 4a2 2 0 0 1 3 0l.5.5a2 2 0 0 1 0 3L8.5 19z" {}
            }
        }
    }
}

fn choice(workspaces: &[Workspace], chosen: &[(String, String)]) -> Markup {
    let value_of = |workspace: &Workspace| format!("{WORKSPACE}{}", workspace.id());
    let is_chosen = |field: &str, value: &str| {
        chosen.iter().any(|(name, chosen)| name == field && chosen == value)
    };
    let is_fresh = !chosen.iter().any(|(name, _)| name == "access");
    let with_sites = || workspaces.iter().filter(|workspace| !workspace.sites().is_empty());
    html! {
        fieldset.where {
            legend { "Where" }
            @for (i, workspace) in workspaces.iter().enumerate() {
                label.option {
                    input type="radio" name="access" value=(value_of(workspace)) required
                        checked[is_chosen("access", &value_of(workspace)) || is_fresh && i == 0];
                    span {
                        strong { "All sites of " (workspace.name()) }
                        br;
                        span.soft { (count_in_words(workspace.sites().len())) }
                    }
                }
            }
            @if with_sites().next().is_some() {
                label.option {
                    input #single type="radio" name="access" value=(CHOSEN_SITES) required
                        checked[is_chosen("access", CHOSEN_SITES)];
                    span {
                        strong { "Only the sites you choose" }
                        br;
                        span.soft { "All from one workspace" }
                    }
                }
                div.sites {
                    @for workspace in with_sites() {
                        fieldset {
                            legend { (workspace.name()) }
                            @for site in workspace.sites() {
                                label.option {
                                    input type="checkbox" name="site" value=(site.id())
                                        checked[is_chosen("site", site.id())];
                                    span { (site.display_name()) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn count_in_words(sites: usize) -> String {
    match sites {
        0 => "No sites yet, and all future sites".to_owned(),
        1 => "1 site, and all future sites".to_owned(),
        many => format!("{many} sites, and all future sites"),
    }
}

/// The 400 page for an invalid link.
pub fn refusal(refused: &Refused) -> Answer {
    let body = html! {
        h1 { "This app cannot be authorized" }
        p.problem { (refused.reason()) }
        p.soft {
            "Nothing was sent to the app. Its developers should compare the link's "
            code { "client_id" } ", " code { "redirect_uri" } " and " code { "scope" }
            " with the app's settings in Webflow. Go back to the page that you came from."
        }
    };
    document(StatusCode::BAD_REQUEST, "Bad authorize link", &body)
}

fn document(status: StatusCode, title: &str, body: &Markup) -> Answer {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – fake Webflow" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { p.notice { "Fake Webflow: nothing here is real" } }
                main { (body) }
            }
        }
    };
    let mut answer = answer::respond(status, "text/html; charset=utf-8", page.into_string());
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        answer = answer::with_header(answer, name, HeaderValue::from_static(value));
    }
    // No `form-action`: browsers also apply it to redirects after the form, so it would have to
    // list every URL that the app's callback may redirect to.
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
    );
    match HeaderValue::try_from(policy) {
        Ok(policy) => answer::with_header(answer, CONTENT_SECURITY_POLICY, policy),
        Err(_) => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::option_option, reason = "no decision, cancelled, allowed")]
    fn decision(fields: &[(&str, &str)]) -> Option<Option<Access>> {
        let choices: Vec<_> =
            fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        match read_decision(&choices).ok()? {
            Decision::Cancel => Some(None),
            Decision::Authorize(access) => Some(Some(access)),
        }
    }

    #[test]
    fn only_a_pressed_button_with_a_choice_is_a_decision() {
        let authorize = ("decision", "authorize");
        assert_eq!(decision(&[]), None);
        assert_eq!(decision(&[("access", "sites")]), None);
        assert_eq!(decision(&[authorize]), None);
        assert_eq!(decision(&[authorize, ("access", "w")]), None);
        assert_eq!(decision(&[("decision", "cancel")]), Some(None));
        assert_eq!(
            decision(&[authorize, ("access", "workspace:w")]),
            Some(Some(Access::Workspace("w".into())))
        );
    }

    #[test]
    fn ticked_sites_count_only_when_they_were_chosen() {
        let fields =
            |access| [("decision", "authorize"), ("access", access), ("site", "a"), ("site", "b")];
        assert_eq!(
            decision(&fields("sites")),
            Some(Some(Access::Sites(vec!["a".into(), "b".into()])))
        );
        assert_eq!(decision(&fields("workspace:w")), Some(Some(Access::Workspace("w".into()))));
    }
}
