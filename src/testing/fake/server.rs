//! The server: connections, the record, faults, routing.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fault::{FakeEndpoint, Fault};
use super::log::RecordedRequest;
use super::reply::{Reply, redirect, reply};
use super::state::State;
use super::{api, authorize, lock, oauth};

const MAX_BODY_LEN: usize = 1024 * 1024;

/// Accepts connections until the task is aborted; they end with it.
pub(super) async fn run(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&state)))),
            // Out of file descriptors, for example: others may be closed meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok((stream, socket)) = with_socket(stream) else {
        return;
    };
    let socket = Arc::new(socket);
    let service = service_fn(|request| {
        let (state, socket) = (Arc::clone(&state), Arc::clone(&socket));
        async move { serve(request, &state, &socket).await }
    });
    // An error ends this one connection: the client went away, or a fault was planted.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

/// The stream, and a second handle of the same socket, by which it can be reset.
fn with_socket(stream: TcpStream) -> io::Result<(TcpStream, Socket)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = Socket::from(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, socket))
}

async fn serve(
    request: Request<Incoming>,
    state: &Mutex<State>,
    socket: &Socket,
) -> Result<Reply, io::Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_LEN).collect().await.map_err(io::Error::other)?;
    let record = RecordedRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
    };
    let endpoint = FakeEndpoint::of(&record.method, &record.path);
    let fault = {
        let mut state = lock(state);
        state.log.push(record.clone());
        state.faults.take(endpoint)
    };
    match fault {
        None => Ok(answer(&record, &mut lock(state))),
        Some(Fault::Delay(by)) => {
            tokio::time::sleep(by).await;
            Ok(answer(&record, &mut lock(state)))
        }
        Some(Fault::Reset) => Err(reset(socket)),
        Some(Fault::LoseAnswer) => {
            answer(&record, &mut lock(state));
            Err(reset(socket))
        }
        Some(Fault::Hang) => Ok(std::future::pending::<Result<Reply, Infallible>>()
            .await
            .unwrap_or_else(|never| match never {})),
        Some(fault) => Ok(faulty(fault)),
    }
}

/// With no time to linger, closing the socket sends a reset instead of an orderly end.
fn reset(socket: &Socket) -> io::Error {
    match socket.set_linger(Some(Duration::ZERO)) {
        Ok(()) => io::Error::from(io::ErrorKind::ConnectionReset),
        Err(error) => error,
    }
}

fn faulty(fault: Fault) -> Reply {
    match fault {
        Fault::Status(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply(status, "text/plain", body.into_bytes())
        }
        Fault::RateLimited(secs) => {
            let mut reply = reply(StatusCode::TOO_MANY_REQUESTS, "text/plain", Vec::new());
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
            reply
        }
        Fault::Body(content_type, body) => reply(StatusCode::OK, content_type, body),
        Fault::Truncated => {
            let mut reply = reply(StatusCode::OK, "application/json", b"{\"access_".to_vec());
            reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("100"));
            *reply.body_mut() = Full::new(Bytes::from_static(b"{\"access_"));
            reply
        }
        Fault::Redirect(to) => redirect(StatusCode::TEMPORARY_REDIRECT, &to),
        Fault::Delay(_) | Fault::Hang | Fault::Reset | Fault::LoseAnswer => {
            reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Vec::new())
        }
    }
}

fn answer(request: &RecordedRequest, state: &mut State) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/oauth/authorize") => authorize::show(state, &request.query),
        ("POST", "/oauth/authorize") => authorize::submit(state, request),
        ("POST", "/oauth/access_token") => oauth::exchange(state, request),
        ("POST", "/oauth/revoke_authorization") => oauth::revoke(state, request),
        _ => api::answer(state, request),
    }
}
