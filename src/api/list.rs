//! Lists that come in pages.

use std::collections::VecDeque;

use futures_core::Stream;
use futures_util::stream::try_unfold;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ApiError, WebflowApi};

/// The most that Webflow gives at once.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Pagination {
    total: usize,
}

struct State<T> {
    api: WebflowApi,
    path: String,
    field: String,
    offset: usize,
    total: Option<usize>,
    page: VecDeque<T>,
}

impl WebflowApi {
    /// Every item of a list that Webflow gives in pages, fetched as they are asked for.
    ///
    /// `field` names the list in the answer, for example `collections` for
    /// `/v2/sites/{site_id}/collections`. A list without `pagination` is one page. The stream ends
    /// with the first error. Collecting it needs `futures` among your dependencies; to take items
    /// one by one, pin it: `let mut items = std::pin::pin!(api.list::<Value>(path, "items"))`, then
    /// `items.try_next().await?`. Source: Webflow Data API, *Pagination*.
    ///
    /// ```no_run
    /// use futures::TryStreamExt;
    /// use serde_json::Value;
    /// use tower_webflow_auth::{WebflowToken, api::ApiError};
    ///
    /// async fn collections(token: WebflowToken, site: &str) -> Result<Vec<Value>, ApiError> {
    ///     let path = format!("/v2/sites/{site}/collections");
    ///     token.api().list(&path, "collections").try_collect().await
    /// }
    /// ```
    pub fn list<T: DeserializeOwned + Send>(
        &self,
        path: &str,
        field: &str,
    ) -> impl Stream<Item = Result<T, ApiError>> + Send + use<T> {
        let state = State {
            api: self.clone(),
            path: path.to_owned(),
            field: field.to_owned(),
            offset: 0,
            total: None,
            page: VecDeque::new(),
        };
        try_unfold(state, |mut state| async move {
            if state.page.is_empty() && state.total.is_none_or(|total| state.offset < total) {
                state.fetch().await?;
            }
            Ok(state.page.pop_front().map(|item| (item, state)))
        })
    }
}

impl<T: DeserializeOwned> State<T> {
    async fn fetch(&mut self) -> Result<(), ApiError> {
        let window = [("offset", self.offset), ("limit", PAGE)];
        let mut answer: Value =
            self.api.get(&self.path).query(&window).send().await?.json().await?;
        let pagination = answer.get("pagination").cloned().unwrap_or_default();
        let items = answer.get_mut(&self.field).map(Value::take).unwrap_or_default();
        let items: Vec<T> = serde_json::from_value(items).map_err(ApiError::Decode)?;
        self.offset += items.len();
        let known = Pagination::deserialize(&pagination).map(|pagination| pagination.total);
        // A page without items ends the list, whatever the total says: no endless asking.
        self.total = Some(if items.is_empty() { 0 } else { known.unwrap_or(self.offset) });
        self.page = items.into();
        Ok(())
    }
}
