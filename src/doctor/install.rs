//! Whether the login path can serve as the app's Install URL in Webflow's Marketplace.
//!
//! Does what the submission form does: a GET without cookies that has to end at Webflow's authorize
//! page, with this client and its scopes. It does so twice, since each response must have a different
//! state. The flows that begin this way belong to no browser.

use std::collections::HashMap;

use http::header::ACCEPT;
use url::Url;

use super::callback_probe::client;
use super::probe;
use super::report::Check;
use super::settings::TUNNELS;
use crate::context::Context;
use crate::grant::scope::Scopes;

const NAME: &str = "install url";

const ANOTHER: &str = "another application or an older deployment answers there";

/// How many redirects the form follows.
const MAX_HOPS: usize = 8;

/// `None` without a login path, or while the application does not answer; another line says so.
pub async fn check(context: &Context) -> Option<Check> {
    let login = context.paths.login.as_deref()?;
    let url = Url::parse(&format!("{}{login}", context.origin)).ok()?;
    let client = client(context).ok()?;
    let (first, second) =
        tokio::join!(follow(context, &client, &url), follow(context, &client, &url));
    let finding = match (first, second) {
        (Err(End::Silent), _) | (_, Err(End::Silent)) => return None,
        (Err(End::Elsewhere(finding)), _) | (_, Err(End::Elsewhere(finding))) => Err(finding),
        (Ok(first), Ok(second)) => compare(context, &first, &second),
    };
    let finding = finding.and_then(|()| address(&url));
    Some(match finding {
        Ok(()) => Check::ok(NAME, format!("{url} leads to Webflow's consent page")),
        Err((finding, remedy)) => {
            Check::warning(NAME, format!("{url} cannot be the Install URL: {finding}"), remedy)
        }
    })
}

type Finding = (String, &'static str);

enum End {
    Silent,
    Elsewhere(Finding),
}

/// The authorize link that the address leads to.
async fn follow(context: &Context, client: &reqwest::Client, url: &Url) -> Result<Url, End> {
    let authorize = context.webflow.endpoints.authorize();
    let mut url = url.clone();
    for _ in 0..MAX_HOPS {
        let request = client.get(url.clone()).header(ACCEPT, "text/html,*/*;q=0.8");
        let answer = probe::send(request, context.webflow.budget).await;
        let answer = answer.map_err(|_| End::Silent)?;
        let status = answer.status.as_u16();
        let next = answer.location.filter(|_| answer.status.is_redirection());
        let Some(next) = next.and_then(|next| url.join(&next).ok()) else {
            let remedy = if status == 401 {
                "the form has no cookies and nobody is signed in: set sign_in_at, so that a login \
                 can begin before the sign-in"
            } else {
                "let the login path through to the layer"
            };
            return Err(End::Elsewhere((format!("it is answered {status}"), remedy)));
        };
        if next.origin() == authorize.origin() && next.path() == authorize.path() {
            return Ok(next);
        }
        url = next;
    }
    let finding = format!("it leads through more than {MAX_HOPS} redirects");
    Err(End::Elsewhere((finding, "redirect to the login path at most a few times")))
}

fn compare(context: &Context, first: &Url, second: &Url) -> Result<(), Finding> {
    let (first, second): (HashMap<_, _>, HashMap<_, _>) =
        (first.query_pairs().collect(), second.query_pairs().collect());
    let (webflow, configured) = (&context.webflow, &context.scopes);
    if first.get("client_id").is_none_or(|id| *id != webflow.client_id) {
        return Err(("it names another client".to_owned(), ANOTHER));
    }
    if first.get("redirect_uri").is_none_or(|uri| *uri != webflow.redirect_uri) {
        return Err(("it names another redirect URI".to_owned(), ANOTHER));
    }
    if first.get("state").is_none_or(|state| second.get("state") == Some(state)) {
        let remedy = "keep caches and proxies from storing its answers, which are no-store";
        return Err(("two requests get the same state".to_owned(), remedy));
    }
    let scopes = first.get("scope").map(|scopes| Scopes::parse_lenient(scopes)).unwrap_or_default();
    if !(scopes.contains_all(configured) && configured.contains_all(&scopes)) {
        return Err((format!("it asks for other scopes: {scopes}"), ANOTHER));
    }
    Ok(())
}

/// What the form says about the address itself.
fn address(url: &Url) -> Result<(), Finding> {
    let host = url.host_str().unwrap_or_default();
    let finding = if url.scheme() != "https" {
        "it is plain http"
    } else if url.port().is_some() {
        "its port is not 443"
    } else if TUNNELS.iter().any(|tunnel| host.ends_with(tunnel)) {
        "its host is a tunnel's"
    } else if host.contains("webflow") {
        "its host has \"webflow\" in its name"
    } else {
        return Ok(());
    };
    Err((
        finding.to_owned(),
        "before submitting the app, give it a public host with https on port 443",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_wants_https_at_a_public_host_of_the_applications_own() {
        let finding = |url| address(&Url::parse(url).unwrap()).err().map(|(finding, _)| finding);
        assert_eq!(finding("https://app.example.com/login"), None);
        assert_eq!(finding("https://app.example.com:443/login"), None);
        for (url, words) in [
            ("http://app.example.com/login", "plain http"),
            ("https://app.example.com:8443/login", "port"),
            ("https://abc.ngrok-free.app/login", "tunnel"),
            ("https://abc.trycloudflare.com/login", "tunnel"),
            ("https://my-webflow-app.example.com/login", "webflow"),
        ] {
            assert!(finding(url).is_some_and(|finding| finding.contains(words)), "{url}");
        }
    }
}
