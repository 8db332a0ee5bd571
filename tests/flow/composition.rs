//! The ways in which applications compose layers, each tested with a complete flow.

use std::convert::Infallible;
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{any_service, get, post};
use axum::{BoxError, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Scope, WebflowAuthLayer, WebflowGrants, WebflowToken};

use crate::support::App;
use crate::support::hostile::eventually;
use crate::support::log::logged;
use crate::tonic_example;

async fn scopes(token: WebflowToken) -> String {
    token.scopes().to_string()
}

const SCOPES: &str = "sites:read cms:read";

/// Connects by visiting `path` in this application. The flow must return to it.
async fn works(path: &str, router: impl FnOnce(&WebflowAuthLayer) -> Router) -> (App, TestBrowser) {
    let app = App::with_router(|builder| builder, router).await;
    let mut browser = TestBrowser::new();
    let page = app.connect(&mut browser, path).await;
    assert_eq!((page.path(), page.status), (path, StatusCode::OK), "{}", page.text);
    assert_eq!(page.text, SCOPES);
    (app, browser)
}

#[tokio::test]
async fn router_layer_sees_the_callback_without_a_route() {
    works("/x", |auth| Router::new().route("/x", get(scopes)).layer(auth.clone())).await;
}

#[tokio::test]
async fn route_layer_needs_the_endpoints_mounted() {
    works("/x", |auth| {
        Router::new()
            .route("/x", get(scopes))
            .route_layer(auth.clone())
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
}

#[tokio::test]
async fn callback_that_reaches_no_layer_is_a_404() {
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().route("/x", get(scopes)).route_layer(auth.clone()),
    )
    .await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&app.url("/x")).await.unwrap();
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!((page.path(), page.status), ("/auth/webflow/callback", StatusCode::NOT_FOUND));
    assert_eq!(app.fake.issued_tokens(), 0, "no code was used");
}

#[tokio::test]
async fn p6_first_flow_logs_that_the_callback_reaches_no_layer() {
    let (log, _capture) = logged();
    let warned = || log.text().matches("/auth/webflow/callback reaches no layer").count();
    let app = App::start().await;
    app.connected().await;
    assert_eq!(warned(), 0, "{}", log.text());
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().route("/x", get(scopes)).route_layer(auth.clone()),
    )
    .await;
    let visit = async || TestBrowser::new().step(&app.url("/x")).await.unwrap().status;
    assert_eq!(visit().await, StatusCode::SEE_OTHER);
    eventually("a warning", || warned() == 1).await;
    assert_eq!(visit().await, StatusCode::SEE_OTHER);
    assert!(app.auth.shutdown().await);
    assert_eq!(warned(), 1, "only the first flow checks");
}

