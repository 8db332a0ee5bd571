//! Lists in pages. Source: Webflow Data API, *Pagination*.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Answer, ListShape, invalid, json};
use super::log::RecordedRequest;
use super::state::FakeState;

/// The longest page.
const MAX_LIMIT: usize = 100;

/// The prefix of cursors, so that an offset is not taken for one.
const CURSOR: &str = "from-";

/// A parameter of the query.
pub fn param<'a>(request: &'a RecordedRequest, name: &str) -> Option<&'a str> {
    request.query().iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The page that is asked for, in the shape that is set.
pub fn page_of(
    fake: &FakeState,
    all: &[impl Serialize],
    name: &str,
    request: &RecordedRequest,
) -> Answer {
    let number = |text: Option<&str>, default| text.map_or(Ok(default), str::parse::<usize>);
    let shape = fake.settings().list_shape;
    let begin = match shape {
        ListShape::Cursor => {
            number(param(request, "cursor").map(|it| it.trim_start_matches(CURSOR)), 0)
        }
        _ => number(param(request, "offset"), 0),
    };
    let limit = number(param(request, "limit"), MAX_LIMIT);
    let (Ok(begin), Ok(limit @ ..=MAX_LIMIT)) = (begin, limit) else {
        return invalid("offset and limit must be numbers, limit at most 100");
    };
    let total = all.len();
    let page: Vec<_> = all.iter().skip(begin).take(limit).collect();
    let end = begin.saturating_add(page.len());
    let answer = match shape {
        ListShape::Offset => {
            json!({name: page, "pagination": {"limit": limit, "offset": begin, "total": total}})
        }
        ListShape::Cursor => {
            let next = (end < total).then(|| format!("{CURSOR}{end}"));
            json!({name: page, "pagination": {"limit": limit, "nextCursor": next}})
        }
        ListShape::Whole => whole(all, name),
        ListShape::Null => json!({name: null}),
    };
    json(StatusCode::OK, &answer)
}

/// A list that is not paged but has a `pagination`.
pub fn whole(all: &[impl Serialize], name: &str) -> Value {
    let count = all.len();
    json!({name: all, "pagination": {"limit": count.max(1), "offset": 0, "total": count}})
}
