//! The login path: a link that starts a flow.

use http::request::Parts;

use super::authorize::{Start, begin};
use super::check_signed_in;
use crate::context::Context;
use crate::gate::challenge::login_required;
use crate::grant::scope::{Scope, Scopes};
use crate::problem::{Answer, Problem, catalog};
use crate::wire::query::single;
use crate::wire::request_head::RequestHead;

/// The longest list of scopes of one login, in bytes, since the flow's cookie contains it. All
/// scopes that Webflow documents take about 400.
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
    let who = check_signed_in(context, context.who(parts).await?)?;
    if !head.may_navigate() {
        return Err(login_required(context, &return_to, None));
    }
    begin(context, head, Start::login(context, &scopes, return_to, &who))
}

/// The configured scopes and the requested ones. `None` if a requested scope is malformed, or not
/// one that the application uses.
fn scopes(context: &Context, asked: Option<&str>) -> Option<Scopes> {
    let asked = asked.unwrap_or_default();
    // Checked before parsing, since building a set of scopes takes quadratic time.
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
