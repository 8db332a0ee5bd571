//! The sites that the connection covers.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use tower_webflow_auth::api::SiteInfo;

use super::{Frame, Place};
use crate::routes::Tour;
use crate::words;

/// Where Webflow keeps the pictures; the pages' policy allows no other place.
const PICTURES: &str = "https://screenshots.webflow.com/";

/// With more sites than this the list is for finding one, and the pictures are small.
const MANY: usize = 12;

/// The sites of Webflow's answer; of an entry that is no site nothing is known.
pub(crate) fn read(answer: &Value) -> Vec<SiteInfo> {
    let sites = answer["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
    sites.iter().map(|site| serde_json::from_value(site.clone()).unwrap_or_default()).collect()
}

pub(crate) fn page(tour: &Tour, answer: &Value) -> Response {
    let sites = read(answer);
    let frame = Frame { title: "Sites", place: Place::Sites, connected: true };
    let content = html! {
        h1 { "Your sites" }
        @if sites.is_empty() {
            (none(tour))
        } @else {
            p.lead { (words::count(sites.len(), "site", "sites")) " in this connection." }
            ul.sites.dense[sites.len() > MANY] { @for site in &sites { (card(site)) } }
        }
    };
    frame.respond(StatusCode::OK, &content)
}

fn none(tour: &Tour) -> Markup {
    let login = tour.auth.login_path().unwrap_or("/sites");
    html! {
        div.empty {
            h2 { "Nothing here yet" }
            p {
                "The connection covers no site. Create one at Webflow, or connect again and pick "
                "others."
            }
            p.actions { a.button href={ (login) "?return_to=/sites" } { "Pick other sites" } }
        }
    }
}

fn card(site: &SiteInfo) -> Markup {
    html! {
        li.site {
            (picture(site))
            div {
                h2 {
                    @if site.display_name.is_empty() { "Untitled site" } @else { (site.display_name) }
                }
                @if !site.short_name.is_empty() {
                    p.soft { (site.short_name) ".webflow.io" }
                }
                p.soft {
                    @match site.last_published.get(..10) {
                        Some(day) => { "Published " time datetime=(site.last_published) { (day) } }
                        None => "Not published yet",
                    }
                }
            }
        }
    }
}

/// The site's picture, over a drawn one that is seen while there is none.
fn picture(site: &SiteInfo) -> Markup {
    let hash = site
        .id
        .bytes()
        .fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let letter = site.display_name.chars().next().unwrap_or('W').to_uppercase();
    html! {
        div class={ "picture hue-" (hash % 6) } aria-hidden="true" {
            svg viewBox="0 0 320 180" {
                rect.bar width="320" height="22" {}
                circle cx="14" cy="11" r="3.5" {}
                circle cx="26" cy="11" r="3.5" {}
                circle cx="38" cy="11" r="3.5" {}
                text x="32" y="96" { (letter) }
                @if hash / 6 % 2 == 0 {
                    path d="M32 118h120M32 134h88M208 52h80v98h-80z" {}
                } @else {
                    path d="M32 116h256M32 134h72v24h-72zM124 134h72v24h-72zM216 134h72v24h-72z" {}
                }
            }
            @if site.preview_url.starts_with(PICTURES) {
                img src=(site.preview_url) alt="" loading="lazy" width="320" height="180";
            }
        }
    }
}
