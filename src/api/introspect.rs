//! Introspection for callers that interpret a 401 themselves.

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::error::status_error;
use super::{ApiBody, ApiClient, ApiError, ApiResponse, deadline};
use crate::webflow::{Introspection, LOOKUP_BUDGET};

impl ApiClient {
    /// Introspects the token; `None` if Webflow answers 401.
    pub async fn introspect(
        &self,
        token: &SecretString,
    ) -> Result<Option<Introspection>, ApiError> {
        let deadline = deadline(self.budget.min(LOOKUP_BUDGET));
        let secret = token.expose_secret();
        let request = self.http.get(self.endpoints.introspect()).bearer_auth(secret);
        let request = request.timeout(deadline.saturating_duration_since(Instant::now())).send();
        let response = timeout_at(deadline, request).await.map_err(|_| ApiError::Timeout)?;
        let response = response.map_err(ApiError::from_transport)?;
        let answer = ApiResponse::new(http::Response::from(response).map(ApiBody));
        match answer.status() {
            status if status.is_success() => {
                let body: Value = answer.json().await?;
                Ok(Some(Introspection::from_answer(&body)))
            }
            StatusCode::UNAUTHORIZED => Ok(None),
            _ => Err(status_error(answer, secret, self.clock.now()).await),
        }
    }
}
