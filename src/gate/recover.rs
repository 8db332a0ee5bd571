//! What is kept of a request, so that its user can be sent to Webflow after all when the handler
//! finds the token dead.

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::decide::Admitted;
use crate::context::original_uri;
use crate::gate::guard::Guard;
use crate::grant::token::Reauthorize;
use crate::grant::token::WebflowToken;
use crate::store::TokenVersion;
use crate::util::sharded_arc::Replica;
use crate::wire::caller::Caller;
use crate::wire::request_head::Glance;

const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");

/// The head of a request, as far as a challenge may need it. Made for every request that has a
/// token, and used for nearly none: what can be told by less than a copy is not copied.
pub(crate) struct Recovery {
    /// The mark of the request's subject, within its layer.
    whose: u64,
    /// The version of the token with which the request was let in.
    admitted: TokenVersion,
    /// The guard, where it demands scopes of its own. Else the way back is by the token: a guard is
    /// shared by all requests, and counting the references to it makes threads wait for each other.
    guard: Option<Replica<Guard>>,
    method: Method,
    path: Option<PathAndQuery>,
    caller: Caller,
    page: bool,
    grpc: bool,
    /// The cookies of flows that are open in this browser, and the page that HTMX is on.
    kept: Option<Box<HeaderMap>>,
}

impl Recovery {
    pub(crate) fn of(
        guard: &Replica<Guard>,
        token: &WebflowToken,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        glance: Glance<'_>,
    ) -> Self {
        let kept = (glance.cookies.flows || glance.marks.htmx).then(|| Box::new(keep(headers)));
        Self {
            whose: token.grant().whose,
            admitted: token.grant().version,
            guard: guard.scopes().map(|_| Replica::clone(guard)),
            method: method.clone(),
            path: uri.path_and_query().cloned(),
            caller: glance.marks.caller(headers),
            page: glance.marks.page(headers),
            grpc: glance.marks.grpc,
            kept,
        }
    }

    /// `None` when no token goes along: nothing can be found dead then.
    pub(crate) fn for_parts(
        guard: &Replica<Guard>,
        parts: &Parts,
        admitted: &Admitted,
    ) -> Option<Self> {
        let token = admitted.token.as_ref()?;
        let (method, headers) = (&parts.method, &parts.headers);
        let glance = Glance::at(method, headers, guard.shared.cookies);
        Some(Self::of(guard, token, (method, original_uri(parts), headers), glance))
    }

    /// Whether the wish is about a token of this layer and of the request's own subject. One of
    /// another layer, or of somebody whom the handler worked for, says nothing about who asks.
    pub(crate) fn concerns(&self, wish: &Reauthorize) -> bool {
        wish.0.grant().whose == self.whose
    }

    /// The head of a request that is answered as the one that was kept would be.
    pub(crate) fn into_parts(self) -> (Option<Replica<Guard>>, TokenVersion, Parts) {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.method;
        parts.uri = self.path.map(Uri::from).unwrap_or_default();
        parts.headers = self.kept.map(|kept| *kept).unwrap_or_default();
        let mut mark = |name: HeaderName, value| {
            parts.headers.insert(name, HeaderValue::from_static(value));
        };
        if self.page {
            mark(HeaderName::from_static("sec-fetch-mode"), "navigate");
            mark(ACCEPT, "text/html");
        }
        if self.grpc {
            mark(CONTENT_TYPE, "application/grpc");
        }
        match self.caller {
            Caller::Navigation => {}
            Caller::Prefetch => mark(HeaderName::from_static("sec-purpose"), "prefetch"),
            Caller::Script => mark(HeaderName::from_static("x-requested-with"), "script"),
        }
        (self.guard, self.admitted, parts)
    }
}

fn keep(headers: &HeaderMap) -> HeaderMap {
    [COOKIE, HX_REQUEST, HX_CURRENT_URL]
        .iter()
        .flat_map(|name| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())))
        .collect()
}
