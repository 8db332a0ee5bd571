//! Asynchronous lookup of the application's user.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::request::Parts;

use super::subject::Subject;

/// Looks up the application's user for a request. If no lookup is needed, use the closure of
/// [`subject`](crate::config::WebflowAuthBuilder::subject) instead.
///
/// ```
/// use std::error::Error;
/// use tower_webflow_auth::{Subject, SubjectResolver, WebflowAuthLayer};
///
/// struct Sessions; // with a database behind it
///
/// impl SubjectResolver for Sessions {
///     async fn resolve(
///         &self,
///         parts: &http::request::Parts,
///     ) -> Result<Option<Subject>, Box<dyn Error + Send + Sync>> {
///         let Some(session) = parts.headers.get("x-session") else { return Ok(None) };
///         // .. a lookup that may fail with `?` ..
///         Ok(Some(Subject::user(session.to_str()?)))
///     }
/// }
///
/// let builder = WebflowAuthLayer::builder().subject_resolver(Sessions);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not look up subjects",
    label = "not a `SubjectResolver`",
    note = "a closure that awaits nothing goes to `.subject(|parts| ..)`",
    note = "to await a lookup, implement `SubjectResolver` for a type of your own"
)]
pub trait SubjectResolver: Send + Sync + 'static {
    /// Returns the user, or `None` if nobody is signed in to the application; the request is then
    /// answered with 401.
    ///
    /// # Errors
    /// Any error that prevents the lookup; the request is then answered with 503.
    fn resolve(
        &self,
        parts: &Parts,
    ) -> impl Future<Output = Result<Option<Subject>, Box<dyn Error + Send + Sync>>> + Send;
}

/// The resolver's result, or that it panicked.
pub type Resolved = Result<Option<Subject>, Unresolved>;

pub enum Unresolved {
    Failed(Box<dyn Error + Send + Sync>),
    Panicked,
}

/// A type-erased [`SubjectResolver`].
pub trait ErasedResolver: Send + Sync {
    fn resolve<'a>(
        &'a self,
        parts: &'a Parts,
    ) -> Pin<Box<dyn Future<Output = Resolved> + Send + 'a>>;
}

impl<R: SubjectResolver> ErasedResolver for R {
    fn resolve<'a>(
        &'a self,
        parts: &'a Parts,
    ) -> Pin<Box<dyn Future<Output = Resolved> + Send + 'a>> {
        Box::pin(async move {
            let future = async { SubjectResolver::resolve(self, parts).await };
            match CatchPanic(Box::pin(future)).await {
                Some(resolved) => resolved.map_err(Unresolved::Failed),
                None => Err(Unresolved::Panicked),
            }
        })
    }
}

/// A future that returns `None` if the inner future panics, so that only one request fails. The
/// inner future is then not polled again.
pub struct CatchPanic<F>(pub Pin<Box<F>>);

impl<F: Future> Future for CatchPanic<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
