//! Whose request it is: a browser session, or a user of the application.

pub(crate) mod resolver;
pub(crate) mod session_cookie;
pub(crate) mod subject;
