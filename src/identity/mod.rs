//! Who a request comes from: a browser session, or a user of the application.

pub mod app;
pub mod resolver;
pub mod session_cookie;
pub mod sign_in;
pub mod subject;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::time::timeout;

use crate::problem::{Problem, catalog};
use crate::util::log;
use resolver::{ErasedResolver, Unresolved};
use subject::Subject;

/// Time limit of the application's lookup.
const RESOLVER_BUDGET: Duration = Duration::from_secs(5);

type SubjectOf = dyn Fn(&Parts) -> Option<Subject> + Send + Sync;

/// What determines the subject of a request.
#[derive(Clone)]
pub enum SubjectSource {
    /// The crate's own session cookie.
    Session,
    /// The application's closure.
    Application(Arc<SubjectOf>),
    /// The application's lookup.
    Resolver(Arc<dyn ErasedResolver>),
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Known(Subject),
    /// A browser without a session.
    Nobody,
    /// The application has not authenticated anybody.
    Stranger,
}

impl Who {
    /// The subject, if known.
    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Known(subject) => Some(subject),
            Self::Nobody | Self::Stranger => None,
        }
    }

    /// The subject that the application returned.
    pub fn from_application(subject: Option<Subject>) -> Self {
        match subject {
            None => Self::Stranger,
            Some(subject) if subject.validate().is_ok() && !subject.is_stored() => {
                Self::Known(subject)
            }
            Some(_) => {
                tracing::error!(
                    target: log::APPLICATION,
                    "the application named a subject that is empty, longer than 1 KiB or read from \
                     a store; treating the request as signed out"
                );
                Self::Stranger
            }
        }
    }
}

/// Calls the application's closure. A panic fails only this request.
pub fn call_closure(subject_of: &SubjectOf, parts: &Parts) -> Result<Who, Problem> {
    std::panic::catch_unwind(AssertUnwindSafe(|| subject_of(parts)))
        .map(Who::from_application)
        .map_err(|_| catalog::internal())
}

/// Awaits the application's lookup.
pub async fn resolve(resolver: &Arc<dyn ErasedResolver>, parts: &Parts) -> Result<Who, Problem> {
    let Ok(answer) = timeout(RESOLVER_BUDGET, resolver.resolve(parts)).await else {
        tracing::error!(target: log::APPLICATION, "the application's subject lookup took too long");
        return Err(catalog::subject_unavailable());
    };
    match answer {
        Ok(subject) => Ok(Who::from_application(subject)),
        Err(Unresolved::Panicked) => Err(catalog::internal()),
        Err(Unresolved::Failed(error)) => {
            let error = &*error as &dyn std::error::Error;
            tracing::error!(target: log::APPLICATION, error, "the application's subject lookup failed");
            Err(catalog::subject_unavailable())
        }
    }
}
