//! The verified event that a handler receives.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Trigger;
use super::envelope::Envelope;
use crate::context::handle::WebflowAuthHandle;
use crate::delivery::signature::Timestamp;
use crate::grant::site_listings::LookupError;
use crate::grant::token::WebflowToken;

/// An event that Webflow sent and signed.
///
/// [`WebhookLayer`](super::WebhookLayer) puts it into the request's extensions; axum handlers
/// take it as an argument. Cloning costs one reference count.
///
/// ```no_run
/// use axum::http::StatusCode;
/// use tower_webflow_auth::webhooks::{Trigger, WebflowEvent, payload::FormSubmission};
///
/// async fn on_event(event: WebflowEvent) -> StatusCode {
///     match event.trigger() {
///         Trigger::FormSubmission => match event.payload::<FormSubmission>() {
///             Ok(form) => println!("{:?} was submitted", form.name),
///             Err(error) => println!("a form of another shape: {error}"),
///         },
///         other => println!("{other} at site {:?}", event.site_id()),
///     }
///     StatusCode::OK
/// }
/// ```
#[derive(Clone)]
pub struct WebflowEvent(Arc<Event>);

struct Event {
    trigger: Trigger,
    site_id: Option<String>,
    workspace_id: Option<String>,
    sent_at: SystemTime,
    raw: Bytes,
    handle: WebflowAuthHandle,
}

#[derive(Deserialize)]
struct Payload<T> {
    payload: T,
}

impl WebflowEvent {
    pub(super) fn new(
        envelope: Envelope,
        timestamp: &Timestamp,
        raw: Bytes,
        handle: WebflowAuthHandle,
    ) -> Self {
        Self(Arc::new(Event {
            trigger: Trigger::from(envelope.trigger.as_str()),
            site_id: envelope.site_id,
            workspace_id: envelope.workspace_id,
            sent_at: SystemTime::UNIX_EPOCH + Duration::from_millis(timestamp.millis()),
            raw,
            handle,
        }))
    }

    /// The kind of the event.
    pub fn trigger(&self) -> &Trigger {
        &self.0.trigger
    }

    /// The `siteId` of the payload.
    ///
    /// `None` if the payload has none, as in e-commerce events, or if it is not a string of 1 to 64
    /// characters from `[A-Za-z0-9_-]`. Published items come as a list: it is the ID of the first.
    pub fn site_id(&self) -> Option<&str> {
        self.0.site_id.as_deref()
    }

    /// The `workspaceId` of the payload, which only events of collection items have. The rules are
    /// those of [`site_id`](Self::site_id).
    pub fn workspace_id(&self) -> Option<&str> {
        self.0.workspace_id.as_deref()
    }

    /// Deserializes the payload as `T`, for example a type of [`payload`](super::payload) or
    /// `serde_json::Value`.
    ///
    /// # Errors
    /// The body has no payload, or the payload is not a `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice::<Payload<T>>(&self.0.raw).map(|body| body.payload)
    }

    /// The whole body, byte for byte as Webflow signed it.
    pub fn raw(&self) -> &Bytes {
        &self.0.raw
    }

    /// When Webflow sent this delivery, to the millisecond. A retry of a failed delivery has a new
    /// time.
    pub fn sent_at(&self) -> SystemTime {
        self.0.sent_at
    }

    /// The tokens of the grants that cover the event's site, newest first.
    ///
    /// Empty if no grant covers the site, or the event has no [`site_id`](Self::site_id). If the
    /// event has a [`workspace_id`](Self::workspace_id), a site that was added to its workspace
    /// after the login is found as well; see
    /// [`tokens_for_site_in`](WebflowAuthHandle::tokens_for_site_in).
    ///
    /// # Errors
    /// [`LookupError`]: the store cannot be read or has no lookup by site, or no stored grant covers
    /// the site and the call to Webflow failed.
    pub async fn tokens(&self) -> Result<Vec<WebflowToken>, LookupError> {
        let handle = &self.0.handle;
        match (self.site_id(), self.workspace_id()) {
            (Some(site), Some(workspace)) => handle.tokens_for_site_in(site, workspace).await,
            (Some(site), None) => Ok(handle.tokens_for_site(site).await?),
            (None, _) => Ok(Vec::new()),
        }
    }
}

impl fmt::Debug for WebflowEvent {
    /// Without the payload, which may hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowEvent")
            .field("trigger", &self.0.trigger)
            .field("site_id", &self.0.site_id)
            .field("workspace_id", &self.0.workspace_id)
            .field("sent_at", &self.0.sent_at)
            .field("len", &self.0.raw.len())
            .finish_non_exhaustive()
    }
}
