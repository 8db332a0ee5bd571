//! Paginated lists.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use futures_core::Stream;
use futures_util::stream::try_unfold;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value};

use super::{ApiError, ApiPath, ApiRequest, WebflowApi};

/// The largest page that Webflow returns.
const MAX_PAGE: usize = 100;

impl WebflowApi {
    /// Reads all items of a list, across its pages.
    ///
    /// Configure the request with the methods of [`ApiList`], then call [`all`](ApiList::all) or
    /// [`stream`](ApiList::stream). Source: Webflow Data API, *Pagination*.
    ///
    /// ```no_run
    /// use serde_json::Value;
    /// use tower_webflow_auth::{WebflowToken, api::ApiError};
    ///
    /// async fn collections(token: WebflowToken, site: &str) -> Result<Vec<Value>, ApiError> {
    ///     Ok(token.api().list(["sites", site, "collections"]).all().await?)
    /// }
    /// ```
    pub fn list<T: DeserializeOwned + Send>(&self, path: impl ApiPath) -> ApiList<T> {
        ApiList { request: self.get(path), field: None, page_size: MAX_PAGE, items: PhantomData }
    }
}

/// A request for a paginated list.
///
/// Pages are requested by `cursor` if the response has `pagination.nextCursor`, otherwise by
/// `offset`. A list that supports neither is requested once. A list that is `null` is empty.
///
/// ```no_run
/// use serde_json::Value;
/// use tower_webflow_auth::WebflowToken;
///
/// async fn posts(token: WebflowToken, collection: &str) -> Vec<Value> {
///     let list = token.api().list(["collections", collection, "items"]).field("items");
///     match list.query(&[("sortBy", "lastPublished")]).all().await {
///         Ok(items) => items,
///         Err(broken) => {
///             eprintln!("only the first {}: {}", broken.read.len(), broken.error);
///             broken.read
///         }
///     }
/// }
/// ```
#[must_use = "nothing is sent before `all` or `stream`"]
pub struct ApiList<T> {
    request: ApiRequest,
    field: Option<String>,
    page_size: usize,
    items: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send> ApiList<T> {
    /// The member of the response that holds the list, for example `items`.
    ///
    /// The default is the only member except `pagination` that is a list or null. A response with
    /// several of them is [`ApiError::Decode`].
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// Appends query parameters to the request of every page. Can be called repeatedly.
    pub fn query<Q: Serialize + ?Sized>(mut self, parameters: &Q) -> Self {
        self.request = self.request.query(parameters);
        self
    }

    /// The number of items per page, 1 to 100. The default is 100. Any other number is
    /// [`ApiError::InvalidRequest`].
    pub const fn page_size(mut self, items: usize) -> Self {
        self.page_size = items;
        self
    }

    /// A stream of the items, which requests pages as needed and ends after the first error.
    ///
    /// The stream must be pinned: `let mut items = std::pin::pin!(list.stream())`, then
    /// `items.try_next().await?` with `TryStreamExt` of the crate `futures`.
    pub fn stream(self) -> impl Stream<Item = Result<T, ApiError>> + Send + use<T> {
        try_unfold((Pages::new(self), VecDeque::new()), |(mut pages, mut page)| async move {
            if page.is_empty() {
                page = pages.next().await?.into();
            }
            Ok(page.pop_front().map(|item| (item, (pages, page))))
        })
    }

    /// Collects all items.
    ///
    /// # Errors
    /// [`ListError`], which holds the error and the items read before it.
    pub async fn all(self) -> Result<Vec<T>, ListError<T>> {
        let (mut pages, mut read) = (Pages::new(self), Vec::new());
        loop {
            match pages.next().await {
                Ok(page) if page.is_empty() => return Ok(read),
                Ok(page) => read.extend(page),
                Err(error) => return Err(ListError { read, error }),
            }
        }
    }
}

impl<T> fmt::Debug for ApiList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiList").field("request", &self.request).finish_non_exhaustive()
    }
}

/// An error while reading a list, with the items read before it.
///
/// It converts into its [`ApiError`], so `?` works in functions that return one.
#[derive(Debug, thiserror::Error)]
#[error("the list could not be read beyond {} items", .read.len())]
#[non_exhaustive]
pub struct ListError<T> {
    /// The items of the pages before the error.
    pub read: Vec<T>,
    /// Why the next page could not be read.
    #[source]
    pub error: ApiError,
}

