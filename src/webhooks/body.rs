//! Reading a body of bounded length within bounded time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::refusal::Refusal;

/// The time for a whole body.
const TIME: Duration = Duration::from_secs(10);

/// Room for a body whose length is not declared.
const USUAL_LEN: usize = 4096;

/// Reads the body whole, up to `limit` bytes and within ten seconds.
pub(super) async fn read<B: Body>(
    body: B,
    limit: usize,
    declared: Option<usize>,
) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    tokio::time::timeout(TIME, collect(body, limit, declared))
        .await
        .unwrap_or(Err(Refusal::Timeout))
}

async fn collect<B: Body>(
    body: B,
    limit: usize,
    declared: Option<usize>,
) -> Result<Bytes, Refusal> {
    let mut body = pin!(body);
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Refusal::Incomplete) };
        // Trailers are not signed; nothing of them is used.
        let Ok(mut data) = frame.into_data() else { continue };
        let whole = read.len().saturating_add(data.remaining());
        if whole > limit {
            return Err(Refusal::TooLarge);
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(data.remaining()));
        }
        if whole > read.capacity() {
            // Twice as much each time, but never beyond the limit.
            let room = declared.unwrap_or(USUAL_LEN).max(read.capacity().saturating_mul(2));
            read.reserve_exact(room.clamp(whole, limit) - read.len());
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            read.extend_from_slice(chunk);
            let len = chunk.len();
            data.advance(len);
        }
    }
    Ok(read.into())
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
            let read = read(chunks(lens), 100, None).await.unwrap();
            assert_eq!(read.len(), lens.iter().sum::<usize>(), "{lens:?}");
        }
        for lens in [&[101][..], &[60, 41], &[100, 1]] {
            assert_eq!(read(chunks(lens), 100, Some(10)).await, Err(Refusal::TooLarge), "{lens:?}");
        }
        let whole = Full::new(Bytes::from_static(&[b'x'; 101]));
        assert_eq!(read(whole, 100, None).await, Err(Refusal::TooLarge));
        assert_eq!(read(chunks(&[]), 0, None).await, Ok(Bytes::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn h6_a_body_that_does_not_end_within_ten_seconds_is_given_up() {
        let endless = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        let started = tokio::time::Instant::now();
        assert_eq!(read(StreamBody::new(endless), 100, None).await, Err(Refusal::Timeout));
        assert_eq!(started.elapsed(), TIME);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from_static(b"x"))), Err("reset")]);
        assert_eq!(read(StreamBody::new(broken), 100, None).await, Err(Refusal::Incomplete));
    }
}
