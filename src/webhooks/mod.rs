//! Receiving Webflow's webhooks, and registering them; feature `webhooks`.
//!
//! [`WebflowAuthLayer::webhooks`](crate::WebflowAuthLayer::webhooks) is a layer for the route that
//! receives them. It checks in this order, and the first check that fails answers:
//!
//! 1. The method is `POST` (405).
//! 2. `x-webflow-signature` and `x-webflow-timestamp` are there once each and well-formed, and the
//!    timestamp is within five minutes of now, either way (401).
//! 3. There is no `Content-Encoding`, and a `Content-Type` is `application/json` (415).
//! 4. Fewer than 256 deliveries are being read or handled (503).
//! 5. The body has at most 1 MiB (413) and arrives within ten seconds (408).
//! 6. The signature is that of the raw body, by the client secret, a
//!    [`previous`](crate::config::WebflowAuthBuilder::previous_client_secret) one, or a
//!    [webhook's own](crate::config::WebflowAuthBuilder::webhook_secret) (401). The comparison takes
//!    constant time.
//! 7. The body is a JSON object with a `triggerType` (400).
//! 8. The very delivery was not handled before (200, without running the handler again).
//!
//! The handler then gets the request with its body as it came, and a [`WebflowEvent`]. Answer 2xx
//! when the event is dealt with: it is sent on as 200, since Webflow counts everything else as
//! failed. After anything else, or a panic, the next copy runs the handler again. The route needs no
//! login, and no cookie is read or set. All 401s look alike; only the log has the reason.
//!
//! The same signed request runs the handler once within its five minutes, on one process. A
//! *repetition* that Webflow makes after a failure is signed anew and runs it again, so handlers
//! have to be idempotent.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, http::StatusCode, routing::post};
//! use serde_json::json;
//! use tower::ServiceExt;
//! use tower_webflow_auth::testing::{FakeEvent, FakeWebflow};
//! use tower_webflow_auth::webhooks::{Trigger, WebflowEvent};
//!
//! async fn on_event(event: WebflowEvent) -> StatusCode {
//!     assert_eq!(event.trigger(), &Trigger::SitePublish);
//!     StatusCode::NO_CONTENT
//! }
//!
//! let webflow = FakeWebflow::start().await;
//! let auth = webflow.layer("http://127.0.0.1:3000/auth/webflow/callback").build()?;
//! let app: Router = Router::new().route("/hooks", post(on_event).layer(auth.webhooks()));
//!
//! let event = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": "5f0c8c9e1c9d44" }));
//! let delivery = webflow.sign(&event);
//! let answer = app.clone().oneshot(delivery.request::<Body>("/hooks")).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let forged = delivery.with_body("{}");
//! let answer = app.oneshot(forged.request::<Body>("/hooks")).await?;
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! # Ok(()) }
//! ```

mod envelope;
mod event;
#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "_fuzzing")]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target tells what it has found"
)]
pub(crate) mod fuzz;
mod head;
mod layer;
pub mod payload;
mod refusal;
mod register;
mod service;
mod trigger;

pub use event::WebflowEvent;
#[cfg(feature = "axum")]
pub use extract::WebflowEventRejection;
pub use layer::WebhookLayer;
pub use register::{SiteWebhooks, SyncError, Synced};
pub use service::{WebhookFuture, WebhookService};
pub use trigger::Trigger;

#[cfg(feature = "testing")]
pub(crate) use head::{SIGNATURE, TIMESTAMP};
