//! Receives Webflow's webhooks, and registers them at Webflow. Requires the feature `webhooks`.
//!
//! [`WebflowAuthLayer::webhooks`](crate::WebflowAuthLayer::webhooks) returns a layer for the route
//! that receives them. The layer makes these checks in order, and responds with the status of the
//! first that fails:
//!
//! 1. The method is `POST` (405).
//! 2. `x-webflow-signature` and `x-webflow-timestamp` are present once each and well-formed, and
//!    the timestamp is at most five minutes in the past or future (401).
//! 3. There is no `Content-Encoding`, and the `Content-Type`, if any, is `application/json` (415).
//! 4. Fewer than 256 deliveries are being read or handled (503).
//! 5. The body is at most 1 MiB long (413) and arrives within ten seconds (408).
//! 6. The raw body was signed with the client secret, a
//!    [`previous`](crate::config::WebflowAuthBuilder::previous_client_secret) one, or a
//!    [webhook's own](crate::config::WebflowAuthBuilder::webhook_secret) (401). The comparison takes
//!    constant time.
//! 7. The body is a JSON object with a `triggerType` (400).
//! 8. The delivery was not handled before (200, without running the handler again).
//!
//! The handler then receives the request with its original body and a [`WebflowEvent`]. It should
//! return 2xx once it has processed the event. The layer turns any 2xx into 200, since Webflow
//! counts every other status as a failed delivery. After another status or a panic, the next copy
//! of the delivery runs the handler again. The route needs no login, and no cookie is read or set.
//! All 401s are identical: only the log has the reason.
//!
//! Within its five minutes, the same signed request runs the handler only once per process. When
//! Webflow *retries* a failed delivery, it signs a new request, which runs the handler again.
//! Handlers must therefore be idempotent.
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
    reason = "fuzz targets report findings by panicking"
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
