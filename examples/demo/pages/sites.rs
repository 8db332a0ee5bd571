//! The sites that the connection covers.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use tower_webflow_auth::api::SiteInfo;

use super::{Frame, Place};
use crate::routes::Tour;
use crate::words;

/// Webflow's screenshot host, the only one that the Content-Security-Policy allows.
const PICTURES: &str = "https://screenshots.webflow.com/";

/// Above this number of sites the list is compact, with small pictures.
const MANY: usize = 12;

/// The sites in Webflow's response. A malformed entry becomes a site without any details.
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
            h2 { "No sites yet" }
            p {
                "The connection covers no sites. Create one at Webflow, or connect again and pick "
                "other sites."
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

/// The site's screenshot, on top of a placeholder drawing.
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
