//! The tower types behind [`WebflowAuthLayer`]: its service, its response future, and the service
//! for the crate's own paths.
//!
//! Most applications never name these types.

mod body;
mod endpoints;
mod future;
pub(crate) mod layer;
mod renew;
mod service;

pub use crate::grant::token::Reauthorize;
pub use body::ResponseBody;
pub use endpoints::{EndpointsFuture, EndpointsService};
pub use future::ResponseFuture;
pub(crate) use layer::WebflowAuthLayer;
pub use service::WebflowAuth;
