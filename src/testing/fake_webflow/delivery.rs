//! Webhook deliveries: signed and retried like Webflow's, or deliberately invalid.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::FakeWebflow;
use super::state::lock;
use super::webhooks::FakeWebhook;
use crate::delivery::signature::{Signature, Timestamp};
use crate::webhooks::{SIGNATURE, TIMESTAMP, Trigger};

/// How often a failed delivery is repeated, and how long after the attempt before.
const REPETITIONS: u32 = 3;
const PAUSE: Duration = Duration::from_mins(10);

/// Time limit for the receiver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An event at a site of the fake.
///
/// ```
/// use serde_json::json;
/// use tower_webflow_auth::testing::FakeEvent;
/// use tower_webflow_auth::webhooks::Trigger;
///
/// let publish = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": "5f0c8c9e1c9d44" }));
/// // The payload of an order names no site.
/// let order = FakeEvent::new(Trigger::EcommNewOrder, json!({ "orderId": "dfa-3f1" }))
///     .at_site("5f0c8c9e1c9d44");
/// ```
#[derive(Debug, Clone)]
pub struct FakeEvent {
    trigger: Trigger,
    site_id: Option<String>,
    payload: Value,
}

impl FakeEvent {
    /// Creates an event with this payload, at the site that the payload names.
    pub fn new(trigger: Trigger, payload: Value) -> Self {
        let site_id = payload.get("siteId").and_then(Value::as_str).map(str::to_owned);
        Self { trigger, site_id, payload }
    }

    /// Sets the site, for a payload that does not name it.
    #[must_use]
    pub fn at_site(mut self, site_id: impl Into<String>) -> Self {
        self.site_id = Some(site_id.into());
        self
    }

    fn body(&self) -> Bytes {
        let body = json!({ "triggerType": self.trigger.as_str(), "payload": self.payload });
        body.to_string().into()
    }

    fn is_for(&self, hook: &FakeWebhook) -> bool {
        let form = self.payload.get("name").and_then(Value::as_str);
        hook.is_active
            && hook.trigger == self.trigger
            && Some(&hook.site_id) == self.site_id.as_ref()
            && (hook.form.is_none() || hook.form.as_deref() == form)
    }
}

/// A signed request, created by [`FakeWebflow::sign`].
///
/// Valid for five minutes of the fake's clock: advance the clock before sending for a late
/// delivery, or send it twice for a replay. The methods make it invalid in other ways.
///
/// ```
/// # #[tokio::main] async fn main() {
/// use serde_json::json;
/// use tower_webflow_auth::testing::{FakeEvent, FakeWebflow};
/// use tower_webflow_auth::webhooks::Trigger;
///
/// let webflow = FakeWebflow::start().await;
/// let event = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": "5f0c8c9e1c9d44" }));
/// let good = webflow.sign(&event);
/// let forged = good.clone().signed_by("somebody else's secret");
/// let changed = good.clone().with_body(r#"{"triggerType":"site_publish"}"#);
/// assert_ne!(good.signature(), forged.signature());
/// assert_eq!(good.signature(), changed.signature());
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `send` to deliver it"]
pub struct Delivery {
    secret: SecretString,
    timestamp: Timestamp,
    body: Bytes,
    headers: HeaderMap,
}

