//! The future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::gate::decide;
use crate::gate::decide::Verdict;
use crate::gate::guard::Guard;
use crate::gate::recover::Recovery;
use crate::grant::token::Reauthorize;
use crate::problem::Answer;
use crate::util::sharded_arc::Replica;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pin_project! {
    /// The response of [`WebflowAuth`](crate::WebflowAuth): the inner service's, or one of ours.
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
        /// The inner service is at work.
        Forwarding { #[pin] future: F, recovery: Option<Recovery> },
        /// The answer is one of ours and has to be waited for.
        Answering { answer: Boxed<Answer> },
        /// The answer is one of ours and there.
        Answered { answer: Option<Answer> },
        /// The subject's grants are being looked up; the inner service waits, ready.
        Deciding {
            verdict: Boxed<(Parts, Verdict)>,
            waiting: Option<(S, ReqBody, Replica<Guard>)>,
        },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) const fn forwarding(future: S::Future, recovery: Option<Recovery>) -> Self {
        Self { state: State::Forwarding { future, recovery } }
    }

    pub(crate) fn answering(answer: Boxed<Answer>) -> Self {
        Self { state: State::Answering { answer } }
    }

    pub(crate) const fn answered(answer: Answer) -> Self {
        Self { state: State::Answered { answer: Some(answer) } }
    }

    pub(crate) fn deciding(
        verdict: Boxed<(Parts, Verdict)>,
        service: S,
        body: ReqBody,
        guard: Replica<Guard>,
    ) -> Self {
        Self { state: State::Deciding { verdict, waiting: Some((service, body, guard)) } }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<Bytes>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Forwarding { future, recovery } => {
                    let mut response = ready!(future.poll(cx))?;
                    let wish = response.extensions_mut().remove::<Reauthorize>();
                    let recovery = recovery.take();
                    let home =
                        recovery.filter(|own| wish.as_ref().is_some_and(|it| own.concerns(it)));
                    let home = home.and_then(|recovery| Some((wish.as_ref()?.home()?, recovery)));
                    match (wish, home) {
                        (Some(wish), Some((shared, recovery))) => {
                            let (guard, admitted, head) = recovery.into_parts();
                            // What the application set meanwhile (its own session, say) holds.
                            let set = response.headers().get_all(SET_COOKIE);
                            let set: Vec<_> = set.iter().cloned().collect();
                            let answer = Box::pin(async move {
                                let by = (guard.as_deref(), admitted);
                                let mut answer = decide::recover(&shared, by, head, wish).await;
                                for cookie in set {
                                    answer.headers_mut().append(SET_COOKIE, cookie);
                                }
                                answer
                            });
                            State::Answering { answer }
                        }
                        (Some(wish), None) => {
                            // A layer further out may know what to do with it.
                            response.extensions_mut().insert(wish);
                            return Poll::Ready(Ok(response));
                        }
                        (None, _) => return Poll::Ready(Ok(response)),
                    }
                }
                StateProjection::Answering { answer } => {
                    return Poll::Ready(Ok(ready!(answer.as_mut().poll(cx)).map(ResBody::from)));
                }
                StateProjection::Answered { answer } => {
                    return answer.take().map_or(Poll::Pending, |answer| {
                        Poll::Ready(Ok(answer.map(ResBody::from)))
                    });
                }
                StateProjection::Deciding { verdict, waiting } => {
                    let (parts, verdict) = ready!(verdict.as_mut().poll(cx));
                    match (verdict, waiting.take()) {
                        (Verdict::Answer(answer), _) => State::Answered { answer: Some(answer) },
                        (Verdict::Forward(admitted), Some((mut service, body, guard))) => {
                            let recovery = Recovery::for_parts(&guard, &parts, &admitted);
                            let request = decide::forward(&guard, parts, admitted, body);
                            State::Forwarding { future: service.call(request), recovery }
                        }
                        // Polled after it was ready, which no future has to bear.
                        (Verdict::Forward(_), None) => return Poll::Pending,
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
