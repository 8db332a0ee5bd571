//! Checks that need no request to Webflow: settings, keys and the store.
//!
//! The builder has already rejected settings that can never work.

use secrecy::ExposeSecret;
use url::Url;

use super::report::Check;
use crate::context::Context;
use crate::crypto::keyring::Keyring;
use crate::crypto::keyring::Weakness;
use crate::crypto::random;
use crate::grant::scope::{Scope, Scopes};
use crate::identity::subject::Subject;
use crate::store::with_causes;
use crate::webflow::Endpoints;

pub fn check(context: &Context) -> Vec<Check> {
    let webflow = &context.webflow;
    let mut checks = vec![
        client(&webflow.client_id, webflow.client_secret.expose_secret()),
        redirect_uri(&webflow.redirect_uri, context.cookies.is_cross_site()),
        scopes(&context.scopes),
        endpoints(&webflow.endpoints),
        keyring(&context.keyring),
    ];
    checks.extend(sites(&context.scopes));
    checks
}

const APP_SETTINGS: &str = "copy both from the app's settings at Webflow, without quotes";

fn client(id: &str, secret: &str) -> Check {
    let odd = |text: &str| text.contains(|c: char| c.is_whitespace() || "\"'<>`$".contains(c));
    let name = "client";
    if odd(id) || odd(secret) {
        let which = if odd(id) { "client_id" } else { "client_secret" };
        Check::failed(name, format!("{which} contains spaces, quotes or brackets"), APP_SETTINGS)
    } else if id == secret {
        Check::failed(name, "client_id and client_secret are the same", APP_SETTINGS)
    } else {
        Check::ok(name, format!("id {id}; only a login can verify the secret"))
    }
}

/// Tunnel hosts whose names change on every start.
pub const TUNNELS: [&str; 6] =
    ["ngrok-free.app", "ngrok-free.dev", "ngrok.app", "ngrok.io", "trycloudflare.com", "loca.lt"];

fn redirect_uri(uri: &str, cross_site: bool) -> Check {
    let name = "redirect_uri";
    let host = Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned));
    let tunnel = host.is_some_and(|host| TUNNELS.iter().any(|it| host.ends_with(it)));
    if !uri.starts_with("https:") {
        Check::warning(
            name,
            format!(
                "{uri} is plain http: works only in browsers on this machine, and cookies are not \
                 Secure"
            ),
            "use https everywhere except on a developer's machine",
        )
    } else if tunnel {
        Check::warning(
            name,
            format!("{uri} is the address of a tunnel, which may change on its next start"),
            "after a change, set it here and in the app's settings at Webflow, or reserve a name",
        )
    } else if cross_site {
        Check::warning(
            name,
            format!("{uri}, with cookies that requests from other sites carry"),
            "check Origin or Sec-Fetch-Site wherever something is changed, or do without \
             insecure_cookies_in_frames",
        )
    } else {
        Check::ok(name, uri.to_owned())
    }
}

fn scopes(scopes: &Scopes) -> Check {
    let unknown: Scopes =
        scopes.iter().filter(|scope| !Scope::DOCUMENTED.contains(scope)).cloned().collect();
    if unknown.is_empty() {
        return Check::ok("scopes", scopes.to_string());
    }
    Check::warning(
        "scopes",
        format!("{unknown}: not documented by Webflow"),
        "check the spelling in the app's settings at Webflow; new scopes are fine",
    )
}

/// What does not work without `sites:read`; nothing with it.
fn sites(scopes: &Scopes) -> Option<Check> {
    if scopes.contains(&Scope::SITES_READ) {
        return None;
    }
    Some(Check::warning(
        "sites",
        "without sites:read the sites of a whole workspace, which Webflow offers by default, are \
         not known: sites() is empty, and tokens_for_site, resolve_id_token, webhooks and panels \
         do not find such a grant",
        "add sites:read to the scopes here and in the app's settings at Webflow, or restrict the \
         app's installation to single sites there",
    ))
}

fn endpoints(endpoints: &Endpoints) -> Check {
    let origin = endpoints.authorize().origin().ascii_serialization();
    if *endpoints == Endpoints::webflow() {
        return Check::ok("endpoints", "Webflow's production endpoints");
    }
    Check::warning(
        "endpoints",
        format!("a fake Webflow at {origin}"),
        "in production, unset WEBFLOW_BASE_URL and do not call WebflowAuthBuilder::endpoints",
    )
}

