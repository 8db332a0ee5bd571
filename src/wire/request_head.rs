//! One pass over a request's headers, for all that the layer wants to know of them.

use http::header::COOKIE;
use http::{HeaderMap, Method};

use super::caller::Marks;
use super::cookies::{CookiePolicy, Found};

/// What a request's headers say, taken in at once: this is done for every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glance<'h> {
    pub(crate) marks: Marks,
    pub(crate) cookies: Found<'h>,
}

impl<'h> Glance<'h> {
    pub(crate) fn at(method: &Method, headers: &'h HeaderMap, policy: CookiePolicy) -> Self {
        let mut glance = Self { marks: Marks::of(method), cookies: Found::default() };
        for (name, value) in headers {
            if *name == COOKIE {
                glance.cookies.note(value, policy);
            } else {
                glance.marks.note(name, value);
            }
        }
        glance
    }
}
