//! What is kept of a request, so that its user can be sent to Webflow after all when the handler
//! finds the token dead.

use std::sync::Arc;

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use crate::admission::Admitted;
use crate::caller::{self, Caller};
use crate::layer::Guard;
use crate::shared::original_uri;

/// The head of a request, as far as a challenge may need it. Made for every request that has a
/// token, and used for nearly none: what can be told by less than a copy is not copied.
pub(crate) struct Recovery {
    pub(crate) guard: Arc<Guard>,
    method: Method,
    uri: Uri,
    kept: Kept,
}

enum Kept {
    /// That a browser navigates, and its one header with cookies: among them are its flows.
    Navigation(Option<HeaderValue>),
    /// That it is a script.
    Script,
    /// Everything, where the answer depends on more.
    All(Box<HeaderMap>),
}

impl Recovery {
    pub(crate) fn of(guard: &Arc<Guard>, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let mut cookies = headers.get_all(COOKIE).iter();
        let cookie = cookies.next();
        let kept = if cookies.next().is_some() || caller::is_htmx(headers) {
            Kept::All(Box::new(headers.clone()))
        } else if Caller::of(method, headers) == Caller::Navigation {
            Kept::Navigation(cookie.cloned())
        } else {
            Kept::Script
        };
        Self { guard: Arc::clone(guard), method: method.clone(), uri: uri.clone(), kept }
    }

    /// `None` when no token goes along: nothing can be found dead then.
    pub(crate) fn for_parts(
        guard: &Arc<Guard>,
        parts: &Parts,
        admitted: &Admitted,
    ) -> Option<Self> {
        admitted
            .token
            .as_ref()
            .map(|_| Self::of(guard, &parts.method, original_uri(parts), &parts.headers))
    }

    /// The head of a request that is answered as the one that was kept would be.
    pub(crate) fn into_parts(self) -> (Arc<Guard>, Parts) {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.method;
        parts.uri = self.uri;
        match self.kept {
            Kept::All(headers) => parts.headers = *headers,
            Kept::Script => {}
            Kept::Navigation(cookie) => {
                parts.headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
                parts.headers.insert("accept", HeaderValue::from_static("text/html"));
                if let Some(cookie) = cookie {
                    parts.headers.insert(COOKIE, cookie);
                }
            }
        }
        (self.guard, parts)
    }
}
