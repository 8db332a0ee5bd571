use tower_webflow_auth::{Subject, config::WebflowAuthBuilder};

fn with_users(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject_resolver(|_: &http::request::Parts| Some(Subject::user(42)))
}
