use serde_json::Value;
use tower_webflow_auth::{WebflowToken, api::ApiError};

async fn pages(token: WebflowToken, site: String) -> Result<Value, ApiError> {
    token.api().get(["sites".to_owned(), site]).send().await?.json().await
}
