//! What helps to test an application that uses this crate.

mod browser;
mod fake;

pub use browser::{BrowserError, Page, TestBrowser};
pub use fake::{FakeEndpoint, FakeSite, FakeWebflow, FakeWebflowBuilder, Fault, RecordedRequest};
