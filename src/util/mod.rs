//! Helpers without knowledge of Webflow: time, background work, metrics.

pub mod background;
pub mod clock;
pub mod deadline;
pub mod log;
pub mod metrics;
