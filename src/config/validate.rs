//! Validation: reports every problem of the settings together.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::builder::{LOGIN_PATH, LOGOUT_PATH};
use super::http_client::client;
use super::redirect_uri::RedirectUri;
use super::{ConfigProblem, WebflowAuthBuilder};
use crate::crypto::keyring::Keyring;
#[cfg(feature = "webhooks")]
use crate::delivery::secrets;
use crate::grant::scope::{Scope, Scopes};
use crate::identity::SubjectSource;
use crate::identity::sign_in::SignIn;
use crate::util::log;
use crate::webflow::is_id;

const A_SECOND: Duration = Duration::from_secs(1);

/// The required settings, validated.
pub struct Required {
    pub keyring: Keyring,
    pub client_id: String,
    pub client_secret: SecretString,
    pub redirect_uri: RedirectUri,
    pub http: reqwest::Client,
}

impl WebflowAuthBuilder {
    /// Reports every problem, besides those already found. Returns `None` if there is any.
    pub(super) fn check(&mut self, problems: &mut Vec<ConfigProblem>) -> Option<Required> {
        let keyring = self.keyring.take();
        if keyring.is_none() && !names(problems, "keyring") {
            problems.push(missing(
                "keyring (WEBFLOW_AUTH_KEY)",
                "create a key with `openssl rand -base64 32` and keep it secret",
            ));
        }
        self.check_scopes(problems);
        let client_id = self.client_id.take().filter(|id| !id.trim().is_empty());
        if client_id.is_none() {
            let setting = "client_id (WEBFLOW_CLIENT_ID)";
            problems.push(missing(setting, "copy it from the app's settings at Webflow"));
        }
        let client_secret =
            self.client_secret.take().filter(|secret| !secret.expose_secret().trim().is_empty());
        if client_secret.is_none() {
            let setting = "client_secret (WEBFLOW_CLIENT_SECRET)";
            problems.push(missing(setting, "copy it from the app's settings at Webflow"));
        }
        let redirect_uri = self.check_redirect_uri(problems);
        let callback = redirect_uri.as_ref().map(|uri| uri.path.as_str());
        self.check_paths(callback, problems);
        self.check_sign_in(callback, problems);
        self.check_application_id(problems);
        self.check_name(problems);
        self.check_page_style(problems);
        self.check_durations(problems);
        #[cfg(feature = "webhooks")]
        self.check_webhook_secrets(problems);
        let http = match self.http.take() {
            Some(client) => Some(client),
            None => client(&self.endpoints).map_err(|problem| problems.push(problem)).ok(),
        };
        if !problems.is_empty() {
            return None;
        }
        Some(Required {
            keyring: keyring?,
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            http: http?,
        })
    }

    fn check_scopes(&self, problems: &mut Vec<ConfigProblem>) {
        if self.scopes.is_empty() && !names(problems, "scope") {
            problems.push(missing(
                "scopes (WEBFLOW_SCOPES)",
                "set at least one of the app's scopes, for example sites:read",
            ));
        }
        let undocumented: Scopes =
            self.scopes.iter().filter(|it| !Scope::DOCUMENTED.contains(it)).cloned().collect();
        if !undocumented.is_empty() {
            tracing::warn!(
                target: log::CONFIG, scopes = undocumented.to_string(),
                "Webflow does not document these scopes: check their spelling in scopes (WEBFLOW_SCOPES)"
            );
        }
    }

    fn check_redirect_uri(&self, problems: &mut Vec<ConfigProblem>) -> Option<RedirectUri> {
        let uri = match self.redirect_uri.as_deref() {
            None | Some("") => Err(missing(
                "redirect_uri (WEBFLOW_REDIRECT_URI)",
                "use the one registered in the app's settings at Webflow",
            )),
            Some(uri) => RedirectUri::parse(uri),
        };
        let uri = uri.map_err(|problem| problems.push(problem)).ok()?;
        if self.insecure_in_frames && !uri.secure {
            problems.push(ConfigProblem::Invalid {
                setting: "insecure_cookies_in_frames",
                problem: "cannot work with plain http".to_owned(),
                remedy: "browsers accept such cookies over https only",
            });
        }
        Some(uri)
    }

    /// Only the form that every store can keep, since Webflow does not document one.
    fn check_application_id(&self, problems: &mut Vec<ConfigProblem>) {
        if self.application_id.as_deref().is_some_and(|id| !is_id(id)) {
            problems.push(ConfigProblem::Invalid {
                setting: "application_id (WEBFLOW_APP_ID)",
                problem: "is not a Webflow ID".to_owned(),
                remedy: "copy it from the app's settings at Webflow, or leave it out",
            });
        }
    }

    fn check_name(&self, problems: &mut Vec<ConfigProblem>) {
        if self.name.as_deref().is_some_and(|name| !is_app_name(name)) {
            problems.push(ConfigProblem::Invalid {
                setting: "name",
                problem: "is no name for an app".to_owned(),
                remedy: "use 1 to 32 characters of a-z, 0-9 and -",
            });
        }
    }

    fn check_page_style(&self, problems: &mut Vec<ConfigProblem>) {
        if self.page_style.contains("</") {
            problems.push(ConfigProblem::Invalid {
                setting: "page_style",
                problem: "contains `</`, which would end the style sheet".to_owned(),
                remedy: "give plain CSS, without HTML",
            });
        }
    }

