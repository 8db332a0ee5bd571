//! The ways in which applications compose layers, each tested with a complete flow.

use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{any_service, get, post};
use axum::{BoxError, Router};
use tower::ServiceBuilder;
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
    assert_eq!(page.headers["x-token"], "true", "middleware inside of the layer sees the token");
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
    assert_eq!(page.status, StatusCode::SEE_OTHER, "the other app's users are not this one's");
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

#[tokio::test]
async fn grpc_maps_a_challenge_to_unauthenticated() {
    use tonic::Code;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let app = App::with_router(|builder| builder, |_| Router::new()).await;
    let router = tonic_example::app(&app.auth).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());

    let refused = client.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");

    let mut browser = TestBrowser::new();
    let authorize = browser.step(&format!("http://{address}/")).await.unwrap().location().unwrap();
    let callback = app.fake.approve(authorize).unwrap();
    let query = callback.query().unwrap();
    browser.step(&format!("http://{address}/auth/webflow/callback?{query}")).await.unwrap();
    let cookies: Vec<_> = browser
        .cookies("127.0.0.1")
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("cookie", cookies.join("; ").parse().unwrap());
    let answer = client.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}
