//! Which items of a collection are asked for, and in which order.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::list::param;
use super::log::RecordedRequest;

/// The items that the query selects, sorted as it says; or what is wrong with it.
pub fn select<'a>(
    items: impl Iterator<Item = &'a Value>,
    request: &RecordedRequest,
) -> Result<Vec<&'a Value>, String> {
    let mut items: Vec<_> = items.collect();
    for name in ["name", "slug"] {
        if let Some(wanted) = param(request, name) {
            items.retain(|item| field(item, name) == Some(wanted));
        }
    }
    if let Some(wanted) = param(request, "cmsLocaleId") {
        let wanted: Vec<_> = wanted.split(',').map(str::trim).collect();
        items.retain(|item| text(item, "cmsLocaleId").is_some_and(|id| wanted.contains(&id)));
    }
    let published = |item: &Value| text(item, "lastPublished").and_then(time);
    if let Some(from) = bound(request, "lastPublished[gte]")? {
        items.retain(|item| published(item).is_some_and(|at| at >= from));
    }
    if let Some(until) = bound(request, "lastPublished[lte]")? {
        items.retain(|item| published(item).is_some_and(|at| at <= until));
    }
    match param(request, "sortBy") {
        None => {}
        Some(name @ ("name" | "slug")) => {
            items.sort_by(|a, b| field(a, name).cmp(&field(b, name)));
        }
        Some("lastPublished") => items.sort_by_key(|item| published(item)),
        Some(other) => return Err(format!("sortBy: {other} is not lastPublished, name or slug")),
    }
    match param(request, "sortOrder") {
        None | Some("asc") => {}
        Some("desc") => items.reverse(),
        Some(other) => return Err(format!("sortOrder: {other} is not asc or desc")),
    }
    Ok(items)
}

fn text<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item.get(name)?.as_str()
}

fn field<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    text(item.get("fieldData")?, name)
}

fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn bound(request: &RecordedRequest, name: &str) -> Result<Option<OffsetDateTime>, String> {
    let Some(value) = param(request, name) else { return Ok(None) };
    time(value).map(Some).ok_or_else(|| format!("{name}: {value} is not a time"))
}
