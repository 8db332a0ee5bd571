mod endpoints;
pub use endpoints::Endpoints;
