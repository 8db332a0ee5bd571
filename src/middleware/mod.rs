//! The tower middleware: the layer, its service and its response future.

mod body;
mod endpoints;
mod future;
mod layer;
mod renew;
mod service;

pub use body::ResponseBody;
pub use endpoints::{EndpointsFuture, EndpointsService};
pub use future::ResponseFuture;
pub use layer::WebflowAuthLayer;
pub use service::WebflowAuth;