impl Delivery {
    fn new(secret: SecretString, at: SystemTime, body: Bytes) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let timestamp = Timestamp::at(millis);
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { secret, timestamp, body, headers }.sign()
    }

    fn sign(self) -> Self {
        let signature = Signature::sign(&self.secret, &self.timestamp, &self.body);
        let signature = signature.map(Signature::to_hex).unwrap_or_default();
        let timestamp = self.timestamp.as_str().to_owned();
        self.set(&SIGNATURE, &signature).set(&TIMESTAMP, &timestamp)
    }

    fn set(mut self, name: &HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => drop(self.headers.remove(name)),
        }
        self
    }

    /// Signs it with another secret.
    pub fn signed_by(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = secret.into();
        self.sign()
    }

    /// Signs it with another timestamp.
    pub fn sent_at(self, at: SystemTime) -> Self {
        Self::new(self.secret, at, self.body)
    }

    /// Replaces the body but keeps the signature.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Replaces the body and signs it.
    pub fn with_signed_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.sign()
    }

    /// Sets or replaces a header. An invalid value removes the header.
    pub fn with_header(self, name: &HeaderName, value: &str) -> Self {
        self.set(name, value)
    }

    /// Returns the value of `x-webflow-signature`, or an empty string if it was removed.
    pub fn signature(&self) -> &str {
        self.header(&SIGNATURE)
    }

    /// Returns the value of `x-webflow-timestamp`, or an empty string if it was removed.
    pub fn timestamp(&self) -> &str {
        self.header(&TIMESTAMP)
    }

    /// Returns the body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the request, for calling a service without a socket. An invalid `uri` becomes `/`.
    pub fn request<B: From<Bytes>>(&self, uri: &str) -> Request<B> {
        let mut request = Request::new(B::from(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Sends it to a URL. Returns the status of the response, or `None` if there was none within
    /// ten seconds.
    pub async fn send(&self, url: &str) -> Option<StatusCode> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .ok()?;
        let request = client.post(url).headers(self.headers.clone()).body(self.body.clone());
        Some(request.send().await.ok()?.status())
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("timestamp", &self.timestamp())
            .field("signature", &self.signature())
            .field("len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The result of one delivery to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The webhook's ID.
    pub webhook_id: String,
    /// The status of the response, or `None` if there was none. Everything except 200 is a failure.
    pub status: Option<StatusCode>,
}

/// A failed delivery waiting for a retry.
pub struct Pending {
    pub webhook_id: String,
    body: Bytes,
    /// How many retries are left.
    left: u32,
    due: SystemTime,
}

/// Webhook deliveries.
impl FakeWebflow {
    /// Signs an event as if it were delivered now.
    pub fn sign(&self, event: &FakeEvent) -> Delivery {
        self.signed(event.body())
    }

    fn signed(&self, body: Bytes) -> Delivery {
        Delivery::new(self.fake.app.client_secret.clone(), self.fake.clock.now(), body)
    }

    /// Delivers an event to every active webhook registered for it. Returns the result of each.
    ///
    /// Every response other than 200 is retried three times at ten-minute intervals, each time with
    /// a new signature: advance the clock, then call [`deliver_due`](Self::deliver_due). After the
    /// last failure the webhook is deactivated. Source: Webflow, *Working with Webhooks*.
    pub async fn deliver(&self, event: &FakeEvent) -> Vec<Delivered> {
        let hooks = self.webhooks().into_iter().filter(|hook| event.is_for(hook));
        let now = self.fake.clock.now();
        let due: Vec<_> = hooks
            .map(|hook| Pending {
                webhook_id: hook.id,
                body: event.body(),
                left: REPETITIONS,
                due: now,
            })
            .collect();
        self.attempt(due).await
    }

    /// Retries the failed deliveries that are due by the fake's clock.
    pub async fn deliver_due(&self) -> Vec<Delivered> {
        let now = self.fake.clock.now();
        let due = lock(&self.fake.webhooks).pending.extract_if(.., |it| it.due <= now).collect();
        self.attempt(due).await
    }

    async fn attempt(&self, due: Vec<Pending>) -> Vec<Delivered> {
        let mut delivered = Vec::new();
        for pending in due {
            let hook = self.webhooks().into_iter().find(|hook| hook.id == pending.webhook_id);
            let Some(hook) = hook.filter(FakeWebhook::is_active) else { continue };
            let status = self.signed(pending.body.clone()).send(&hook.url).await;
            delivered.push(Delivered { webhook_id: hook.id, status });
            if status != Some(StatusCode::OK) {
                self.failed(pending);
            }
        }
        delivered
    }

    fn failed(&self, pending: Pending) {
        let mut registry = lock(&self.fake.webhooks);
        if let Some(left) = pending.left.checked_sub(1) {
            let due = self.fake.clock.now() + PAUSE;
            registry.pending.push(Pending { left, due, ..pending });
        } else {
            let hook = registry.hooks.iter_mut().find(|hook| hook.id == pending.webhook_id);
            if let Some(hook) = hook {
                hook.is_active = false;
            }
        }
    }
}
