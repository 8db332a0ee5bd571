//! Test utilities that need no Webflow account; feature `testing`.

mod browser;
mod fake_webflow;
mod html;
mod layer;
mod store_contract;
mod token;

pub use browser::{BrowserError, Page, TestBrowser};
pub use fake_webflow::{
    Access, Endpoint, ErrorShape, FakeWebflow, FakeWebflowBuilder, Fault, ListShape,
    RecordedRequest, Refused, ScopeShape, Site, Workspace,
};
#[cfg(feature = "webhooks")]
pub use fake_webflow::{Delivered, Delivery, FakeEvent, FakeWebhook};
pub use store_contract::{ContractReport, ContractViolation, store_contract};
pub use token::TestToken;
