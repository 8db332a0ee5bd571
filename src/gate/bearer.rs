//! Decides on requests that carry a panel's bearer.
//!
//! The bearer alone identifies the user: cookies are neither read nor set, and no response is a
//! redirect.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};

use super::decide::{Admitted, Decision, Lookup, Now, is_enough, live_grants};
use super::guard::Guard;
use crate::bearer::Panels;
use crate::bearer::origins::Reader;
use crate::bearer::sealed::{Bearer, PREFIX};
use crate::context::Context;
use crate::grant::token::WebflowToken;
use crate::identity::SubjectSource;
use crate::lifecycle::coverage::refresh;
use crate::problem::{Answer, Problem, catalog};
use crate::store::StoreError;
use crate::util::{log, metrics};

/// An admitted bearer.
pub struct Panel {
    bearer: Arc<Bearer>,
    pub reader: Reader,
}

impl Panel {
    /// Makes the session available to handlers.
    pub fn insert_into(self, extensions: &mut Extensions) {
        extensions.insert(self.bearer);
    }
}

/// A bearer that this layer has to verify.
pub struct Presented<'r> {
    panels: &'r Panels,
    headers: &'r HeaderMap,
    /// `None` if the request has several `Authorization` headers.
    text: Option<&'r [u8]>,
}

/// The bearer of a request. If the application has its own users, bearers without this crate's
/// prefix are left to the application.
pub fn presented<'r>(context: &'r Context, headers: &'r HeaderMap) -> Option<Presented<'r>> {
    let panels = context.panels.as_ref()?;
    let takes_all = matches!(context.subjects, SubjectSource::Session);
    let own = |value| bearer(value).filter(|text| takes_all || text.starts_with(PREFIX.as_bytes()));
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let first = own(sent.next()?);
    let text = match sent.next() {
        None => Some(first?),
        Some(second) => {
            let any =
                first.is_some() || std::iter::once(second).chain(sent).any(|it| own(it).is_some());
            any.then_some(None)?
        }
    };
    Some(Presented { panels, headers, text })
}

/// The credentials of the scheme `Bearer` (RFC 6750 section 2.1).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().trim_ascii().split_at_checked(6)?;
    let is_bearer =
        scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_bearer.then(|| rest.trim_ascii())
}

impl Presented<'_> {
    /// Admits a recently verified bearer, or returns `None` if that takes more work.
    pub fn fast_path(self, guard: &Guard) -> Option<(WebflowToken, Panel)> {
        let context = &guard.context;
        let now = context.clock.unix_millis();
        let bearer = self.panels.verified.get(self.text?, now / 1000)?;
        let slot = context.vault.cache.fresh(bearer.key.subject(), now)?;
        let token = granted(&bearer, &slot.tokens)?;
        if !is_enough(&guard.mode, token) || token.state().needs_attention(now) {
            return None;
        }
        metrics::cache(true);
        Some((token.clone(), Panel { reader: self.panels.origins.reader(self.headers), bearer }))
    }

    pub fn decide_now(self, guard: &Guard) -> Now {
        let context = &guard.context;
        let reader = self.panels.origins.reader(self.headers);
        let (binding, keyring) = (&context.session_binding, &context.keyring);
        let now = context.clock.unix_millis();
        let verify = |text| self.panels.verified.verify(text, binding, keyring, now / 1000);
        let Some(bearer) = self.text.and_then(verify) else {
            tracing::debug!(target: log::PANELS, "a bearer is invalid or has expired");
            return Now::Decided(Decision::Answer(refused(&reader)));
        };
        let slot = context.vault.cached(bearer.key.subject(), now);
        let panel = Panel { bearer, reader };
        let Some(slot) = slot else { return Now::Later(Lookup::Bearer(panel, false)) };
        match granted(&panel.bearer, &slot.tokens) {
            Some(token) => {
                refresh(context, &slot.tokens);
                Now::Decided(admit(guard, token, panel))
            }
            // Another instance may have written the grant since the cache read its entry.
            None => Now::Later(Lookup::Bearer(panel, true)),
        }
    }
}

/// Decides with the grants in the store. `anew` bypasses the cache.
pub async fn decide(guard: &Guard, panel: Panel, anew: bool) -> Decision {
    let context = &guard.context;
    let subject = panel.bearer.key.subject();
    let tokens = match live_grants(context, subject, anew).await {
        Ok(tokens) => tokens,
        Err(error) => {
            return Decision::Answer(answer(&catalog::store_failed(&error), &panel.reader));
        }
    };
    let Some(token) = granted(&panel.bearer, &tokens) else {
        tracing::debug!(target: log::PANELS, "the grant of a bearer has ended");
        return Decision::Answer(refused(&panel.reader));
    };
    admit(guard, token, panel)
}

/// The bearer's grant, while it still covers the site.
fn granted<'t>(bearer: &Bearer, tokens: &'t [WebflowToken]) -> Option<&'t WebflowToken> {
    tokens.iter().find(|token| {
        bearer.was_issued_for(token)
            && !token.is_dead()
            && token.covers_site(&bearer.session.site_id)
    })
}

/// Forwards the request, unless the layer requires more scopes than the grant has.
fn admit(guard: &Guard, token: &WebflowToken, panel: Panel) -> Decision {
    if is_enough(&guard.mode, token) {
        let token = Some(token.clone());
        return Decision::Forward(Admitted { token, panel: Some(panel), ..Admitted::default() });
    }
    let wanted = guard.wanted();
    let missing = token.scopes().missing(&wanted);
    let login_url = guard.context.absolute_login_url(Some(&wanted.union(token.scopes())));
    let problem = catalog::missing_scopes(missing.to_string()).login_url(login_url);
    Decision::Answer(answer(&problem, &panel.reader))
}

/// The 401 for an invalid or expired bearer.
pub fn refused(reader: &Reader) -> Answer {
    answer(&catalog::panel::bearer_refused(), reader)
}

/// The 401 for a bearer whose token a handler has found dead.
pub fn refused_by_handler(removed: Result<bool, StoreError>, reader: &Reader) -> Answer {
    match removed {
        Ok(_) => refused(reader),
        Err(error) => answer(&catalog::store_failed(&error), reader),
    }
}

/// Always JSON, since bearers are sent by scripts.
fn answer(problem: &Problem, reader: &Reader) -> Answer {
    let mut answer = problem.json();
    reader.add_to(answer.headers_mut());
    answer
}

/// The response to a CORS preflight for a request with a bearer.
pub fn preflight(context: &Context, headers: &HeaderMap) -> Option<Answer> {
    context.panels.as_ref()?.origins.preflight(headers, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b3_bearer_scheme_is_case_insensitive() {
        let text = |value| bearer(&HeaderValue::from_static(value)).map(<[u8]>::to_vec);
        for value in ["Bearer wfp_x", "bearer wfp_x", "BEARER  wfp_x ", "Bearer\twfp_x"] {
            assert_eq!(text(value).unwrap(), b"wfp_x", "{value}");
        }
        assert_eq!(text("Bearer").unwrap(), b"");
        for value in ["", "Basic wfp_x", "Bearerwfp_x", "wfp_x", "Beare wfp_x", "DPoP wfp_x"] {
            assert_eq!(text(value), None, "{value}");
        }
    }
}