#[tokio::test]
async fn single_route_layer_needs_the_endpoints_mounted() {
    works("/x", |auth| {
        Router::new()
            .route("/x", get(scopes).layer(auth.clone()))
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
}

#[tokio::test]
async fn merged_routers_one_protected_and_one_not() {
    let (app, _) = works("/x", |auth| {
        let protected = Router::new().route("/x", get(scopes)).route_layer(auth.clone());
        let public = Router::new().route("/public", get(|| async { "public" }));
        Router::new()
            .merge(protected)
            .merge(public)
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
    assert_eq!(TestBrowser::new().visit(&app.url("/public")).await.unwrap().text, "public");
}

#[tokio::test]
async fn nested_with_the_layer_outside() {
    works("/app/x", |auth| {
        Router::new().nest("/app", Router::new().route("/x", get(scopes))).layer(auth.clone())
    })
    .await;
}

#[tokio::test]
async fn nested_twice_with_the_layer_inside() {
    works("/a/b/x", |auth| {
        let inner = Router::new().route("/x", get(scopes)).layer(auth.clone());
        Router::new()
            .nest("/a", Router::new().nest("/b", inner))
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
}

#[tokio::test]
async fn nested_with_the_callback_below_the_prefix() {
    let app = App::with_router(
        |builder| builder,
        |auth| {
            let inner = Router::new().route("/x", get(scopes)).fallback(|| async { "inner" });
            Router::new().nest("/auth/webflow", inner.layer(auth.clone()))
        },
    )
    .await;
    let page = app.connect(&mut TestBrowser::new(), "/auth/webflow/x").await;
    assert_eq!((page.path(), page.text.as_str()), ("/auth/webflow/x", SCOPES));
}

#[tokio::test]
async fn nested_as_a_service() {
    works("/app/x", |auth| {
        let inner = Router::new().route("/x", get(scopes)).layer(auth.clone());
        Router::new()
            .nest_service("/app", inner)
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
}

#[tokio::test]
async fn endpoints_nested_below_their_prefix() {
    works("/x", |auth| {
        Router::new()
            .route("/x", get(scopes))
            .route_layer(auth.clone())
            .nest_service("/auth/webflow", auth.endpoints_service())
    })
    .await;
}

#[tokio::test]
async fn as_a_fallback() {
    works("/anything", |auth| Router::new().fallback(scopes).layer(auth.clone())).await;
}

#[tokio::test]
async fn as_a_fallback_service() {
    works("/anything", |auth| {
        let inner = Router::new().fallback(scopes).layer(auth.clone());
        Router::new().fallback_service(inner)
    })
    .await;
}

#[tokio::test]
async fn around_a_method_router_and_a_service_without_handlers() {
    works("/x", |auth| {
        let service = tower::service_fn(|request: Request| async move {
            let token = request.extensions().get::<WebflowToken>().unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(token.scopes().to_string()))
        });
        Router::new().route("/x", any_service(service)).layer(auth.clone())
    })
    .await;
}

#[tokio::test]
async fn optional_outside_and_scopes_inside() {
    let (app, mut browser) = works("/cms", |auth| {
        Router::new()
            .route("/cms", get(scopes).layer(auth.require_scopes([Scope::CMS_READ])))
            .route(
                "/",
                get(|token: Option<WebflowToken>| async move { token.is_some().to_string() }),
            )
            .layer(auth.optional())
    })
    .await;
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "true");
    assert_eq!(TestBrowser::new().visit(&app.url("/")).await.unwrap().text, "false");
}

#[tokio::test]
async fn among_state_extensions_and_custom_middleware() {
    async fn middleware(request: Request, next: Next) -> Response {
        let seen = request.extensions().get::<WebflowToken>().is_some();
        let mut response = next.run(request).await;
        response.headers_mut().insert("x-token", seen.to_string().parse().unwrap());
        response
    }
    let (app, mut browser) = works("/x", |auth| {
        Router::new()
            .route(
                "/x",
                get(|State(()): State<()>, _: Extension<u8>, token: WebflowToken| scopes(token)),
            )
            .layer(from_fn(middleware))
            .layer(auth.clone())
            .layer(Extension(1_u8))
            .with_state(())
    })
    .await;
    let page = browser.visit(&app.url("/x")).await.unwrap();
    assert_eq!(page.headers["x-token"], "true", "middleware inside the layer sees the token");
}

#[tokio::test]
async fn with_tower_https_layers_around_it() {
    let (app, mut browser) = works("/x", |auth| {
        Router::new().route("/x", get(scopes)).layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                .layer(TraceLayer::new_for_http())
                .layer(PropagateRequestIdLayer::x_request_id())
                .layer(CatchPanicLayer::new())
                .layer(CompressionLayer::new())
                .layer(TimeoutLayer::with_status_code(
                    StatusCode::GATEWAY_TIMEOUT,
                    Duration::from_secs(30),
                ))
                .layer(auth.clone()),
        )
    })
    .await;
    let page = browser.visit(&app.url("/x")).await.unwrap();
    assert!(page.headers.contains_key("x-request-id"));
    let challenge = TestBrowser::new().step(&app.url("/x")).await.unwrap();
    assert!(challenge.headers.contains_key("x-request-id"), "challenges pass through them too");
}

#[tokio::test]
async fn with_an_inner_layer_that_changes_the_body() {
    works("/x", |auth| {
        Router::new().route("/x", get(scopes)).layer(
            ServiceBuilder::new()
                .layer(auth.clone())
                // The layer responds with the inner body's type, which must be `From<Bytes>`.
                .layer(MapResponseBodyLayer::new(axum::body::Body::new))
                .layer(CompressionLayer::new()),
        )
    })
    .await;
}

#[tokio::test]
async fn with_towers_limits_around_it() {
    works("/x", |auth| {
        Router::new().route("/x", get(scopes)).layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(|_: BoxError| async {
                    StatusCode::SERVICE_UNAVAILABLE
                }))
                .load_shed()
                .concurrency_limit(64)
                .timeout(Duration::from_secs(30))
                .layer(auth.clone()),
        )
    })
    .await;
}

mod o4 {
    use super::*;

    #[tokio::test]
    async fn cors_layer_answers_preflights_outside_and_inside() {
        for outside in [true, false] {
            let app = App::with_router(
                |builder| builder,
                |auth| {
                    let cors = CorsLayer::new()
                        .allow_origin(["https://other.example".parse().unwrap()])
                        .allow_methods([Method::POST]);
                    let app = Router::new().route("/x", post(scopes));
                    if outside {
                        app.layer(auth.clone()).layer(cors)
                    } else {
                        app.layer(cors).layer(auth.clone())
                    }
                },
            )
            .await;
            let mut headers = HeaderMap::new();
            headers.insert("origin", "https://other.example".parse().unwrap());
            headers.insert("access-control-request-method", "POST".parse().unwrap());
            let mut browser = TestBrowser::new();
            let page = browser.send(Method::OPTIONS, &app.url("/x"), &headers, None).await.unwrap();
            assert_eq!(page.status, StatusCode::OK, "outside: {outside}");
            assert_eq!(page.headers["access-control-allow-origin"], "https://other.example");
            let page = browser.send(Method::POST, &app.url("/x"), &headers, None).await.unwrap();
            assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        }
    }
}

#[tokio::test]
async fn two_apps_do_not_share_tokens() {
    let other = App::start().await;
    let foreign = other.auth.clone();
    let (app, mut browser) = works("/x", |auth| {
        Router::new()
            .route("/x", get(scopes))
            .layer(auth.clone())
            .route("/y", get(scopes).layer(foreign))
    })
    .await;
    let page = browser.step(&app.url("/y")).await.unwrap();
    assert_eq!(page.status, StatusCode::SEE_OTHER, "the other app's users are not this app's");
    assert!(page.location().unwrap().as_str().starts_with(other.fake.base_url()));
}

#[tokio::test]
async fn inner_optional_layer_hides_another_apps_token() {
    async fn seen(token: Option<WebflowToken>, grants: WebflowGrants) -> String {
        format!("{} {}", token.is_some(), grants.len())
    }
    let other = App::start().await;
    let inner = other.auth.optional();
    let (app, mut browser) = works("/x", |auth| {
        Router::new()
            .route("/x", get(scopes))
            .route("/inner", get(seen).layer(inner))
            .route("/outer", get(seen))
            .layer(auth.clone())
    })
    .await;
    assert_eq!(browser.visit(&app.url("/inner")).await.unwrap().text, "false 0");
    assert_eq!(browser.visit(&app.url("/outer")).await.unwrap().text, "true 1");
}

mod grpc {
    use super::*;
    use tonic::transport::{Channel, Server};
    use tonic::{Code, Request};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus::Serving;
    use tonic_health::pb::health_client::HealthClient;

    #[tokio::test]
    async fn a_challenge_is_unauthenticated() {
        let app = App::with_router(|builder| builder, |_| Router::new()).await;
        let router = tonic_example::app(&app.auth).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut client = client(address).await;
        assert_eq!(code(&mut client).await, Some(Code::Unauthenticated));

        let mut browser = TestBrowser::new();
        let authorize = browser.step(&format!("http://{address}/")).await.unwrap();
        let callback = app.fake.approve(authorize.location().unwrap()).unwrap();
        let query = callback.query().unwrap();
        browser.step(&format!("http://{address}/auth/webflow/callback?{query}")).await.unwrap();
        assert_serves(&mut client, &browser).await;
    }

    /// Its bodies are not `From<Bytes>`.
    #[tokio::test]
    async fn p4_tonics_own_server() {
        let app = App::start().await;
        let browser = app.connected().await;
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let body = |bytes| tonic::body::Body::new(Full::new(bytes));
        let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap());
        let incoming = incoming.unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().layer(app.auth.with_body(body)).add_service(health);
        tokio::spawn(server.serve_with_incoming(incoming));
        let mut client = client(address).await;
        assert_eq!(code(&mut client).await, Some(Code::Unauthenticated));
        assert_serves(&mut client, &browser).await;
    }

    async fn client(address: std::net::SocketAddr) -> HealthClient<Channel> {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        HealthClient::new(channel.connect().await.unwrap())
    }

    /// The code of the error that a call without a session gets.
    async fn code(client: &mut HealthClient<Channel>) -> Option<Code> {
        client.check(HealthCheckRequest::default()).await.err().map(|refused| refused.code())
    }

    async fn assert_serves(client: &mut HealthClient<Channel>, browser: &TestBrowser) {
        let cookies = browser.cookies("127.0.0.1");
        let cookies: Vec<_> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), Serving);
    }
}

#[tokio::test]
async fn p4_boxed_bodies() {
    let hello = tower::service_fn(async |_: Request| {
        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from("hello")).boxed()))
    });
    let app = App::start().await;
    let layer = app.auth.with_body(|bytes| Full::new(bytes).boxed());
    let mut service = ServiceBuilder::new().layer(layer).service(hello);
    let request = |cookie: &str| {
        let request = http::Request::get("/").header("cookie", cookie);
        request.body(axum::body::Body::empty()).unwrap()
    };
    let refused = service.ready().await.unwrap().call(request("")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let cookies = app.connected().await.cookies("127.0.0.1");
    let (name, value) = &cookies[0];
    let served = service.ready().await.unwrap().call(request(&format!("{name}={value}"))).await;
    let served = served.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(served, "hello");
}
