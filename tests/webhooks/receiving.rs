//! Webhooks: every case of the threat model's group H, and the layer as a tower service.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::log::{install, logged};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::routing::post;
use futures::{FutureExt, StreamExt, stream};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_webflow_auth::testing::{Delivery, FakeEvent, FakeWebflow};
use tower_webflow_auth::webhooks::{Trigger, WebflowEvent, WebhookLayer};
use tower_webflow_auth::{Clock, WebflowAuthLayer, config::WebflowAuthBuilder};

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/webflow/callback";
const SITE: &str = "65427cf400e02b306eaa049c";
const OTHER_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An application that receives webhooks, called in process.
struct Receiver {
    fake: FakeWebflow,
    clock: Clock,
    auth: WebflowAuthLayer,
    app: Router,
    /// How often the handler started.
    runs: Arc<AtomicUsize>,
    /// The gate at which a handler waits on command.
    go: Arc<Notify>,
}

impl Receiver {
    async fn start() -> Self {
        Self::with(|builder| builder, |layer| layer).await
    }

    async fn with(
        change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
        layer: impl FnOnce(WebhookLayer) -> WebhookLayer,
    ) -> Self {
        install();
        let clock = Clock::manual(std::time::SystemTime::now());
        let fake = FakeWebflow::builder().clock(clock.clone()).start().await.unwrap();
        let auth = change(fake.layer(REDIRECT_URI).clock(clock.clone())).build().unwrap();
        let (runs, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let handler = {
            let (runs, go) = (Arc::clone(&runs), Arc::clone(&go));
            move |event: WebflowEvent, body: Bytes| async move {
                runs.fetch_add(1, Ordering::SeqCst);
                assert_eq!(event.raw(), &body, "the body goes on as it came");
                let payload: Value = event.payload().unwrap_or_default();
                match payload["demo"].as_str() {
                    Some("fail") => StatusCode::INTERNAL_SERVER_ERROR,
                    Some("redirect") => StatusCode::FOUND,
                    Some("panic") => panic!("as the test wants"),
                    Some("wait") => {
                        go.notified().await;
                        StatusCode::ACCEPTED
                    }
                    _ => StatusCode::NO_CONTENT,
                }
            }
        };
        let app = Router::new().route("/hooks", post(handler).layer(layer(auth.webhooks())));
        Self { fake, clock, auth, app, runs, go }
    }

    fn sign(&self, payload: &Value) -> Delivery {
        self.fake.sign(&FakeEvent::new(Trigger::FormSubmission, payload.clone()))
    }

    fn good(&self) -> Delivery {
        self.sign(&json!({ "siteId": SITE, "name": "Contact" }))
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn deliver(&self, delivery: &Delivery) -> StatusCode {
        self.send(delivery.request("/hooks")).await.status()
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Asserts that a delivery is refused with that status and that the handler did not run.
    async fn refuses(&self, delivery: &Delivery, status: StatusCode) -> Value {
        let before = self.runs();
        let answer = self.send(delivery.request("/hooks")).await;
        assert_eq!(answer.status(), status, "{delivery:?}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        assert!(!answer.headers().contains_key(header::SET_COOKIE));
        assert_eq!(self.runs(), before, "the handler ran");
        serde_json::from_slice(&to_bytes(answer.into_body(), 10_000).await.unwrap()).unwrap()
    }
}

fn signature_header() -> HeaderName {
    HeaderName::from_static("x-webflow-signature")
}

fn timestamp_header() -> HeaderName {
    HeaderName::from_static("x-webflow-timestamp")
}

#[tokio::test]
async fn h1_only_known_secrets_pass() {
    let receiver = Receiver::start().await;
    let good = receiver.good();
    let signature = good.signature().to_owned();
    let with = |value: &str| good.clone().with_header(&signature_header(), value);
    let forged = signature.replacen(['0', '1', '2', '3', '4'], "f", 1);
    let refused = [
        with(""),
        with("\n"), // removes it
        with(&forged),
        with(&signature[..63]),
        with(&format!("{signature}0")),
        with(&signature.replacen(|c: char| c.is_ascii_hexdigit(), "g", 1)),
        with(&format!("{} {}", &signature[..32], &signature[33..])),
        with(&format!("{signature},{signature}")),
        with(&format!("sha256={signature}")),
        with(&"0".repeat(64)),
        good.clone().signed_by(OTHER_SECRET),
        good.clone().signed_by(""),
    ];
    let mut bodies = Vec::new();
    for delivery in &refused {
        bodies.push(receiver.refuses(delivery, StatusCode::UNAUTHORIZED).await);
    }
    bodies.dedup();
    let expected = "urn:tower-webflow-auth:webhook-refused";
    assert_eq!(bodies.len(), 1, "all 401s are alike");
    assert_eq!(bodies[0]["type"], expected);
    assert!(bodies[0].get("login_url").is_none());
    let upper = with(&signature.to_uppercase());
    assert_eq!(receiver.deliver(&upper).await, StatusCode::OK);
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test]
async fn h2_five_minutes_either_way() {
    let receiver = Receiver::start().await;
    let now = receiver.clock.now();
    let window = Duration::from_secs(300);
    let millisecond = Duration::from_millis(1);
    for at in [now - window - millisecond, now + window + millisecond] {
        receiver.refuses(&receiver.good().sent_at(at), StatusCode::UNAUTHORIZED).await;
    }
    for at in [now - window, now + window] {
        assert_eq!(receiver.deliver(&receiver.good().sent_at(at)).await, StatusCode::OK);
    }
    let good = receiver.good();
    let secs = good.timestamp()[..10].to_owned();
    for value in
        ["", "\n", "-1", "now", "1e12", "99999999999999999999", "184467440737095516150", &secs]
    {
        let delivery = good.clone().with_header(&timestamp_header(), value);
        receiver.refuses(&delivery, StatusCode::UNAUTHORIZED).await;
    }
    // Valid when it was sent, but too late by the clock.
    receiver.clock.advance(window);
    assert_eq!(receiver.deliver(&good).await, StatusCode::OK);
    receiver.clock.advance(millisecond);
    receiver.refuses(&good, StatusCode::UNAUTHORIZED).await;
}

mod h3_repetitions {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_200_without_running_the_handler() {
        let receiver = Receiver::start().await;
        let delivery = receiver.good();
        for _ in 0..3 {
            assert_eq!(receiver.deliver(&delivery).await, StatusCode::OK);
        }
        assert_eq!(receiver.runs(), 1);
        // Webflow signs its retries anew, so they are new deliveries.
        receiver.clock.advance(Duration::from_millis(1));
        assert_eq!(receiver.deliver(&receiver.good()).await, StatusCode::OK);
        assert_eq!(receiver.runs(), 2);
    }

    #[tokio::test]
    async fn a_copy_waits_for_the_first_to_be_handled() {
        let receiver = Receiver::start().await;
        let delivery = receiver.sign(&json!({ "demo": "wait" }));
        let mut first = Box::pin(receiver.deliver(&delivery));
        let mut copies =
            stream::iter(0..5).map(|_| receiver.deliver(&delivery)).buffer_unordered(5);
        assert!((&mut first).now_or_never().is_none());
        assert!(copies.next().now_or_never().is_none(), "the copies wait");
        receiver.go.notify_one();
        assert_eq!(first.await, StatusCode::OK);
        while let Some(status) = copies.next().await {
            assert_eq!(status, StatusCode::OK);
        }
        assert_eq!(receiver.runs(), 1);
    }

    #[tokio::test]
    async fn a_handler_that_failed_or_panicked_runs_again() {
        let receiver = Receiver::start().await;
        for (demo, status) in [("fail", 500), ("redirect", 302), ("panic", 500)] {
            let before = receiver.runs();
            let delivery = receiver.sign(&json!({ "demo": demo }));
            assert_eq!(receiver.deliver(&delivery).await.as_u16(), status);
            assert_eq!(receiver.deliver(&delivery).await.as_u16(), status);
            assert_eq!(receiver.runs(), before + 2, "{demo}");
        }
        let panicking = receiver.sign(&json!({ "demo": "panic" }));
        let answer = receiver.send(panicking.request("/hooks")).await;
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(receiver.deliver(&receiver.good()).await, StatusCode::OK, "the service goes on");
    }

    #[tokio::test]
    async fn a_dropped_request_is_not_handled_and_the_next_copy_runs() {
        let receiver = Receiver::start().await;
        let delivery = receiver.sign(&json!({ "demo": "wait" }));
        let mut first = Box::pin(receiver.deliver(&delivery));
        assert!((&mut first).now_or_never().is_none());
        let mut copy = Box::pin(receiver.deliver(&delivery));
        assert!((&mut copy).now_or_never().is_none());
        assert_eq!(receiver.runs(), 1);
        drop(first);
        assert!((&mut copy).now_or_never().is_none());
        assert_eq!(receiver.runs(), 2, "the copy runs the handler itself");
        receiver.go.notify_one();
        assert_eq!(copy.await, StatusCode::OK);
    }

    #[tokio::test]
    async fn deliveries_at_the_same_moment_run_the_handler_once() {
        let receiver = Receiver::start().await;
        let delivery = receiver.good();
        let tasks: Vec<_> = (0..50)
            .map(|_| tokio::spawn(receiver.app.clone().oneshot(delivery.request::<Body>("/hooks"))))
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().status(), StatusCode::OK);
        }
        assert_eq!(receiver.runs(), 1);
    }
}

#[tokio::test]
async fn h4_changed_bodies_are_refused() {
    let receiver = Receiver::start().await;
    let good = receiver.good();
    let text = String::from_utf8(good.body().to_vec()).unwrap();
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
    for body in [
        text.replace("Contact", "Contacu"),
        pretty,
        format!("\u{feff}{text}"),
        format!("{text}\n"),
        format!(" {text}"),
        String::new(),
        "{".repeat(100_000),
    ] {
        receiver.refuses(&good.clone().with_body(body), StatusCode::UNAUTHORIZED).await;
    }
    for (name, value) in [
        (header::CONTENT_ENCODING, "gzip"),
        (header::CONTENT_ENCODING, "identity, gzip"),
        (header::CONTENT_TYPE, "text/plain"),
        (header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
    ] {
        let delivery = good.clone().with_header(&name, value);
        let problem = receiver.refuses(&delivery, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
        assert_eq!(problem["type"], "urn:tower-webflow-auth:webhook-media-type");
    }
    let same = good
        .with_header(&header::CONTENT_ENCODING, "identity")
        .with_header(&header::CONTENT_TYPE, "application/json; charset=UTF-8");
    assert_eq!(receiver.deliver(&same).await, StatusCode::OK);
}

#[tokio::test]
async fn h5_a_repeated_header_is_refused() {
    let receiver = Receiver::start().await;
    let good = receiver.good();
    for name in [signature_header(), timestamp_header()] {
        let mut request = good.request::<Body>("/hooks");
        let value = request.headers()[&name].clone();
        request.headers_mut().append(name, value);
        assert_eq!(receiver.send(request).await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(receiver.runs(), 0);
}

mod h6_bodies {
    use super::*;

    /// A valid head with a custom body.
    fn with_body(delivery: &Delivery, body: Body) -> Request<Body> {
        delivery.request::<Body>("/hooks").map(|_| body)
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413() {
        let receiver = Receiver::with(|builder| builder, |layer| layer.body_limit(1000)).await;
        let text =
            |len: usize| format!("{{\"triggerType\":\"a\",\"x\":\"{}\"}}", "x".repeat(len - 26));
        let longest = receiver.good().with_signed_body(text(1000));
        assert_eq!(longest.body().len(), 1000);
        assert_eq!(receiver.deliver(&longest).await, StatusCode::OK);
        let longer = receiver.good().with_signed_body(text(1001));
        let problem = receiver.refuses(&longer, StatusCode::PAYLOAD_TOO_LARGE).await;
        assert_eq!(problem["type"], "urn:tower-webflow-auth:webhook-too-large");

        // Chunked, so that the length is unknown. The stream never ends.
        let chunk = || Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 100]));
        let endless = Body::from_stream(stream::repeat_with(chunk));
        let answer = receiver.send(with_body(&receiver.good(), endless)).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);

        // The declared length is too long, so nothing is read.
        let unread = Body::from_stream(
            stream::once(async { panic!("the body is read") }).map(Ok::<Bytes, Infallible>),
        );
        let mut request = with_body(&receiver.good(), unread);
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1001"));
        assert_eq!(receiver.send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_over_ten_seconds_is_408() {
        let receiver = Receiver::start().await;
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        });
        let silence = stream::once(pending::<Result<Bytes, Infallible>>());
        for body in [Body::from_stream(drip), Body::from_stream(silence)] {
            let answer = receiver.send(with_body(&receiver.good(), body)).await;
            assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        }
        assert_eq!(receiver.runs(), 0);
    }

    #[tokio::test]
    async fn one_delivery_too_many_is_503_and_unread() {
        let receiver = Receiver::with(|builder| builder, |layer| layer.concurrency(2)).await;
        let (wait, silence) = (receiver.sign(&json!({ "demo": "wait" })), pending());
        let silence = stream::once(silence).map(Ok::<Bytes, Infallible>);
        let silent = with_body(&receiver.good(), Body::from_stream(silence));
        let mut handled = Box::pin(receiver.deliver(&wait));
        let mut read = Box::pin(receiver.send(silent));
        assert!((&mut handled).now_or_never().is_none() && (&mut read).now_or_never().is_none());

        let answer = receiver.send(receiver.good().request("/hooks")).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        // A delivery that fails a check of its head gets that response all the same.
        let unsigned = receiver.good().with_header(&signature_header(), "");
        receiver.refuses(&unsigned, StatusCode::UNAUTHORIZED).await;

        drop(read);
        assert_eq!(receiver.deliver(&receiver.good()).await, StatusCode::OK);
        receiver.go.notify_one();
        assert_eq!(handled.await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_400() {
        let receiver = Receiver::start().await;
        let broken =
            stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]);
        let answer = receiver.send(with_body(&receiver.good(), Body::from_stream(broken))).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
}

mod h7_secrets {
    use super::*;

    #[tokio::test]
    async fn a_former_and_a_webhooks_own_secret_pass_while_they_are_configured() {
        let (former, own) = ("the former client secret", OTHER_SECRET);
        let receiver = Receiver::with(
            |builder| builder.previous_client_secret(former).webhook_secret(own),
            |layer| layer,
        )
        .await;
        for secret in [receiver.fake.client_secret(), former, own] {
            let delivery = receiver.good().signed_by(secret);
            assert_eq!(receiver.deliver(&delivery).await, StatusCode::OK);
        }
        assert_eq!(receiver.runs(), 3);
        let without = Receiver::start().await;
        for secret in [former, own] {
            let delivery = without.good().signed_by(secret);
            without.refuses(&delivery, StatusCode::UNAUTHORIZED).await;
        }
    }

    #[tokio::test]
    async fn a_routes_own_secret_verifies_on_that_route_only() {
        let receiver = Receiver::start().await;
        let handler = || post(|_: WebflowEvent| async {});
        let own = receiver.auth.webhooks().secret(OTHER_SECRET).unwrap();
        let app: Router = Router::new()
            .route("/own", handler().layer(own))
            .route("/other", handler().layer(receiver.auth.webhooks()));
        let delivery = receiver.good().signed_by(OTHER_SECRET);
        for (path, status) in [("/other", 401), ("/own", 200), ("/other", 401)] {
            let answer = app.clone().oneshot(delivery.request::<Body>(path)).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn an_empty_or_short_secret_is_a_config_error() {
        let fake = FakeWebflow::start().await;
        for secret in ["", "fifteen bytes..", "                    "] {
            for (setting, builder) in [
                ("previous_client_secret", fake.layer(REDIRECT_URI).previous_client_secret(secret)),
                ("webhook_secret", fake.layer(REDIRECT_URI).webhook_secret(secret)),
            ] {
                let error = builder.build().unwrap_err();
                assert_eq!(error.problems()[0].setting(), setting);
                assert!(secret.trim().is_empty() || !error.to_string().contains(secret));
            }
            let auth = fake.layer(REDIRECT_URI).build().unwrap();
            assert_eq!(auth.webhooks().secret(secret).unwrap_err().problems().len(), 1);
        }
        let sixteen = fake.layer(REDIRECT_URI).webhook_secret("sixteen bytes...");
        assert!(sixteen.build().is_ok());
    }
}

#[tokio::test]
async fn h8_odd_bodies_pass_or_are_400() {
    let receiver = Receiver::start().await;
    let mega = "a".repeat(1 << 19);
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (body, status) in [
        (r#"{"triggerType":"never_heard_of"}"#.to_owned(), 200),
        (r#"{"triggerType":"site_publish","payload":null}"#.to_owned(), 200),
        (r#"{"triggerType":"site_publish","payload":[7]}"#.to_owned(), 200),
        (r#"{"triggerType":"site_publish","payload":{"siteId":{"a":1}}}"#.to_owned(), 200),
        (format!(r#"{{"triggerType":"site_publish","payload":{{"siteId":"{mega}"}}}}"#), 200),
        (format!(r#"{{"triggerType":"a","payload":{deep}}}"#), 400),
        (r#"{"payload":{}}"#.to_owned(), 400),
        (r#"{"triggerType":7}"#.to_owned(), 400),
        (format!(r#"{{"triggerType":"{}"}}"#, "a".repeat(129)), 400),
        ("[]".to_owned(), 400),
        (String::new(), 400),
        ("not json".to_owned(), 400),
    ] {
        let delivery = receiver.good().with_signed_body(body.clone());
        let before = receiver.runs();
        assert_eq!(receiver.deliver(&delivery).await.as_u16(), status, "{body:.80}");
        assert_eq!(receiver.runs() - before, usize::from(status == 200), "{body:.80}");
    }
}

#[tokio::test]
async fn h8_odd_ids_are_none() {
    let receiver = Receiver::start().await;
    let seen = |event: WebflowEvent| async move {
        let payload = event.payload::<tower_webflow_auth::webhooks::payload::SitePublish>();
        format!(
            "{} {:?} {:?} {}",
            event.trigger(),
            event.site_id(),
            event.workspace_id(),
            payload.is_ok()
        )
    };
    let app: Router = Router::new().route("/", post(seen).layer(receiver.auth.webhooks()));
    for (body, expected) in [
        (
            r#"{"triggerType":"site_publish","payload":{"siteId":"s","workspaceId":"w"}}"#,
            r#"site_publish Some("s") Some("w") true"#,
        ),
        (r#"{"triggerType":"x"}"#, "x None None false"),
        (r#"{"triggerType":"x","payload":{"siteId":"../v2"}}"#, "x None None true"),
        (r#"{"triggerType":"x","payload":{"siteId":7}}"#, "x None None false"),
    ] {
        let request = receiver.good().with_signed_body(body).request::<Body>("/");
        let answer = app.clone().oneshot(request).await.unwrap();
        let text = to_bytes(answer.into_body(), 1000).await.unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn h9_unknown_sites_cause_no_calls() {
    let receiver = Receiver::start().await;
    let find = |event: WebflowEvent| async move {
        assert!(event.tokens().await.unwrap().is_empty());
    };
    let app: Router = Router::new().route("/", post(find).layer(receiver.auth.webhooks()));
    receiver.fake.clear_log();
    for number in 0..100 {
        let payload = json!({ "siteId": format!("made-up-{number}"), "workspaceId": "w" });
        let event = FakeEvent::new(Trigger::CollectionItemChanged, payload);
        let request = receiver.fake.sign(&event).request::<Body>("/");
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
    assert!(receiver.fake.log().is_empty(), "{:?}", receiver.fake.log());
}

#[tokio::test]
async fn h10_one_log_line_with_the_reason() {
    let receiver = Receiver::start().await;
    let (log, _guard) = logged();
    let good = receiver.sign(&json!({ "siteId": SITE, "data": "pr1vate" }));
    let old = receiver.clock.now() - Duration::from_secs(301);
    for (delivery, status, reason) in [
        (good.clone().with_header(&signature_header(), "\n"), 401, "unsigned"),
        (good.clone().with_header(&signature_header(), "x"), 401, "malformed"),
        (good.clone().sent_at(old), 401, "stale"),
        (good.clone().with_body(r#"{ "triggerType": "pr1vate" }"#), 401, "forged"),
        (good.clone().with_header(&header::CONTENT_TYPE, "text/plain"), 415, "media_type"),
        (good.clone().with_body("x".repeat((1 << 20) + 1)), 413, "too_large"),
        (good.clone().with_signed_body("pr1vate"), 400, "not_json"),
    ] {
        let before = log.text().len();
        assert_eq!(receiver.deliver(&delivery).await.as_u16(), status, "{reason}");
        let text = log.text()[before..].to_owned();
        assert_eq!(text.matches(" WARN ").count(), 1, "{text}");
        assert!(text.contains(&format!("reason=\"{reason}\"")), "{reason} in {text}");
        assert_eq!(text.contains("re-encodes"), reason == "forged", "{text}");
    }
    assert_eq!(receiver.deliver(&good).await, StatusCode::OK);
    let text = log.text();
    for secret in [receiver.fake.client_secret(), good.signature(), "pr1vate"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(!format!("{:?}", receiver.auth.webhooks()).contains(receiver.fake.client_secret()));
}

/// A service with a body type other than axum's.
#[tokio::test]
async fn any_tower_service_can_receive_and_its_errors_pass() {
    let receiver = Receiver::start().await;
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        let event = request.extensions().get::<WebflowEvent>().cloned();
        match event {
            Some(event) if event.trigger() == &Trigger::PageCreated => Err("the inner error"),
            Some(event) => Ok(Response::new(Full::new(event.raw().clone()))),
            None => Ok(Response::new(Full::default())),
        }
    });
    let mut service = receiver.auth.webhooks().layer(inner);
    let good = receiver.good();
    let answer = service.ready().await.unwrap().call(good.request("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let event = FakeEvent::new(Trigger::PageCreated, json!({}));
    let failing = receiver.fake.sign(&event);
    for _ in 0..2 {
        let error = service.ready().await.unwrap().call(failing.request("/")).await.unwrap_err();
        assert_eq!(error, "the inner error");
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        let mut request = good.request("/");
        *request.method_mut() = method;
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()[header::ALLOW], "POST");
    }
}

/// The instance that was polled ready is the one that is called.
#[tokio::test]
async fn an_inner_service_that_is_not_ready_is_not_called() {
    use std::task::Poll;
    let receiver = Receiver::start().await;
    let (mock, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let mut service = receiver.auth.webhooks().layer(mock);
    handle.allow(0);
    assert!(matches!(
        futures::poll!(std::future::poll_fn(|cx| service.poll_ready(cx))),
        Poll::Pending
    ));
    handle.allow(1);
    service.ready().await.unwrap();
    let answer = service.call(receiver.good().request("/"));
    let (answer, ()) = tokio::join!(answer, async {
        let (request, respond) = handle.next_request().await.unwrap();
        assert!(request.extensions().get::<WebflowEvent>().is_some());
        let mut created = Response::new(Body::from("kept"));
        *created.status_mut() = StatusCode::CREATED;
        respond.send_response(created);
    });
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "Webflow takes 200 alone for a success");
    assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "kept");
}

#[tokio::test]
async fn without_the_layer_the_extractor_is_500_with_a_hint() {
    let app: Router = Router::new().route("/", post(|_: WebflowEvent| async {}));
    let answer = app.oneshot(Request::post("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = to_bytes(answer.into_body(), 1000).await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("auth.webhooks()"));
}