    #[cfg(feature = "webhooks")]
    fn check_webhook_secrets(&self, problems: &mut Vec<ConfigProblem>) {
        problems.extend(self.webhook_secrets.iter().filter_map(|(setting, secret)| {
            let problem = secrets::problem(secret)?;
            Some(ConfigProblem::Invalid { setting, problem, remedy: secrets::REMEDY })
        }));
    }

    fn check_sign_in(&self, callback: Option<&str>, problems: &mut Vec<ConfigProblem>) {
        let Some(path) = &self.sign_in_at else { return };
        let own = [callback, self.login_path.as_deref(), self.logout_path.as_deref()];
        let problem = match SignIn::new(path) {
            None => "is not a path of this origin",
            Some(page) if own.contains(&Some(page.path())) => "is one of the layer's own paths",
            Some(_) => {
                if matches!(self.subjects, SubjectSource::Session) {
                    tracing::warn!(
                        target: log::CONFIG,
                        "sign_in_at has no effect without subject or subject_resolver: browsers \
                         sign in with Webflow alone"
                    );
                }
                return;
            }
        };
        problems.push(ConfigProblem::Invalid {
            setting: "sign_in_at",
            problem: problem.to_owned(),
            remedy: "give the path of the application's sign-in page, for example /login",
        });
    }

    fn check_paths(&self, callback: Option<&str>, problems: &mut Vec<ConfigProblem>) {
        let (login, logout) = (self.login_path.as_deref(), self.logout_path.as_deref());
        let panel = self.panel_path_setting();
        let others = [
            ("login_path", login, [logout, panel]),
            ("logout_path", logout, [panel, None]),
            ("panel_path", panel, [None, None]),
        ];
        if callback == Some("/") {
            problems.push(home_page_problem("redirect_uri (WEBFLOW_REDIRECT_URI)"));
        }
        for (setting, path, later) in others {
            let Some(path) = path else { continue };
            if !is_normal_path(path) {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: "is not a path that browsers send unchanged".to_owned(),
                    remedy: "start with one slash; use ASCII without spaces and quotes, \
                             percent-encode the rest, and remove dot segments, query and \
                             fragment",
                });
            }
            if path == "/" {
                problems.push(home_page_problem(setting));
            }
            let is_callback = Some(path) == callback;
            // Whoever has not set it need not know it.
            if is_callback && (path == LOGIN_PATH || path == LOGOUT_PATH) {
                problems.push(ConfigProblem::Invalid {
                    setting: "redirect_uri (WEBFLOW_REDIRECT_URI)",
                    problem: format!("has the path of {setting}, {path}"),
                    remedy: "register another path at Webflow, for example \
                             /auth/webflow/callback, or change the other setting",
                });
            } else if is_callback || later.contains(&Some(path)) {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: "is the same as another endpoint's".to_owned(),
                    remedy: "give each endpoint its own path",
                });
            }
        }
    }

    /// The panel path, where panels are switched on.
    #[cfg(feature = "panels")]
    fn panel_path_setting(&self) -> Option<&str> {
        (!self.panels.origins.is_empty()).then_some(self.panels.path.as_str())
    }

    #[cfg(not(feature = "panels"))]
    #[expect(clippy::unused_self)]
    const fn panel_path_setting(&self) -> Option<&str> {
        None
    }

    fn check_durations(&self, problems: &mut Vec<ConfigProblem>) {
        if self.session_lifetime > self.session_max_lifetime {
            problems.push(ConfigProblem::Invalid {
                setting: "session_lifetime",
                problem: "is longer than session_max_lifetime".to_owned(),
                remedy: "give session_max_lifetime at least the same length",
            });
        }
        for (setting, duration) in [
            #[cfg(feature = "panels")]
            ("panel_lifetime", self.panels.lifetime),
            ("flow_lifetime", self.flow_lifetime),
            ("session_lifetime", self.session_lifetime),
            ("session_max_lifetime", self.session_max_lifetime),
            ("timeout", self.timeout),
            ("store_timeout", self.store_timeout),
        ] {
            // Cookie lifetimes are whole seconds.
            let shortest = if setting.ends_with("lifetime") { A_SECOND } else { Duration::ZERO };
            if duration.is_zero() || duration < shortest {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: format!("is {duration:?}"),
                    remedy: "use lifetimes of at least one second and timeouts above zero, \
                             or keep the default",
                });
            }
        }
    }
}

/// Whether a problem with the setting is already known.
fn names(problems: &[ConfigProblem], setting: &str) -> bool {
    problems.iter().any(|problem| problem.setting().starts_with(setting))
}

/// Whether the name can be part of a cookie's name.
fn is_app_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether browsers send the path exactly as written. Request paths are compared byte for byte.
fn is_normal_path(path: &str) -> bool {
    let base = url::Url::parse("http://localhost").ok();
    let resolved = base.and_then(|base| base.join(path).ok());
    let unchanged = resolved
        .is_some_and(|url| url.path() == path && url.query().is_none() && url.fragment().is_none());
    unchanged && path.starts_with('/') && !path.starts_with("//") && !path.contains(['\'', '"'])
}

/// A login without `return_to` ends at `/`, which must be a page.
fn home_page_problem(setting: &'static str) -> ConfigProblem {
    ConfigProblem::Invalid {
        setting,
        problem: "has the path /, the application's home page".to_owned(),
        remedy: "use another path, for example one below /auth/webflow/",
    }
}

fn missing(setting: &'static str, remedy: &'static str) -> ConfigProblem {
    ConfigProblem::Missing { setting, remedy }
}
