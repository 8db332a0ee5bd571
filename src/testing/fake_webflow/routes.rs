//! Which endpoint answers a request.

use http::StatusCode;

use super::answer::{Answer, api_error, text};
use super::item::Version::{Live, Staged};
use super::log::RecordedRequest;
use super::state::FakeState;
#[cfg(feature = "webhooks")]
use super::webhooks;
use super::{
    assets, authorize, collections, data_api, designer, forms, items, oauth, pages, sites,
};

/// The parts of a request's path.
pub fn segments(request: &RecordedRequest) -> Vec<&str> {
    request.path().split('/').skip(1).collect()
}

pub fn route(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let segments = segments(request);
    let method = request.method().as_str();
    match segments.as_slice() {
        ["oauth", endpoint] => oauth_endpoint(fake, request, (method, endpoint)),
        ["v2", "collections", path @ ..] => cms(fake, request, (method, path)),
        ["v2", path @ ..] => data(fake, request, (method, path)),
        ["beta", "token", "resolve"] if method == "POST" => {
            data_api::resolve_id_token(fake, request)
        }
        ["designer", path @ ..] => designer::answer(fake, request, (method, path)),
        ["designer.js"] if method == "GET" => designer::script(),
        ["uploads", id] if method == "POST" => assets::upload(fake, request, id),
        _ => not_implemented(request),
    }
}

fn oauth_endpoint(fake: &FakeState, request: &RecordedRequest, asked: (&str, &str)) -> Answer {
    match asked {
        ("GET", "authorize") => authorize::show(fake, request),
        ("POST", "authorize") => authorize::submit(fake, request),
        ("POST", "access_token") => oauth::exchange(fake, request),
        ("POST", "revoke_authorization") => oauth::revoke(fake, request),
        (_, "authorize" | "access_token" | "revoke_authorization") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        }
        _ => not_implemented(request),
    }
}

/// Below `/v2/collections`.
fn cms(fake: &FakeState, request: &RecordedRequest, asked: (&str, &[&str])) -> Answer {
    match asked {
        ("GET", [id]) => collections::get(fake, request, id),
        ("DELETE", [id]) => collections::delete(fake, request, id),
        ("GET", [id, "items"]) => items::list(fake, request, id, Staged),
        ("POST", [id, "items"]) => items::create(fake, request, id, Staged),
        ("PATCH", [id, "items"]) => items::update_all(fake, request, id, Staged),
        ("DELETE", [id, "items"]) => items::delete_all(fake, request, id, Staged),
        ("GET", [id, "items", "live"]) => items::list(fake, request, id, Live),
        ("POST", [id, "items", "live"]) => items::create(fake, request, id, Live),
        ("PATCH", [id, "items", "live"]) => items::update_all(fake, request, id, Live),
        ("DELETE", [id, "items", "live"]) => items::delete_all(fake, request, id, Live),
        ("POST", [id, "items", "bulk"]) => items::create_bulk(fake, request, id),
        ("POST", [id, "items", "publish"]) => items::publish(fake, request, id),
        (_, [_, "items", "bulk" | "publish"]) => not_implemented(request),
        ("GET", [id, "items", item]) => items::get(fake, request, (id, item), Staged),
        ("PATCH", [id, "items", item]) => items::update(fake, request, (id, item), Staged),
        ("DELETE", [id, "items", item]) => items::delete(fake, request, (id, item), Staged),
        ("GET", [id, "items", item, "live"]) => items::get(fake, request, (id, item), Live),
        ("PATCH", [id, "items", item, "live"]) => items::update(fake, request, (id, item), Live),
        ("DELETE", [id, "items", item, "live"]) => items::delete(fake, request, (id, item), Live),
        _ => not_implemented(request),
    }
}

/// Below `/v2`.
fn data(fake: &FakeState, request: &RecordedRequest, asked: (&str, &[&str])) -> Answer {
    match asked {
        ("GET", ["token", "introspect"]) => data_api::introspect(fake, request),
        ("GET", ["token", "authorized_by"]) => data_api::authorized_by(fake, request),
        ("GET", ["workspaces"]) => sites::workspaces(fake, request),
        ("GET", ["sites"]) => sites::list(fake, request),
        ("GET", ["sites", id]) => sites::get(fake, request, id),
        ("GET", ["sites", id, "custom_domains"]) => sites::custom_domains(fake, request, id),
        ("POST", ["sites", id, "publish"]) => sites::publish(fake, request, id),
        ("GET", ["sites", id, "collections"]) => collections::list(fake, request, id),
        ("POST", ["sites", id, "collections"]) => collections::create(fake, request, id),
        ("GET", ["sites", id, "pages"]) => pages::list(fake, request, id),
        ("GET", ["pages", id]) => pages::get(fake, request, id),
        ("PUT", ["pages", id]) => pages::update(fake, request, id),
        ("GET", ["pages", id, "dom"]) => pages::content(fake, request, id),
        ("GET", ["sites", id, "forms"]) => forms::list(fake, request, id),
        ("GET", ["sites", id, "form_submissions"]) => forms::site_submissions(fake, request, id),
        ("GET", ["forms", id]) => forms::get(fake, request, id),
        ("GET", ["forms", id, "submissions"]) => forms::submissions(fake, request, id),
        ("GET", ["form_submissions", id]) => forms::submission(fake, request, id),
        ("PATCH", ["form_submissions", id]) => forms::update(fake, request, id),
        ("DELETE", ["form_submissions", id]) => forms::delete(fake, request, id),
        ("GET", ["sites", id, "assets"]) => assets::list(fake, request, id),
        ("POST", ["sites", id, "assets"]) => assets::create(fake, request, id),
        ("GET", ["assets", id]) => assets::get(fake, request, id),
        ("PATCH", ["assets", id]) => assets::update(fake, request, id),
        ("DELETE", ["assets", id]) => assets::delete(fake, request, id),
        ("GET", ["sites", id, "asset_folders"]) => assets::folders(fake, request, id),
        ("POST", ["sites", id, "asset_folders"]) => assets::create_folder(fake, request, id),
        ("GET", ["asset_folders", id]) => assets::folder(fake, request, id),
        #[cfg(feature = "webhooks")]
        ("GET", ["sites", id, "webhooks"]) => webhooks::list(fake, request, id),
        #[cfg(feature = "webhooks")]
        ("POST", ["sites", id, "webhooks"]) => webhooks::create(fake, request, id),
        #[cfg(feature = "webhooks")]
        ("GET", ["webhooks", id]) => webhooks::get(fake, request, id),
        #[cfg(feature = "webhooks")]
        ("DELETE", ["webhooks", id]) => webhooks::remove(fake, request, id),
        _ => not_implemented(request),
    }
}

/// The answer to what Webflow may serve and the fake does not.
fn not_implemented(request: &RecordedRequest) -> Answer {
    let (method, path) = (request.method(), request.path());
    let message = format!("FakeWebflow does not serve {method} {path}; see FakeWebflow::answer");
    api_error(StatusCode::NOT_IMPLEMENTED, "not_implemented", &message)
}
