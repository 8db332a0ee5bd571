//! A plain hyper server, without axum.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Scope, WebflowToken};

async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The layer inserted the token; without one it would not have forwarded the request.
    let text = match request.extensions().get::<WebflowToken>() {
        None => "no token".to_owned(),
        Some(token) => match token.api().sites().await {
            Ok(sites) => format!("{} sites", sites.len()),
            // An axum handler would return the error; here it goes into the response's extensions.
            Err(tower_webflow_auth::api::ApiError::Unauthorized { token, .. }) => {
                let mut response = Response::new(Full::default());
                response.extensions_mut().insert(token.reauthorize());
                return Ok(response);
            }
            Err(error) => error.to_string(),
        },
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let address = support::variable(&["DEMO_ADDR"], "127.0.0.1:3000");
    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    let fake = FakeWebflow::builder().start().await?;
    let auth = fake
        .layer(format!("http://{address}/auth/webflow/callback"))
        .scopes([Scope::SITES_READ])
        .build()?;
    let service = ServiceBuilder::new().layer(auth).service(service_fn(handler));
    println!("visit http://{address}/");
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // An error only ends this connection.
            builder.serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}
