//! Every route, and what it is behind.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::csrf::CsrfLayer;
use tower_http::trace::TraceLayer;

use crate::start::App;
use crate::{account, dashboard, home, monitoring, pages, panel, sessions, switcher, webhooks};

/// Forms are small; the paths of the layer and the webhooks have limits of their own.
const FORM_LIMIT: usize = 16 * 1024;

pub(crate) fn router(app: &App, metrics: PrometheusHandle) -> Router {
    Router::new()
        .merge(own_pages(app))
        .merge(panels(app))
        .merge(endpoints(app))
        .route(webhooks::PATH, post(webhooks::receive).layer(app.auth.webhooks()))
        .fallback(home::not_found)
        // Outside of the layer, which asks whose request it is.
        .layer(from_fn_with_state(app.clone(), sessions::identify))
        .route("/style.css", get(pages::style))
        .route("/icon.svg", get(pages::icon))
        .route("/panel.js", get(panel::script))
        .route("/connected.js", get(panel::closing_script))
        .route("/health", get(monitoring::health))
        .route("/metrics", get(async move || monitoring::metrics(&metrics)))
        .layer(from_fn_with_state(app.clone(), pages::secure))
        // The path only: a callback's query has the code.
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
            tracing::info_span!("request", method = %request.method(), path = request.uri().path())
        }))
        .with_state(app.clone())
}

/// The pages of the application, and its forms, which other sites cannot send.
fn own_pages(app: &App) -> Router<App> {
    let router = Router::new()
        .route("/dashboard", get(dashboard::show))
        .route("/grant", post(switcher::switch))
        .route("/sites/{id}/publish", post(dashboard::publish))
        .route_layer(app.auth.clone()) // a grant is required
        .route("/", get(home::show).layer(app.auth.optional()))
        .route("/login", get(account::login_form).post(account::login))
        .route("/signup", get(account::signup_form).post(account::signup))
        .route("/signout", post(account::signout));
    #[cfg(feature = "testing")]
    let router = router.route("/fake/deliver", post(crate::fake::deliver));
    router.layer(CsrfLayer::new()).layer(DefaultBodyLimit::max(FORM_LIMIT))
}

/// The panel comes with a bearer, never with a cookie.
fn panels(app: &App) -> Router<App> {
    Router::new()
        .route("/api/site", get(panel::site))
        .route_layer(app.auth.optional())
        .route("/panel", get(panel::page))
        .route("/connected", get(panel::connected))
}

/// The paths that the layer serves itself: `/install`, the callback, logout and the panel path.
fn endpoints(app: &App) -> Router<App> {
    let auth = &app.auth;
    let paths =
        [Some(auth.callback_path()), auth.login_path(), auth.logout_path(), auth.panel_path()];
    paths
        .into_iter()
        .flatten()
        .fold(Router::new(), |router, path| router.route_service(path, auth.endpoints_service()))
}
