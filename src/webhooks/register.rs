//! Registers a site's webhooks at Webflow.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Trigger;
use crate::api::ApiError;
use crate::context::handle::WebflowAuthHandle;
use crate::grant::token::WebflowToken;

/// Webflow's limit of webhooks per site and trigger (Webflow Data API, *Create Webhook*).
const LIMIT: usize = 75;

/// Registers and removes the webhooks of sites at Webflow, with one token.
///
/// [`WebflowAuthHandle::webhooks`] creates it. The token needs the scopes `sites:read` and
/// `sites:write`.
///
/// ```no_run
/// use tower_webflow_auth::webhooks::{SyncError, Trigger};
/// use tower_webflow_auth::{WebflowAuthHandle, WebflowToken};
///
/// async fn subscribe(
///     handle: &WebflowAuthHandle,
///     token: &WebflowToken,
///     site_id: &str,
/// ) -> Result<(), SyncError> {
///     let wanted = [(Trigger::SitePublish, None), (Trigger::FormSubmission, Some("Contact"))];
///     let url = "https://app.example.com/hooks/webflow";
///     let synced = handle.webhooks(token).sync(site_id, url, &wanted).await?;
///     println!("{} created, {} removed, {} kept", synced.made, synced.removed, synced.kept);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct SiteWebhooks {
    token: WebflowToken,
}

/// What a [`sync`](SiteWebhooks::sync) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// Webhooks that were created.
    pub made: usize,
    /// Webhooks that were removed.
    pub removed: usize,
    /// Wanted webhooks that already existed.
    pub kept: usize,
}

/// Why a [`sync`](SiteWebhooks::sync) did not finish. Running it again continues from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The site already has as many webhooks for the trigger as Webflow allows.
    #[error("the site already has {limit} webhooks for {trigger}, which is Webflow's limit")]
    #[non_exhaustive]
    Limit {
        /// The trigger.
        trigger: Trigger,
        /// Webflow's limit per site and trigger.
        limit: usize,
        /// What was done before the error.
        done: Synced,
    },
    /// A call to Webflow failed.
    #[error("a site's webhooks could not be synchronized")]
    #[non_exhaustive]
    Api {
        /// Why.
        source: ApiError,
        /// What was done before the error.
        done: Synced,
    },
}

impl SyncError {
    /// What was done before the error.
    pub const fn done(&self) -> Synced {
        match self {
            Self::Limit { done, .. } | Self::Api { done, .. } => *done,
        }
    }
}

/// A trigger and a form's name. Webhooks with the same URL and subscription are duplicates.
type Subscription = (String, Option<String>);

/// A webhook in Webflow's list. Missing fields are empty.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    #[serde(default)]
    trigger_type: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default)]
    created_on: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
struct Filter {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    webhooks: Option<Vec<Listed>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Create<'a> {
    trigger_type: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
}

impl Listed {
    fn subscription(&self) -> Subscription {
        let name = self.filter.as_ref().and_then(|filter| filter.name.clone());
        (self.trigger_type.clone(), name.filter(|name| !name.is_empty()))
    }

    /// Sorts the oldest first. The ID breaks ties, so that all instances agree.
    fn age(&self) -> (&str, &str) {
        (self.created_on.as_deref().unwrap_or_default(), &self.id)
    }
}

impl WebflowAuthHandle {
    /// Returns a client that registers and removes the webhooks of the token's sites.
    pub fn webhooks(&self, token: &WebflowToken) -> SiteWebhooks {
        SiteWebhooks { token: token.clone() }
    }
}

impl SiteWebhooks {
    /// Makes the site's webhooks for `url` exactly the wanted ones: creates those that are missing,
    /// and removes the others.
    ///
    /// Each wanted webhook is a trigger and, for [`FormSubmission`](Trigger::FormSubmission) only,
    /// the name of a form. Webhooks whose URL differs from `url` in any byte are left alone. Of
    /// several with the same trigger and form, the oldest stays. Several instances may run this at
    /// the same time: once all have returned, exactly the wanted webhooks exist.
    ///
    /// # Errors
    /// [`SyncError::Limit`] if a trigger already has 75 webhooks, including those with other URLs.
    /// [`SyncError::Api`] if a call fails or an argument is invalid.
    ///
    /// # Cancel safety
    /// If the future is dropped, changes made so far remain, and the next run completes them.
    pub async fn sync(
        &self,
        site_id: &str,
        url: &str,
        wanted: &[(Trigger, Option<&str>)],
    ) -> Result<Synced, SyncError> {
        let mut done = Synced::default();
        match self.run(site_id, url, wanted, &mut done).await {
            Ok(None) => Ok(done),
            Ok(Some(trigger)) => Err(SyncError::Limit { trigger, limit: LIMIT, done }),
            Err(source) => Err(SyncError::Api { source, done }),
        }
    }

