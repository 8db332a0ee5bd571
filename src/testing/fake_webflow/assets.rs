//! Assets and their folders.
//!
//! Source: Webflow Data API, Assets, *List Assets*, *Upload Asset*, *Get*, *Update* and *Delete
//! Asset*, *List*, *Create* and *Get Asset Folder*.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, empty, invalid, json, not_found};
use super::list::{page_of, whole};
use super::log::RecordedRequest;
use super::sites::{with_site, with_site_where};
use super::state::{FakeState, lock, timestamp};
use super::workspaces::Site;
use crate::grant::scope::Scope;

/// The assets and folders of all sites, each as the API answers it.
#[derive(Default)]
pub struct Assets {
    assets: Vec<Value>,
    folders: Vec<Value>,
}

/// `GET /v2/sites/{site_id}/assets`.
pub fn list(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::ASSETS_READ, site_id, |site| {
        let assets = of_site(&lock(&fake.assets).assets, site);
        page_of(fake, &assets, "assets", request)
    })
}

/// `POST /v2/sites/{site_id}/assets`: announces a file, which is then sent to `uploadUrl`.
pub fn create(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::ASSETS_WRITE, site_id, |site| {
        let body = request.json().unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let (Some(name), Some(hash)) = (text("fileName"), text("fileHash")) else {
            return invalid("fileName and fileHash must be strings");
        };
        if hash.len() != 32 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return invalid("fileHash is not an MD5 in hexadecimal digits");
        }
        let (id, now) = (fake.ids.id(), timestamp(fake.clock.now()));
        let hosted = format!("https://assets.webflow.example/{}/{id}_{name}", site.id());
        let content_type = content_type(name);
        let folder = body.get("parentFolder").cloned().unwrap_or_default();
        lock(&fake.assets).assets.push(json!({
            "id": id,
            "siteId": site.id(),
            "originalFileName": name,
            "displayName": format!("{id}_{name}"),
            "contentType": content_type,
            "size": 0,
            "hostedUrl": hosted,
            "createdOn": now,
            "lastUpdated": now,
            "variants": [],
            "altText": null,
            "folderId": folder,
        }));
        let upload = json!({
            "id": id,
            "parentFolder": folder,
            "originalFileName": name,
            "contentType": content_type,
            "uploadUrl": fake.endpoints.api_path(&format!("/uploads/{id}")).as_str(),
            "uploadDetails": {
                "acl": "public-read",
                "bucket": "fake",
                "key": format!("{}/{id}_{name}", site.id()),
                "success_action_status": "201",
                "content-type": content_type,
            },
            "assetUrl": hosted,
            "hostedUrl": hosted,
            "createdOn": now,
            "lastUpdated": now,
        });
        json(StatusCode::ACCEPTED, &upload)
    })
}

/// `POST /uploads/{asset_id}`, the fake's place for the file itself, which takes no token.
pub fn upload(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    let mut assets = lock(&fake.assets);
    let asset = assets.assets.iter_mut().find(|asset| text(asset, "id") == id);
    match asset.and_then(Value::as_object_mut) {
        Some(asset) => {
            asset.insert("size".to_owned(), request.body().len().into());
            empty(StatusCode::CREATED)
        }
        None => not_found("no file is expected here"),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// `GET /v2/assets/{asset_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_asset(fake, request, &Scope::ASSETS_READ, id, |assets, at| {
        json(StatusCode::OK, assets.get(at).unwrap_or(&Value::Null))
    })
}

/// `PATCH /v2/assets/{asset_id}`.
pub fn update(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_asset(fake, request, &Scope::ASSETS_WRITE, id, |assets, at| {
        let body = request.json().unwrap_or_default();
        let Some(asset) = assets.get_mut(at) else { return empty(StatusCode::OK) };
        if let Some(fields) = asset.as_object_mut() {
            for name in ["displayName", "altText"] {
                fields.extend(body.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            fields.insert("lastUpdated".to_owned(), timestamp(fake.clock.now()).into());
        }
        json(StatusCode::OK, asset)
    })
}

/// `DELETE /v2/assets/{asset_id}`.
pub fn delete(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_asset(fake, request, &Scope::ASSETS_WRITE, id, |assets, at| {
        assets.remove(at);
        empty(StatusCode::NO_CONTENT)
    })
}

fn with_asset(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    id: &str,
    endpoint: impl FnOnce(&mut Vec<Value>, usize) -> Answer,
) -> Answer {
    let has_it = |site: &Site| find(&lock(&fake.assets).assets, site, id).is_some();
    with_site_where(fake, request, scope, has_it, |site| {
        let mut assets = lock(&fake.assets);
        let at = find(&assets.assets, site, id).unwrap_or_default();
        endpoint(&mut assets.assets, at)
    })
}

/// `GET /v2/sites/{site_id}/asset_folders`, which is not paged.
pub fn folders(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::ASSETS_READ, site_id, |site| {
        let folders = of_site(&lock(&fake.assets).folders, site);
        json(StatusCode::OK, &whole(&folders, "assetFolders"))
    })
}

/// `POST /v2/sites/{site_id}/asset_folders`.
pub fn create_folder(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::ASSETS_WRITE, site_id, |site| {
        let body = request.json().unwrap_or_default();
        let Some(name) = body.get("displayName").and_then(Value::as_str) else {
            return invalid("displayName is missing or not a string");
        };
        let now = timestamp(fake.clock.now());
        let folder = json!({
            "id": fake.ids.id(),
            "displayName": name,
            "parentFolder": body.get("parentFolder").cloned().unwrap_or_default(),
            "assets": [],
            "siteId": site.id(),
            "createdOn": now,
            "lastUpdated": now,
        });
        lock(&fake.assets).folders.push(folder.clone());
        json(StatusCode::OK, &folder)
    })
}

/// `GET /v2/asset_folders/{asset_folder_id}`.
pub fn folder(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    let has_it = |site: &Site| find(&lock(&fake.assets).folders, site, id).is_some();
    with_site_where(fake, request, &Scope::ASSETS_READ, has_it, |site| {
        let assets = lock(&fake.assets);
        let at = find(&assets.folders, site, id).unwrap_or_default();
        json(StatusCode::OK, assets.folders.get(at).unwrap_or(&Value::Null))
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn of_site(all: &[Value], site: &Site) -> Vec<Value> {
    all.iter().filter(|it| text(it, "siteId") == site.id()).cloned().collect()
}

fn find(all: &[Value], site: &Site, id: &str) -> Option<usize> {
    all.iter().position(|it| text(it, "id") == id && text(it, "siteId") == site.id())
}
