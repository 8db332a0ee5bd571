//! Helpers without knowledge of Webflow: time, background work, metrics.

pub(crate) mod background;
pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod log;
pub(crate) mod metrics;
