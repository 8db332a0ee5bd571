//! The application's user, where finding out takes time.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::request::Parts;

use super::subject::Subject;

/// Finds the application's user of a request, where that takes a look-up; see
/// [`subject`](crate::WebflowAuthBuilder::subject) for the closure that does without.
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
///         // .. a look-up that may fail with `?` ..
///         Ok(Some(Subject::user(session.to_str()?)))
///     }
/// }
///
/// let builder = WebflowAuthLayer::builder().subject_resolver(Sessions);
/// ```
pub trait SubjectResolver: Send + Sync + 'static {
    /// The user; `None` when nobody is signed in to the application, which is answered 401.
    ///
    /// # Errors
    /// Whatever keeps it from being found out; the answer is then 503.
    fn resolve(
        &self,
        parts: &Parts,
    ) -> impl Future<Output = Result<Option<Subject>, Box<dyn Error + Send + Sync>>> + Send;
}

/// What a resolver says, or that it panicked.
pub type Resolved = Result<Option<Subject>, Unresolved>;

pub enum Unresolved {
    Failed(Box<dyn Error + Send + Sync>),
    Panicked,
}

/// [`SubjectResolver`] behind a pointer.
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

/// A future whose panic is `None`: one request fails, the service goes on. It is not polled again
/// after that.
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
