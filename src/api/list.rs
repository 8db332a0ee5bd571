//! Lists that come in pages.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use futures_core::Stream;
use futures_util::stream::try_unfold;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value};

use super::{ApiError, ApiPath, ApiRequest, WebflowApi};

/// The most that Webflow gives at once.
const MAX_PAGE: usize = 100;

impl WebflowApi {
    /// Every item of a list, page after page.
    ///
    /// The call is filled by [`ApiList`]'s methods and ends with [`all`](ApiList::all) or
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

/// A list of Webflow's Data API, to be read whole or item by item.
///
/// Lists page by `cursor` or by `offset`; one that does neither is read once. A list that is `null`
/// is empty.
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
    /// The member of the answer that is the list, for example `items`. By default it is the only
    /// one beside `pagination` that is a list or null; an answer with several is
    /// [`ApiError::Decode`].
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// Appends query parameters, which every page is asked with. Repeatable.
    pub fn query<Q: Serialize + ?Sized>(mut self, parameters: &Q) -> Self {
        self.request = self.request.query(parameters);
        self
    }

    /// How many items to ask for at once, 1 to 100; default 100. Any other number is
    /// [`ApiError::InvalidRequest`].
    pub const fn page_size(mut self, items: usize) -> Self {
        self.page_size = items;
        self
    }

    /// The items one by one; pages are fetched as they are needed.
    ///
    /// Ends after the first error. Collecting it needs `futures` among your dependencies; to take
    /// items one by one, pin it: `let mut items = std::pin::pin!(list.stream())`, then
    /// `items.try_next().await?`.
    pub fn stream(self) -> impl Stream<Item = Result<T, ApiError>> + Send + use<T> {
        try_unfold((Pages::new(self), VecDeque::new()), |(mut pages, mut page)| async move {
            if page.is_empty() {
                page = pages.next().await?.into();
            }
            Ok(page.pop_front().map(|item| (item, (pages, page))))
        })
    }

    /// All items.
    ///
    /// # Errors
    /// [`ListError`], with the items of the pages before.
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

/// A list that broke off.
///
/// As a response, and by `?` in a function that returns [`ApiError`], it is the error alone.
#[derive(Debug, thiserror::Error)]
#[error("the list broke off after {} items", .read.len())]
#[non_exhaustive]
pub struct ListError<T> {
    /// The items of the pages before.
    pub read: Vec<T>,
    /// Why there are no more.
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
    /// How many items came so far.
    read: usize,
    /// The cursors so far: one that comes again ends the list.
    cursors: HashSet<String>,
    /// The first item of the page before.
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
        let pagination = Pagination::of(&answer.remove("pagination").unwrap_or_default());
        let items = items(answer, self.list.field.as_deref())?;
        if let Next::Offset(offset) = asked {
            let same = || items.first() == self.first.as_ref();
            if pagination.offset.map_or_else(same, |taken| taken != offset) {
                // The list does not take `offset`: the first page was all of it.
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
        // More than was asked for: the list takes no limit, so it takes no offset either.
        if matches!(asked, Next::Cursor(_)) || count == 0 || count > page_size {
            return Next::End;
        }
        let goes_on = match (pagination.total, pagination.offset) {
            (Some(total), _) => self.read < total,
            // Without a total, only a full page says that there may be more.
            (None, Some(_)) => count >= pagination.limit.unwrap_or(page_size).min(page_size),
            (None, None) => false,
        };
        if goes_on { Next::Offset(self.read) } else { Next::End }
    }
}

/// The `pagination` of an answer; each field may be missing.
struct Pagination {
    limit: Option<usize>,
    offset: Option<usize>,
    total: Option<usize>,
    next_cursor: Option<String>,
}

impl Pagination {
    fn of(value: &Value) -> Self {
        let number = |name| usize::try_from(value.get(name)?.as_u64()?).ok();
        Self {
            limit: number("limit"),
            offset: number("offset"),
            total: number("total"),
            next_cursor: value.get("nextCursor").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// The list in an answer; null is an empty one.
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
            Some(_) => "the answer has no list of that name",
            None => "the answer has not exactly one list; name it by `field`",
        }))),
    }
}
