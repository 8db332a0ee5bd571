//! The response future of the middleware.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::renew;
use crate::gate::decide::{self, Decision};
use crate::gate::guard::Guard;
use crate::gate::recover::Recovery;
use crate::grant::token::Reauthorize;
use crate::problem::{Answer, HasPage};

#[cfg(feature = "panels")]
use crate::panels::Reading;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Without panels the layer reads no body.
#[cfg(not(feature = "panels"))]
struct Reading<B>(std::convert::Infallible, std::marker::PhantomData<B>);

pin_project! {
    /// The response future of [`WebflowAuth`](super::WebflowAuth).
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, ReqBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, ReqBody> {
        /// The inner service has been called.
        Forwarding { #[pin] future: F, recovery: Option<Recovery>, slide: Option<Box<HeaderValue>> },
        /// The crate itself responds, asynchronously.
        Answering { answer: Boxed<Answer> },
        /// The crate itself responds, immediately.
        Answered { answer: Option<Answer> },
        /// The gate awaits a lookup. The ready inner service has not been called yet.
        Deciding {
            decision: Boxed<(Parts, Decision)>,
            waiting: Option<(S, ReqBody, Arc<Guard>)>,
        },
        /// The body of a panel's request is being read.
        Reading { reading: Reading<ReqBody> },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) const fn forwarding(future: S::Future, recovery: Option<Recovery>) -> Self {
        Self { state: State::Forwarding { future, recovery, slide: None } }
    }

    /// Like [`forwarding`](Self::forwarding), with a renewed session cookie for the response.
    pub(crate) fn sliding(
        future: S::Future,
        recovery: Option<Recovery>,
        slide: Option<HeaderValue>,
    ) -> Self {
        Self { state: State::Forwarding { future, recovery, slide: slide.map(Box::new) } }
    }

    pub(crate) fn answering(answer: Boxed<Answer>) -> Self {
        Self { state: State::Answering { answer } }
    }

    pub(crate) const fn answered(answer: Answer) -> Self {
        Self { state: State::Answered { answer: Some(answer) } }
    }

    #[cfg(feature = "panels")]
    pub(crate) const fn reading(reading: Reading<ReqBody>) -> Self {
        Self { state: State::Reading { reading } }
    }

    pub(crate) fn deciding(
        decision: Boxed<(Parts, Decision)>,
        service: S,
        body: ReqBody,
        guard: Arc<Guard>,
    ) -> Self {
        Self { state: State::Deciding { decision, waiting: Some((service, body, guard)) } }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: From<Bytes>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Forwarding { future, recovery, slide } => {
                    let mut response = ready!(future.poll(cx))?;
                    #[cfg(feature = "panels")]
                    if let Some(recovery) = &*recovery {
                        recovery.add_cors(response.headers_mut());
                    }
                    if recovery.as_ref().is_some_and(Recovery::wants_page)
                        && let Some(problem) = response.extensions().get::<HasPage>()
                        && let Some(page) = problem.page_for(&response)
                    {
                        return Poll::Ready(Ok(page_with_cookies(page, &response)));
                    }
                    let Some(reauthorize) = response.extensions_mut().remove::<Reauthorize>()
                    else {
                        if let Some(cookie) = slide.take() {
                            renew::set_session(&mut response, *cookie);
                        }
                        return Poll::Ready(Ok(response));
                    };
                    let recovery = recovery.take().filter(|own| own.concerns(&reauthorize));
                    let Some(recovery) = recovery else {
                        // It may concern an outer layer.
                        response.extensions_mut().insert(reauthorize);
                        return Poll::Ready(Ok(response));
                    };
                    // Keep the cookies that the handler has set, such as the application's session.
                    let set: Vec<_> =
                        response.headers().get_all(SET_COOKIE).iter().cloned().collect();
                    let answer = Box::pin(async move {
                        let mut answer = recovery.recover(reauthorize).await;
                        for cookie in set {
                            answer.headers_mut().append(SET_COOKIE, cookie);
                        }
                        answer
                    });
                    State::Answering { answer }
                }
                StateProjection::Answering { answer } => {
                    return Poll::Ready(Ok(ready!(answer.as_mut().poll(cx)).map(ResBody::from)));
                }
                StateProjection::Answered { answer } => {
                    return answer.take().map_or(Poll::Pending, |answer| {
                        Poll::Ready(Ok(answer.map(ResBody::from)))
                    });
                }
                StateProjection::Deciding { decision, waiting } => {
                    let (parts, decision) = ready!(decision.as_mut().poll(cx));
                    match (decision, waiting.take()) {
                        (Decision::Answer(answer), _) => State::Answered { answer: Some(answer) },
                        (Decision::Forward(mut admitted), Some((mut service, body, guard))) => {
                            let head = guard.context.head(&parts);
                            let recovery = Recovery::for_admitted(&guard, &admitted, &head);
                            let slide = admitted.slide.take().map(Box::new);
                            let request = decide::forward(&guard, parts, admitted, body);
                            State::Forwarding { future: service.call(request), recovery, slide }
                        }
                        // Polled after completion; the contract allows anything, so stay pending.
                        (Decision::Forward(_), None) => return Poll::Pending,
                    }
                }
                #[cfg(feature = "panels")]
                StateProjection::Reading { reading } => {
                    State::Answering { answer: ready!(reading.poll(cx)) }
                }
                #[cfg(not(feature = "panels"))]
                StateProjection::Reading { reading } => match reading.0 {},
            };
            state.set(next);
        }
    }
}

/// The page, with the cookies that the handler has set.
fn page_with_cookies<B: From<Bytes>>(page: Answer, response: &Response<B>) -> Response<B> {
    let mut page = page.map(B::from);
    for cookie in response.headers().get_all(SET_COOKIE) {
        page.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    page
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