    /// Removes all of the site's webhooks for `url`, and returns how many it removed.
    ///
    /// # Errors
    /// As for [`sync`](Self::sync).
    pub async fn remove_all(&self, site_id: &str, url: &str) -> Result<usize, SyncError> {
        Ok(self.sync(site_id, url, &[]).await?.removed)
    }

    /// Returns the trigger whose limit is reached, if any.
    async fn run(
        &self,
        site_id: &str,
        url: &str,
        wanted: &[(Trigger, Option<&str>)],
        done: &mut Synced,
    ) -> Result<Option<Trigger>, ApiError> {
        let wanted = subscriptions(wanted)?;
        let listed = self.list(site_id).await?;
        let kept = self.prune(&listed, url, &wanted, done).await?;
        done.kept = kept.len();
        let mut taken = BTreeMap::<String, usize>::new();
        let mine = |hook: &&Listed| kept.get(&hook.subscription()) == Some(&hook.id);
        for hook in listed.iter().filter(|hook| hook.url != url || mine(hook)) {
            *taken.entry(hook.trigger_type.clone()).or_default() += 1;
        }
        for (trigger, form) in wanted.iter().filter(|it| !kept.contains_key(*it)) {
            let taken = taken.entry(trigger.clone()).or_default();
            if *taken >= LIMIT {
                return Ok(Some(Trigger::from(trigger.as_str())));
            }
            self.create(site_id, url, trigger, form.as_deref()).await?;
            *taken += 1;
            done.made += 1;
        }
        if done.made > 0 {
            // Another instance may have created the same webhooks at the same time.
            let listed = self.list(site_id).await?;
            self.prune(&listed, url, &wanted, done).await?;
        }
        Ok(None)
    }

    async fn list(&self, site_id: &str) -> Result<Vec<Listed>, ApiError> {
        let list: List =
            self.token.api().get(["sites", site_id, "webhooks"]).send().await?.json().await?;
        let mut listed = list.webhooks.unwrap_or_default();
        listed.sort_by(|one, other| one.age().cmp(&other.age()));
        Ok(listed)
    }

    /// Removes the webhooks for `url` that are not wanted or duplicate an older one. Returns the
    /// IDs of those that stay.
    async fn prune(
        &self,
        listed: &[Listed],
        url: &str,
        wanted: &BTreeSet<Subscription>,
        done: &mut Synced,
    ) -> Result<BTreeMap<Subscription, String>, ApiError> {
        let mut kept = BTreeMap::new();
        for hook in listed.iter().filter(|hook| hook.url == url) {
            let subscription = hook.subscription();
            if wanted.contains(&subscription) && !kept.contains_key(&subscription) {
                kept.insert(subscription, hook.id.clone());
                continue;
            }
            match self.token.api().delete(["webhooks", &hook.id]).send().await {
                Ok(_) => done.removed += 1,
                // Another instance has removed it.
                Err(ApiError::Status { status: StatusCode::NOT_FOUND, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    async fn create(
        &self,
        site_id: &str,
        url: &str,
        trigger: &str,
        form: Option<&str>,
    ) -> Result<(), ApiError> {
        let filter = form.map(|name| Filter { name: Some(name.to_owned()) });
        let body = Create { trigger_type: trigger, url, filter };
        self.token.api().post(["sites", site_id, "webhooks"]).json(&body).send().await?;
        Ok(())
    }
}

/// The wanted subscriptions, without duplicates.
fn subscriptions(wanted: &[(Trigger, Option<&str>)]) -> Result<BTreeSet<Subscription>, ApiError> {
    let one = |(trigger, form): &(Trigger, Option<&str>)| {
        let form = form.filter(|form| !form.is_empty());
        if form.is_some() && *trigger != Trigger::FormSubmission {
            let text = format!("only form_submission takes the name of a form, not {trigger}");
            return Err(ApiError::InvalidRequest(text.into()));
        }
        Ok((trigger.as_str().to_owned(), form.map(str::to_owned)))
    };
    wanted.iter().map(one).collect()
}