impl<T> From<ListError<T>> for ApiError {
    fn from(broken: ListError<T>) -> Self {
        broken.error
    }
}

/// Where the next page begins.
enum Next {
    First,
    Offset(usize),
    Cursor(String),
    End,
}

struct Pages<T> {
    list: ApiList<T>,
    next: Next,
    /// The number of items read so far.
    read: usize,
    /// The cursors so far. A repeated one ends the list.
    cursors: HashSet<String>,
    /// The first item of the previous page.
    first: Option<Value>,
}

impl<T: DeserializeOwned> Pages<T> {
    fn new(list: ApiList<T>) -> Self {
        Self { list, next: Next::First, read: 0, cursors: HashSet::new(), first: None }
    }

    /// The next page; empty at the end of the list.
    async fn next(&mut self) -> Result<Vec<T>, ApiError> {
        let asked = std::mem::replace(&mut self.next, Next::End);
        let page_size = self.list.page_size;
        if !(1..=MAX_PAGE).contains(&page_size) {
            return Err(ApiError::InvalidRequest("the page size is not from 1 to 100".into()));
        }
        let request = self.list.request.duplicate().query(&[("limit", page_size)]);
        let request = match &asked {
            Next::End => return Ok(Vec::new()),
            Next::First => request,
            Next::Offset(offset) => request.query(&[("offset", offset)]),
            Next::Cursor(cursor) => request.query(&[("cursor", cursor)]),
        };
        let mut answer: Map<String, Value> = request.send().await?.json().await?;
        let pagination = Pagination::parse(&answer.remove("pagination").unwrap_or_default());
        let items = items(answer, self.list.field.as_deref())?;
        if let Next::Offset(offset) = asked {
            let same = || items.first() == self.first.as_ref();
            if pagination.offset.map_or_else(same, |taken| taken != offset) {
                // The list ignores `offset`: the first response was the whole list.
                return Ok(Vec::new());
            }
        }
        self.read += items.len();
        self.next = self.after(&asked, &pagination, items.len());
        self.first = items.first().cloned();
        serde_json::from_value(Value::Array(items)).map_err(ApiError::Decode)
    }

    fn after(&mut self, asked: &Next, pagination: &Pagination, count: usize) -> Next {
        if let Some(cursor) = pagination.next_cursor.clone().filter(|cursor| !cursor.is_empty()) {
            let goes_on = count > 0 && self.cursors.insert(cursor.clone());
            return if goes_on { Next::Cursor(cursor) } else { Next::End };
        }
        let page_size = self.list.page_size;
        // A list that ignores `limit` does not support `offset` either.
        if matches!(asked, Next::Cursor(_)) || count == 0 || count > page_size {
            return Next::End;
        }
        let goes_on = match (pagination.total, pagination.offset) {
            (Some(total), _) => self.read < total,
            // Without a total, only a full page indicates another one.
            (None, Some(_)) => count >= pagination.limit.unwrap_or(page_size).min(page_size),
            (None, None) => false,
        };
        if goes_on { Next::Offset(self.read) } else { Next::End }
    }
}

/// The `pagination` of a response. Every field is optional.
struct Pagination {
    limit: Option<usize>,
    offset: Option<usize>,
    total: Option<usize>,
    next_cursor: Option<String>,
}

impl Pagination {
    fn parse(value: &Value) -> Self {
        let number = |name| usize::try_from(value.get(name)?.as_u64()?).ok();
        Self {
            limit: number("limit"),
            offset: number("offset"),
            total: number("total"),
            next_cursor: value.get("nextCursor").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// The list in a response. `null` is an empty list.
fn items(mut answer: Map<String, Value>, field: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let is_list = |value: &Value| value.is_array() || value.is_null();
    let found = if let Some(name) = field {
        answer.remove(name).filter(is_list)
    } else {
        let mut lists = answer.into_iter().filter(|(_, value)| is_list(value));
        let first = lists.next().map(|(_, value)| value);
        first.filter(|_| lists.next().is_none())
    };
    match found {
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Ok(Vec::new()),
        None => Err(ApiError::Decode(serde_json::Error::custom(match field {
            Some(_) => "the response has no list of that name",
            None => "the response does not have exactly one list; name it with `field`",
        }))),
    }
}
