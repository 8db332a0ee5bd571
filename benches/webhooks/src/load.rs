//! A load of signed deliveries: no two are equal, so no memory of deliveries helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::SECRET;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A body of about that length, unlike any other.
fn body(len: usize) -> Vec<u8> {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let head = format!(
        r#"{{"triggerType":"collection_item_changed","payload":{{"id":"{count}","siteId":"65427cf400e02b306eaa049c","workspaceId":"4f4e46fd476ea8c507000001","fieldData":{{"name":""#
    );
    let mut body = head.into_bytes();
    body.resize(len.max(body.len() + 1) - 4, b'x');
    body.extend_from_slice(br#""}}}"#);
    body
}

/// One request as bytes, signed unless it is to be refused.
pub(crate) fn request(len: usize, signed: bool) -> Vec<u8> {
    let body = body(len);
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    if signed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        let mac = mac.chain_update(&now).chain_update(":").chain_update(&body);
        let signature = hex::encode(mac.finalize().into_bytes());
        request += &format!("x-webflow-timestamp: {now}\r\nx-webflow-signature: {signature}\r\n");
    }
    request += "\r\n";
    let mut request = request.into_bytes();
    request.extend_from_slice(&body);
    request
}

/// Reads one answer: its status, once all of it has arrived.
async fn answer(stream: &mut TcpStream) -> Option<u16> {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let len = stream.read(&mut chunk).await.ok().filter(|len| *len > 0)?;
        read.extend_from_slice(&chunk[..len]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if read.len() >= end + 4 + length {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}

/// Sends so many signed requests on so many connections; seconds in all.
pub(crate) async fn signed(address: &str, requests: usize, len: usize, connections: usize) -> f64 {
    let prepared: Vec<Vec<Vec<u8>>> = (0..connections)
        .map(|_| (0..requests / connections).map(|_| request(len, true)).collect())
        .collect();
    let started = Instant::now();
    let tasks: Vec<_> = prepared
        .into_iter()
        .map(|requests| {
            let address = address.to_owned();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                for request in requests {
                    stream.write_all(&request).await.unwrap();
                    assert_eq!(answer(&mut stream).await, Some(200));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed().as_secs_f64()
}

/// Sends so many requests that are to be refused, each on a connection of its own.
pub(crate) async fn refused(address: &str, requests: usize, len: usize) {
    let bytes = Arc::new(request(len, false));
    for _ in 0..requests {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let bytes = Arc::clone(&bytes);
        // The server may answer and close before it has read the body.
        let sending = tokio::spawn(async move {
            let _ = writer.write_all(&bytes).await;
            let _ = writer.shutdown().await;
        });
        let mut read = Vec::new();
        let _ = reader.read_to_end(&mut read).await;
        assert!(read.starts_with(b"HTTP/1.1 4") || read.is_empty(), "{}", read.len());
        sending.abort();
    }
}

/// Opens so many connections, and sends on each a signed request but for its last byte.
pub(crate) async fn all_but_the_last_byte(
    address: &str,
    connections: usize,
    len: usize,
) -> Vec<(TcpStream, u8)> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut bytes = request(len, true);
        let last = bytes.pop().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        open.push((stream, last));
    }
    open
}

/// Sends the last bytes, and returns how many are answered 200.
pub(crate) async fn finish(open: Vec<(TcpStream, u8)>) -> usize {
    let mut good = 0;
    for (mut stream, last) in open {
        let sent = stream.write_all(&[last]).await;
        if sent.is_ok() && answer(&mut stream).await == Some(200) {
            good += 1;
        }
    }
    good
}
