//! `on_revoked`: runs after a grant was removed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Hooks, run};
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::util::background::Tasks;

pub type OnRevoked = dyn Fn(Gone) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A grant whose row was removed from the store; see
/// [`on_revoked`](crate::config::WebflowAuthBuilder::on_revoked).
#[derive(Debug, Clone)]
pub struct Gone {
    token: WebflowToken,
    why: Why,
}

/// Why a grant was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The user signed out by the logout path.
    SignedOut,
    /// The application revoked it, by [`revoke`](crate::WebflowAuthHandle::revoke) or
    /// [`revoke_grant`](crate::WebflowAuthHandle::revoke_grant).
    Revoked,
    /// Webflow no longer accepts its token, most often because the app was uninstalled.
    Dead,
    /// A newer grant took its place. Webflow still accepts its token.
    Replaced,
}

impl Gone {
    /// The removed grant. Calls with its token fail, unless [`why`](Self::why) is [`Why::Replaced`]
    /// or the user signed out without revoking.
    pub const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// The subject that the grant belonged to.
    pub fn subject(&self) -> &Subject {
        self.token.subject()
    }

    /// Why it was removed.
    pub const fn why(&self) -> Why {
        self.why
    }
}

impl Hooks {
    /// Runs the hook once per grant, in a background task.
    pub fn revoked(&self, tasks: &Tasks, token: &WebflowToken, why: Why) {
        if !token.state().take_report() {
            return;
        }
        let Some(hook) = &self.revoked else { return };
        let (hook, gone) = (Arc::clone(hook), Gone { token: token.clone(), why });
        tasks.spawn(async move {
            run("on_revoked", async { hook(gone).await }).await;
        });
    }
}
