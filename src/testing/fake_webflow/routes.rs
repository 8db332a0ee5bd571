//! Which endpoint answers a request.

use http::StatusCode;

use super::answer::{Answer, api_error, text};
use super::item::Version::{Live, Staged};
use super::log::RecordedRequest;
#[cfg(feature = "webhooks")]
use super::webhooks;
use super::world::World;
use super::{
    assets, authorize, collections, data_api, designer, forms, items, oauth, pages, sites,
};

/// The parts of a request's path.
pub fn segments(request: &RecordedRequest) -> Vec<&str> {
    request.path().split('/').skip(1).collect()
}

pub fn route(world: &World, request: &RecordedRequest) -> Answer {
    let segments = segments(request);
    let method = request.method().as_str();
    match segments.as_slice() {
        ["oauth", endpoint] => oauth_endpoint(world, request, (method, endpoint)),
        ["v2", "collections", path @ ..] => cms(world, request, (method, path)),
        ["v2", path @ ..] => data(world, request, (method, path)),
        ["beta", "token", "resolve"] if method == "POST" => {
            data_api::resolve_id_token(world, request)
        }
        ["designer", path @ ..] => designer::answer(world, request, (method, path)),
        ["designer.js"] if method == "GET" => designer::script(),
        ["uploads", id] if method == "POST" => assets::upload(world, request, id),
        _ => not_implemented(request),
    }
}

fn oauth_endpoint(world: &World, request: &RecordedRequest, asked: (&str, &str)) -> Answer {
    match asked {
        ("GET", "authorize") => authorize::show(world, request),
        ("POST", "authorize") => authorize::submit(world, request),
        ("POST", "access_token") => oauth::exchange(world, request),
        ("POST", "revoke_authorization") => oauth::revoke(world, request),
        (_, "authorize" | "access_token" | "revoke_authorization") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        }
        _ => not_implemented(request),
    }
}

/// Below `/v2/collections`.
fn cms(world: &World, request: &RecordedRequest, asked: (&str, &[&str])) -> Answer {
    match asked {
        ("GET", [id]) => collections::get(world, request, id),
        ("DELETE", [id]) => collections::delete(world, request, id),
        ("GET", [id, "items"]) => items::list(world, request, id, Staged),
        ("POST", [id, "items"]) => items::create(world, request, id, Staged),
        ("PATCH", [id, "items"]) => items::update_all(world, request, id, Staged),
        ("DELETE", [id, "items"]) => items::delete_all(world, request, id, Staged),
        ("GET", [id, "items", "live"]) => items::list(world, request, id, Live),
        ("POST", [id, "items", "live"]) => items::create(world, request, id, Live),
        ("PATCH", [id, "items", "live"]) => items::update_all(world, request, id, Live),
        ("DELETE", [id, "items", "live"]) => items::delete_all(world, request, id, Live),
        ("POST", [id, "items", "bulk"]) => items::create_bulk(world, request, id),
        ("POST", [id, "items", "publish"]) => items::publish(world, request, id),
        (_, [_, "items", "bulk" | "publish"]) => not_implemented(request),
        ("GET", [id, "items", item]) => items::get(world, request, (id, item), Staged),
        ("PATCH", [id, "items", item]) => items::update(world, request, (id, item), Staged),
        ("DELETE", [id, "items", item]) => items::delete(world, request, (id, item), Staged),
        ("GET", [id, "items", item, "live"]) => items::get(world, request, (id, item), Live),
        ("PATCH", [id, "items", item, "live"]) => items::update(world, request, (id, item), Live),
        ("DELETE", [id, "items", item, "live"]) => items::delete(world, request, (id, item), Live),
        _ => not_implemented(request),
    }
}

/// Below `/v2`.
fn data(world: &World, request: &RecordedRequest, asked: (&str, &[&str])) -> Answer {
    match asked {
        ("GET", ["token", "introspect"]) => data_api::introspect(world, request),
        ("GET", ["token", "authorized_by"]) => data_api::authorized_by(world, request),
        ("GET", ["workspaces"]) => sites::workspaces(world, request),
        ("GET", ["sites"]) => sites::list(world, request),
        ("GET", ["sites", id]) => sites::get(world, request, id),
        ("GET", ["sites", id, "custom_domains"]) => sites::custom_domains(world, request, id),
        ("POST", ["sites", id, "publish"]) => sites::publish(world, request, id),
        ("GET", ["sites", id, "collections"]) => collections::list(world, request, id),
        ("POST", ["sites", id, "collections"]) => collections::create(world, request, id),
        ("GET", ["sites", id, "pages"]) => pages::list(world, request, id),
        ("GET", ["pages", id]) => pages::get(world, request, id),
        ("PUT", ["pages", id]) => pages::update(world, request, id),
        ("GET", ["pages", id, "dom"]) => pages::content(world, request, id),
        ("GET", ["sites", id, "forms"]) => forms::list(world, request, id),
        ("GET", ["sites", id, "form_submissions"]) => forms::site_submissions(world, request, id),
        ("GET", ["forms", id]) => forms::get(world, request, id),
        ("GET", ["forms", id, "submissions"]) => forms::submissions(world, request, id),
        ("GET", ["form_submissions", id]) => forms::submission(world, request, id),
        ("PATCH", ["form_submissions", id]) => forms::update(world, request, id),
        ("DELETE", ["form_submissions", id]) => forms::delete(world, request, id),
        ("GET", ["sites", id, "assets"]) => assets::list(world, request, id),
        ("POST", ["sites", id, "assets"]) => assets::create(world, request, id),
        ("GET", ["assets", id]) => assets::get(world, request, id),
        ("PATCH", ["assets", id]) => assets::update(world, request, id),
        ("DELETE", ["assets", id]) => assets::delete(world, request, id),
        ("GET", ["sites", id, "asset_folders"]) => assets::folders(world, request, id),
        ("POST", ["sites", id, "asset_folders"]) => assets::create_folder(world, request, id),
        ("GET", ["asset_folders", id]) => assets::folder(world, request, id),
        #[cfg(feature = "webhooks")]
        ("GET", ["sites", id, "webhooks"]) => webhooks::list(world, request, id),
        #[cfg(feature = "webhooks")]
        ("POST", ["sites", id, "webhooks"]) => webhooks::create(world, request, id),
        #[cfg(feature = "webhooks")]
        ("GET", ["webhooks", id]) => webhooks::get(world, request, id),
        #[cfg(feature = "webhooks")]
        ("DELETE", ["webhooks", id]) => webhooks::remove(world, request, id),
        _ => not_implemented(request),
    }
}

/// The answer to what Webflow may serve and the fake does not.
fn not_implemented(request: &RecordedRequest) -> Answer {
    let (method, path) = (request.method(), request.path());
    let message = format!("FakeWebflow does not serve {method} {path}; see FakeWebflow::answer");
    api_error(StatusCode::NOT_IMPLEMENTED, "not_implemented", &message)
}