fn keyring(keyring: &Keyring) -> Check {
    let name = "keyring";
    match keyring.weakness() {
        None => Check::ok(
            name,
            match keyring.keys().len() {
                1 => "one key".to_owned(),
                len => format!("{len} keys; the first encrypts"),
            },
        ),
        Some((Weakness::Generated, _)) => Check::warning(
            name,
            "this process generated the key: after every restart all users must sign in again",
            "create one with `openssl rand -base64 32` and set WEBFLOW_AUTH_KEY",
        ),
        Some((Weakness::Text, number)) => Check::warning(
            name,
            format!("key number {number} looks like text rather than random bytes"),
            "put a key from `openssl rand -base64 32` in front of it, and remove it later",
        ),
        Some((Weakness::Repetitive, number)) => Check::failed(
            name,
            format!("key number {number} repeats a few bytes and can be guessed"),
            "replace it with one made with `openssl rand -base64 32`; what it sealed is lost, and \
             users are asked for consent again",
        ),
    }
}

pub async fn store(context: &Context) -> Check {
    let name = "store";
    let read = async {
        context.vault.healthy().await?;
        // `healthy` may be a no-op, so load a subject that nobody has.
        context.vault.load(&Subject::session(&random::token_256())).await?;
        context.vault.warnings().await
    };
    match read.await {
        Err(error) => Check::failed(
            name,
            format!("cannot be read: {}", with_causes(&error)),
            "every request gets a 503 until it can: check its address, permissions and disk",
        ),
        Ok(warnings) if !warnings.is_empty() => Check::warning(
            name,
            warnings.join("; "),
            "see the permissions listed in docs/guide/persistence.md",
        ),
        Ok(_) if context.volatile => Check::warning(
            name,
            "tokens are kept in memory: they are lost on restart and not shared between instances",
            "set a store with WebflowAuthBuilder::store, for example SqliteStore",
        ),
        Ok(_) => Check::ok(name, "can be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status::{Failed, Ok as Well, Warning};

    #[test]
    fn miscopied_credentials_are_noticed_but_not_shown() {
        assert_eq!(client("abc", "def").status(), Well);
        for (id, secret) in
            [("\"abc\"", "s3cret"), ("abc", "'s3cret'"), ("abc", "s3 cret"), ("<id>", "s3cret")]
        {
            let check = client(id, secret);
            assert_eq!(check.status(), Failed, "{id} {secret}");
            assert!(!check.finding().contains("cret'") && !check.finding().contains("s3"));
        }
        assert_eq!(client("same", "same").status(), Failed);
    }

    #[test]
    fn temporary_hosts_cause_a_warning() {
        assert_eq!(redirect_uri("https://app.example.com/cb", false).status(), Well);
        for (uri, cross_site) in [
            ("http://127.0.0.1:3000/cb", false),
            ("https://1a2b.ngrok-free.app/cb", false),
            ("https://app.example.com/cb", true),
        ] {
            assert_eq!(redirect_uri(uri, cross_site).status(), Warning, "{uri}");
        }
    }

    #[test]
    fn undocumented_scopes_are_named() {
        assert_eq!(scopes(&Scopes::from([Scope::SITES_READ])).status(), Well);
        let typo = scopes(&[Scope::SITES_READ, Scope::new("site:read").unwrap()].into());
        assert_eq!(typo.status(), Warning);
        assert!(typo.finding().starts_with("site:read:"), "{}", typo.finding());
    }

    #[test]
    fn failures_without_the_sites_scope_are_named() {
        assert_eq!(sites(&Scopes::from([Scope::SITES_READ])).map(|check| check.status()), None);
        let check = sites(&Scopes::from([Scope::CMS_READ])).unwrap();
        assert_eq!(check.status(), Warning);
        assert!(check.finding().contains("tokens_for_site"), "{}", check.finding());
    }

    #[test]
    fn k4_weak_looking_keys_are_reported() {
        let random = Keyring::from_base64(&Keyring::generate_base64()).unwrap();
        assert_eq!(keyring(&random).status(), Well);
        assert_eq!(keyring(&Keyring::generate()).status(), Warning);
        let text = Keyring::from_bytes(b"correct horse battery staple, twice over").unwrap();
        assert_eq!(keyring(&text).status(), Warning);
        assert_eq!(keyring(&Keyring::from_bytes(&[7; 32]).unwrap()).status(), Failed);
    }

    #[test]
    fn production_webflow_is_ok_and_a_fake_is_warned_of() {
        assert_eq!(endpoints(&Endpoints::webflow()).status(), Well);
        assert_eq!(endpoints(&Endpoints::at("http://127.0.0.1:4000").unwrap()).status(), Warning);
    }
}
