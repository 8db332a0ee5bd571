//! Webhook registration.
//!
//! Source: Webflow Data API, Webhooks, *Create Webhook*, *List Webhooks*, *Remove Webhook*.

use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::FakeWebflow;
use super::answer::{Answer, api_error, empty, invalid, json, not_found};
use super::data_api::with_grant;
use super::delivery::Pending;
use super::log::RecordedRequest;
use super::state::{FakeState, lock, timestamp};
use super::workspaces::Workspace;
use crate::grant::scope::Scope;
use crate::webhooks::Trigger;

/// The maximum number of webhooks per site and trigger.
const LIMIT: usize = 75;

/// A webhook registered with the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeWebhook {
    pub(super) id: String,
    pub(super) trigger: Trigger,
    pub(super) url: String,
    pub(super) form: Option<String>,
    pub(super) site_id: String,
    pub(super) is_active: bool,
    created_on: String,
    workspace_id: String,
}

impl FakeWebhook {
    /// Returns the ID: 24 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the trigger.
    pub const fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Returns the URL that deliveries go to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name of the form, if the webhook is limited to one.
    pub fn form(&self) -> Option<&str> {
        self.form.as_deref()
    }

    /// Returns the ID of the site whose events are delivered.
    pub fn site_id(&self) -> &str {
        &self.site_id
    }

    /// Returns `false` once a delivery and its three retries have failed.
    pub const fn is_active(&self) -> bool {
        self.is_active
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "triggerType": self.trigger.as_str(),
            "url": self.url,
            "workspaceId": self.workspace_id,
            "siteId": self.site_id,
            "filter": self.form.as_ref().map(|name| json!({ "name": name })),
            "lastTriggered": null,
            "createdOn": self.created_on,
        })
    }
}

/// Registered webhooks, oldest first, and pending retries.
#[derive(Default)]
pub struct Registry {
    pub hooks: Vec<FakeWebhook>,
    pub pending: Vec<Pending>,
}

/// `GET /v2/sites/{site_id}/webhooks`, which is not paginated.
pub fn list(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::SITES_READ, site_id, |_| {
        let registry = lock(&fake.webhooks);
        let hooks = registry.hooks.iter().filter(|hook| hook.site_id == site_id);
        let hooks: Vec<_> = hooks.map(FakeWebhook::to_json).collect();
        let pagination = json!({ "limit": hooks.len(), "offset": 0, "total": hooks.len() });
        json(StatusCode::OK, &json!({ "webhooks": hooks, "pagination": pagination }))
    })
}

/// `POST /v2/sites/{site_id}/webhooks`. Webflow does not document its error messages.
pub fn create(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::SITES_WRITE, site_id, |workspace| {
        let body = request.json().unwrap_or_default();
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        let trigger = match text("triggerType").map(Trigger::from) {
            None | Some(Trigger::Other(_)) => return invalid("triggerType is not a known one"),
            Some(trigger) => trigger,
        };
        let url = text("url").filter(|url| {
            Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
        });
        let Some(url) = url else { return invalid("url is not an address") };
        let form = body.get("filter").and_then(|filter| filter.get("name")?.as_str());
        if form.is_some() && trigger != Trigger::FormSubmission {
            return invalid("filter goes with form_submission only");
        }
        let hook = FakeWebhook {
            id: fake.ids.id(),
            trigger,
            url: url.to_owned(),
            form: form.map(str::to_owned),
            site_id: site_id.to_owned(),
            is_active: true,
            created_on: timestamp(fake.clock.now()),
            workspace_id: workspace.id().to_owned(),
        };
        let mut registry = lock(&fake.webhooks);
        let same = |it: &&FakeWebhook| it.site_id == site_id && it.trigger == hook.trigger;
        if registry.hooks.iter().filter(same).count() >= LIMIT {
            let message = format!("A site has at most {LIMIT} webhooks for each triggerType");
            return api_error(StatusCode::BAD_REQUEST, "bad_request", &message);
        }
        let answer = json(StatusCode::OK, &hook.to_json());
        registry.hooks.push(hook);
        answer
    })
}

/// `GET /v2/webhooks/{webhook_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_grant(fake, request, Some(&Scope::SITES_READ), |grant| {
        let registry = lock(&fake.webhooks);
        let found = registry.hooks.iter().find(|hook| {
            hook.id == id && grant.approval.access.covers(&hook.site_id, &fake.workspaces)
        });
        found.map_or_else(
            || not_found("Requested resource not found"),
            |hook| json(StatusCode::OK, &hook.to_json()),
        )
    })
}

/// `DELETE /v2/webhooks/{webhook_id}`.
pub fn remove(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_grant(fake, request, Some(&Scope::SITES_WRITE), |grant| {
        let mut registry = lock(&fake.webhooks);
        let found = registry.hooks.iter().position(|hook| {
            hook.id == id && grant.approval.access.covers(&hook.site_id, &fake.workspaces)
        });
        let Some(found) = found else { return not_found("Requested resource not found") };
        registry.hooks.remove(found);
        registry.pending.retain(|pending| pending.webhook_id != id);
        empty(StatusCode::NO_CONTENT)
    })
}

/// Forwards a request if its grant has the scope and covers the site.
fn with_site(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    site_id: &str,
    endpoint: impl FnOnce(&Workspace) -> Answer,
) -> Answer {
    with_grant(fake, request, Some(scope), |grant| {
        let has_site = |it: &&Workspace| it.sites().iter().any(|site| site.id() == site_id);
        let workspace = fake.workspaces.iter().find(has_site);
        match workspace.filter(|_| grant.approval.access.covers(site_id, &fake.workspaces)) {
            Some(workspace) => endpoint(workspace),
            None => not_found("Requested resource not found"),
        }
    })
}

/// The webhooks.
impl FakeWebflow {
    /// Returns every registered webhook, oldest first, including deactivated ones.
    pub fn webhooks(&self) -> Vec<FakeWebhook> {
        lock(&self.fake.webhooks).hooks.clone()
    }
}
