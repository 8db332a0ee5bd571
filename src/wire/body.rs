//! Reads a request's body of bounded length within bounded time.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

/// The time limit for a whole body.
const TIME: Duration = Duration::from_secs(10);

/// The initial capacity for a body whose length is not declared.
const USUAL_LEN: usize = 4096;

/// Why a body was not read completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    Timeout,
    /// The body ended early.
    Incomplete,
}

/// Whether every `Content-Type` is `application/json`, with any parameters, and every
/// `Content-Encoding` is `identity`.
pub fn is_plain_json(headers: &HeaderMap) -> bool {
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let is_json = |value: &HeaderValue| {
        let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    };
    headers.get_all(CONTENT_ENCODING).iter().all(is_plain)
        && headers.get_all(CONTENT_TYPE).iter().all(is_json)
}

/// The declared length of the body, or an error if it exceeds the limit.
pub fn declared_len(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, BodyError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    match declared.map(|length: u64| usize::try_from(length)) {
        None => Ok(None),
        Some(Ok(length)) if length <= limit => Ok(Some(length)),
        Some(_) => Err(BodyError::TooLarge),
    }
}

pin_project! {
    /// Reads a whole body, up to a limit and within ten seconds.
    ///
    /// A named type rather than an `async fn`, so that a future that holds it is `Send` whenever
    /// the body is.
    pub struct ReadBody<B> {
        #[pin]
        body: B,
        #[pin]
        deadline: Sleep,
        limit: usize,
        declared: Option<usize>,
        read: Vec<u8>,
    }
}

impl<B: Body> ReadBody<B> {
    pub fn new(body: B, limit: usize, declared: Option<usize>) -> Self {
        Self { body, deadline: tokio::time::sleep(TIME), limit, declared, read: Vec::new() }
    }
}

impl<B: Body> Future for ReadBody<B> {
    type Output = Result<Bytes, BodyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limit = *this.limit;
        if this.body.size_hint().lower() > limit as u64 {
            return Poll::Ready(Err(BodyError::TooLarge));
        }
        if this.deadline.poll(cx).is_ready() {
            return Poll::Ready(Err(BodyError::Timeout));
        }
        let read = this.read;
        while let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) {
            let Ok(frame) = frame else { return Poll::Ready(Err(BodyError::Incomplete)) };
            // Trailers are ignored.
            let Ok(mut data) = frame.into_data() else { continue };
            let whole = read.len().saturating_add(data.remaining());
            if whole > limit {
                return Poll::Ready(Err(BodyError::TooLarge));
            }
            if read.is_empty() && this.body.is_end_stream() {
                return Poll::Ready(Ok(data.copy_to_bytes(data.remaining())));
            }
            if whole > read.capacity() {
                // Doubles the capacity, but never beyond the limit.
                let room = this.declared.unwrap_or(USUAL_LEN);
                let room = room.max(read.capacity().saturating_mul(2));
                read.reserve_exact(room.clamp(whole, limit) - read.len());
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                read.extend_from_slice(chunk);
                let len = chunk.len();
                data.advance(len);
            }
        }
        Poll::Ready(Ok(mem::take(read).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use std::convert::Infallible;

    fn chunks(lens: &[usize]) -> impl Body<Data = Bytes, Error = Infallible> {
        let frames: Vec<_> =
            lens.iter().map(|len| Ok(Frame::data(Bytes::from(vec![b'x'; *len])))).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn h6_a_body_is_read_up_to_the_limit_and_no_further() {
        for lens in [&[][..], &[0], &[100], &[60, 40], &[1, 0, 99], &[1; 100]] {
            let read = ReadBody::new(chunks(lens), 100, None).await.unwrap();
            assert_eq!(read.len(), lens.iter().sum::<usize>(), "{lens:?}");
        }
        for lens in [&[101][..], &[60, 41], &[100, 1]] {
            let read = ReadBody::new(chunks(lens), 100, Some(10)).await;
            assert_eq!(read, Err(BodyError::TooLarge), "{lens:?}");
        }
        let whole = Full::new(Bytes::from_static(&[b'x'; 101]));
        assert_eq!(ReadBody::new(whole, 100, None).await, Err(BodyError::TooLarge));
        assert_eq!(ReadBody::new(chunks(&[]), 0, None).await, Ok(Bytes::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn h6_a_body_times_out_after_ten_seconds() {
        let endless = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        let started = tokio::time::Instant::now();
        let read = ReadBody::new(StreamBody::new(endless), 100, None).await;
        assert_eq!(read, Err(BodyError::Timeout));
        assert_eq!(started.elapsed(), TIME);
    }

    #[tokio::test]
    async fn a_truncated_body_is_refused() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from_static(b"x"))), Err("reset")]);
        let read = ReadBody::new(StreamBody::new(broken), 100, None).await;
        assert_eq!(read, Err(BodyError::Incomplete));
    }

    #[test]
    fn a_declared_length_counts_up_to_the_limit() {
        let declared = |value: &'static str| {
            let headers = [(CONTENT_LENGTH, HeaderValue::from_static(value))];
            declared_len(&HeaderMap::from_iter(headers), 100)
        };
        assert_eq!(declared("100"), Ok(Some(100)));
        assert_eq!(declared("odd"), Ok(None));
        for over in ["101", "18446744073709551615"] {
            assert_eq!(declared(over), Err(BodyError::TooLarge));
        }
        assert_eq!(declared_len(&HeaderMap::new(), 100), Ok(None));
    }
}
