//! Connections, routing and fault injection.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::answer::{Answer, redirect, text};
use super::faults::{Endpoint, Fault};
use super::log::RecordedRequest;
use super::routes::{route, segments};
use super::state::{FakeState, lock, too_many_requests};

/// More than any client request needs; the log keeps the bodies.
const MAX_BODY: usize = 256 * 1024;

type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until dropped, along with its connections.
pub async fn serve(listener: TcpListener, fake: Arc<FakeState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&fake)));
                }
                // Probably out of file descriptors; some are freed as connections close.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, fake: Arc<FakeState>) {
    // Responses are small and often written in two parts; without this the second would wait for
    // the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(Notify::new());
    let service = service_fn(|request| handle(Arc::clone(&fake), Arc::clone(&reset), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let is_reset = {
        let reset = pin!(reset.notified());
        tokio::select! {
            () = reset => true,
            // Ignore clients that disconnect.
            _ = &mut connection => false,
        }
    };
    if is_reset {
        let stream = connection.into_parts().io.into_inner();
        // With zero linger, closing sends RST instead of FIN.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
}

async fn handle(
    fake: Arc<FakeState>,
    reset: Arc<Notify>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(whole(text(StatusCode::PAYLOAD_TOO_LARGE, "too large")));
    };
    let request = RecordedRequest::new(parts, body.to_bytes());
    lock(&fake.log).push(request.clone());
    fake.logged.notify_waiters();

    let fault = fault_for(&fake, &request);
    match fault {
        None => Ok(whole(route(&fake, &request))),
        Some(Fault::AfterEffect(fault)) => {
            let answer = route(&fake, &request);
            Ok(fail(&fake, &reset, &request, *fault, Some(answer)).await)
        }
        Some(fault) => Ok(fail(&fake, &reset, &request, fault, None).await),
    }
}

fn fault_for(fake: &FakeState, request: &RecordedRequest) -> Option<Fault> {
    let mut faults = lock(&fake.faults);
    faults
        .answer_to(request.method(), request.path())
        .or_else(|| faults.take(Endpoint::for_path(&segments(request))?))
}

/// Executes a fault. `answer` is set if the endpoint did its work first.
async fn fail(
    fake: &FakeState,
    reset: &Notify,
    request: &RecordedRequest,
    fault: Fault,
    answer: Option<Answer>,
) -> Response<AnswerBody> {
    match fault {
        Fault::Delay(by) => {
            tokio::time::sleep(by).await;
            whole(answer.unwrap_or_else(|| route(fake, request)))
        }
        Fault::Hang => std::future::pending().await,
        Fault::Reset => {
            reset.notify_one();
            std::future::pending().await
        }
        Fault::Status(status) => {
            let status = final_status(status);
            whole(text(status, status.to_string()))
        }
        Fault::StatusWith { status, headers, body } => {
            let mut answer = Response::new(body);
            *answer.status_mut() = final_status(status);
            *answer.headers_mut() = headers;
            whole(answer)
        }
        Fault::Body { content_type, bytes } => {
            let mut answer = Response::new(bytes);
            if let Ok(value) = HeaderValue::try_from(content_type) {
                answer.headers_mut().insert(CONTENT_TYPE, value);
            }
            whole(answer)
        }
        Fault::Truncated => {
            let body = answer.map_or_else(
                || Bytes::from_static(b"{\"access_token\": \"0123456789abcdef\"}"),
                Response::into_body,
            );
            let declared = body.len();
            let half = Stretch::Half(Some(body.slice(..declared / 2)));
            let mut answer = json_stream(half);
            let headers = answer.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(declared));
            answer
        }
        Fault::Huge(bytes) => json_stream(Stretch::Blank(bytes)),
        Fault::Redirect(to) => whole(redirect(StatusCode::TEMPORARY_REDIRECT, &to)),
        Fault::RateLimited { retry_after } => whole(too_many_requests(retry_after)),
        Fault::AfterEffect(inner) => Box::pin(fail(fake, reset, request, *inner, answer)).await,
    }
}

/// hyper would wait for another response after a 1xx.
fn final_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn whole(answer: Answer) -> Response<AnswerBody> {
    answer.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

fn json_stream(body: Stretch) -> Response<AnswerBody> {
    let mut answer = Response::new(body.boxed_unsync());
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// A body that does not end properly.
enum Stretch {
    /// Some bytes, then a failure.
    Half(Option<Bytes>),
    /// The bytes have been handed to hyper; failing now would drop them before they are written.
    Flushing,
    Failed,
    /// This many bytes of white space.
    Blank(u64),
}

impl Body for Stretch {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        const CHUNK: &[u8] = &[b' '; 16 * 1024];
        match &mut *self {
            Self::Half(bytes) => {
                let bytes = bytes.take().unwrap_or_default();
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Flushing => {
                *self = Self::Failed;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Failed => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            Self::Blank(0) => Poll::Ready(None),
            Self::Blank(left) => {
                let len = usize::try_from(*left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
                *left -= len as u64;
                let chunk = Bytes::from_static(CHUNK).slice(..len);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }
}
