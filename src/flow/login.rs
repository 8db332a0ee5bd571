//! The login path: a flow that a link begins.

use http::request::Parts;

use super::allowed;
use super::authorize::{Start, begin};
use crate::context::Context;
use crate::gate::challenge::login_required;
use crate::grant::scope::{Scope, Scopes};
use crate::problem::{Answer, Problem, catalog};
use crate::wire::query::single;
use crate::wire::request_head::RequestHead;

/// The longest list of scopes that one login may ask for, in bytes: it is in the flow's cookie.
/// All that Webflow documents take some 400.
const MAX_SCOPES_LEN: usize = 1024;

pub async fn serve(
    context: &Context,
    parts: &Parts,
    head: &RequestHead<'_>,
) -> Result<Answer, Problem> {
    let query = head.query();
    let malformed = |_| catalog::malformed_login();
    let return_to = single(query, "return_to").map_err(malformed)?;
    let scope = single(query, "scope").map_err(malformed)?;
    let scopes = scopes(context, scope.as_deref()).ok_or_else(catalog::malformed_login)?;
    let return_to = context.return_to(return_to.as_deref().unwrap_or("/"));
    let who = allowed(context, context.who(parts).await?)?;
    if !head.may_navigate() {
        return Err(login_required(context, &return_to, None));
    }
    begin(context, head, Start::login(context, &scopes, return_to, &who))
}

/// The application's own scopes and those asked for; `None` when one of them is malformed or never
/// asked for by the application.
fn scopes(context: &Context, asked: Option<&str>) -> Option<Scopes> {
    let asked = asked.unwrap_or_default();
    // Checked before the list is read: the cost of a set of scopes grows with the square of their
    // number.
    if asked.len() > MAX_SCOPES_LEN {
        return None;
    }
    let asked = asked
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(|scope| Scope::new(scope).ok())
        .collect::<Option<Scopes>>()?;
    if !context.may_ask_for(&asked) {
        return None;
    }
    let scopes = context.scopes.union(&asked);
    (asked.is_empty() || scopes.to_string().len() <= MAX_SCOPES_LEN).then_some(scopes)
}
