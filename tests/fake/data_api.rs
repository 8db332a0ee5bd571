//! The part of the Data API that `FakeWebflow` serves (W11).

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_webflow_auth::api::{ApiError, WebflowApi};
use tower_webflow_auth::testing::{FakeWebflow, Fault};
use tower_webflow_auth::{Scope, WebflowToken};

/// A fake with a token that has all scopes on the first workspace.
struct Stage {
    fake: FakeWebflow,
    api: WebflowApi,
    site: String,
}

impl Stage {
    async fn new() -> Self {
        let fake = FakeWebflow::builder().rate_limit(1000).start().await.unwrap();
        let token = WebflowToken::for_test(Scope::DOCUMENTED.iter().cloned());
        let api = token.webflow(&fake).build().api();
        let site = fake.workspaces()[0].sites()[0].id().to_owned();
        Self { fake, api, site }
    }

    /// Calls a path below `/v2`, and returns the response's status and JSON.
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method: Method = method.parse().unwrap();
        let request = self.api.request(method, format!("/v2/{path}")).no_retry();
        let request = if body.is_null() { request } else { request.json(&body) };
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap()),
            Err(ApiError::Status { status, body, .. }) => (status.as_u16(), body.code.into()),
            Err(ApiError::RateLimited { body, .. }) => (429, body.code.into()),
            Err(ApiError::NoAccess { body, .. }) => (401, body.code.into()),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn collection(&self) -> String {
        let collections = self.get(&format!("sites/{}/collections", self.site)).await;
        collections["collections"][0]["id"].as_str().unwrap().to_owned()
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["fieldData"]["name"].as_str().unwrap()).collect()
}

fn post(name: &str) -> Value {
    json!({"fieldData": {"name": name}})
}

#[tokio::test]
async fn w11_introspection_returns_the_application_id() {
    let stage = Stage::new().await;
    let answer = stage.get("token/introspect").await;
    let id = answer["application"]["id"].as_str().unwrap();
    assert_eq!(id, stage.fake.application_id());
    assert_ne!(id, stage.fake.client_id());
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}

#[tokio::test]
async fn w11_sites_have_locales_and_remember_their_publication() {
    let stage = Stage::new().await;
    let path = format!("sites/{}", stage.site);
    let site = stage.get(&path).await;
    assert_eq!(site["locales"]["primary"]["tag"], "en");
    assert_eq!(site["locales"]["secondary"], json!([]));
    assert_eq!(site["lastPublished"], Value::Null);
    let body = json!({"publishToWebflowSubdomain": true});
    let published = stage.call("POST", &format!("{path}/publish"), body.clone()).await;
    assert_eq!(published, (202, json!({"customDomains": [], "publishToWebflowSubdomain": true})));
    assert!(stage.get(&path).await["lastPublished"].is_string());
    let again = stage.call("POST", &format!("{path}/publish"), body).await;
    assert_eq!(again, (429, "too_many_requests".into()), "once a minute");
    let other = stage.fake.workspaces()[1].sites()[0].id();
    let foreign = stage.call("GET", &format!("sites/{other}"), Value::Null).await;
    assert_eq!(foreign, (401, "not_authorized".into()));
    let unknown = stage.call("GET", "sites/x", Value::Null).await;
    assert_eq!(unknown, (404, "resource_not_found".into()));
    let domains = stage.get(&format!("{path}/custom_domains")).await;
    assert_eq!(domains, json!({"customDomains": []}));
}

#[tokio::test]
async fn w11_items_are_drafts_by_default_and_live_ones_are_not() {
    let stage = Stage::new().await;
    let items = format!("collections/{}/items", stage.collection().await);
    let (status, draft) = stage.call("POST", &items, post("A draft")).await;
    assert_eq!((status, &draft["isDraft"]), (202, &json!(true)));
    let locale = &stage.get(&format!("sites/{}", stage.site)).await["locales"]["primary"];
    assert_eq!(draft["cmsLocaleId"], locale["cmsLocaleId"]);
    let (status, live) = stage.call("POST", &format!("{items}/live"), post("Live")).await;
    assert_eq!((status, &live["isDraft"]), (202, &json!(false)));
    assert!(live["lastPublished"].is_string());
    assert_eq!(names(&stage.get(&items).await), ["A draft", "Live"]);
    assert_eq!(names(&stage.get(&format!("{items}/live")).await), ["Live"]);

    let id = draft["id"].as_str().unwrap();
    let one = format!("{items}/{id}");
    assert_eq!(stage.call("GET", &format!("{one}/live"), Value::Null).await.0, 404);
    let body = json!({"itemIds": [id, "unknown"]});
    let (status, answer) = stage.call("POST", &format!("{items}/publish"), body).await;
    assert_eq!((status, &answer["publishedItemIds"]), (202, &json!([id])));
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    assert_eq!(stage.get(&format!("{one}/live")).await["isDraft"], false);

    // A staged change is not live before it is published.
    let change = json!({"fieldData": {"name": "Changed"}});
    let (status, changed) = stage.call("PATCH", &one, change).await;
    assert_eq!((status, &changed["fieldData"]["name"]), (200, &json!("Changed")));
    assert_eq!(changed["fieldData"]["slug"], "a-draft");
    assert_eq!(stage.get(&format!("{one}/live")).await["fieldData"]["name"], "A draft");
    let change = json!({"fieldData": {"name": "Changed live"}});
    assert_eq!(stage.call("PATCH", &format!("{one}/live"), change).await.0, 200);
    assert_eq!(stage.get(&format!("{one}/live")).await["fieldData"]["name"], "Changed live");

    let nothing = (204, Value::Null);
    assert_eq!(stage.call("DELETE", &format!("{one}/live"), Value::Null).await, nothing);
    assert_eq!(stage.get(&one).await["isDraft"], true, "off the site, but still there");
    assert_eq!(stage.call("DELETE", &one, Value::Null).await, nothing);
    assert_eq!(stage.call("GET", &one, Value::Null).await, (404, "resource_not_found".into()));
}

#[tokio::test]
async fn w11_items_are_written_in_bulk() {
    let stage = Stage::new().await;
    let items = format!("collections/{}/items", stage.collection().await);
    let body = json!({"items": [post("One"), post("Two")]});
    let (status, made) = stage.call("POST", &items, body).await;
    assert_eq!((status, names(&made)), (202, vec!["One", "Two"]));
    let fields = [json!({"name": "Three"}), json!({"name": "Four"})];
    let body = json!({"isDraft": false, "fieldData": fields});
    let (status, bulk) = stage.call("POST", &format!("{items}/bulk"), body).await;
    assert_eq!((status, names(&bulk)), (202, vec!["Three", "Four"]));
    assert_eq!(bulk["items"][0]["cmsLocaleIds"].as_array().unwrap().len(), 1);
    let body = json!({"cmsLocaleIds": ["l1", "l2"], "fieldData": {"name": "Five"}});
    let (status, one) = stage.call("POST", &format!("{items}/bulk"), body).await;
    assert_eq!((status, &one["cmsLocaleIds"]), (202, &json!(["l1", "l2"])));

    let ids: Vec<_> = made["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    let archive = ids.iter().map(|id| json!({"id": id, "isArchived": true}));
    let body = json!({"items": archive.collect::<Value>()});
    let (status, changed) = stage.call("PATCH", &items, body).await;
    assert_eq!((status, &changed["items"][1]["isArchived"]), (200, &json!(true)));
    let (status, _) = stage.call("PATCH", &format!("{items}/live"), changed.clone()).await;
    assert_eq!(status, 404, "they are not live");

    // Publishing the site publishes all items that are neither drafts nor archived.
    let path = format!("sites/{}/publish", stage.site);
    assert_eq!(stage.call("POST", &path, json!({})).await.0, 202);
    assert_eq!(names(&stage.get(&format!("{items}/live")).await), ["Three", "Four"]);
    let live = json!({"items": [{"id": bulk["items"][0]["id"]}]});
    assert_eq!(stage.call("DELETE", &format!("{items}/live"), live).await.0, 204);
    assert_eq!(names(&stage.get(&format!("{items}/live")).await), ["Four"]);
    let body = json!({"items": ids.iter().map(|id| json!({"id": id})).collect::<Value>()});
    assert_eq!(stage.call("DELETE", &items, body.clone()).await.0, 204);
    assert_eq!(stage.call("DELETE", &items, body).await.0, 404);
    assert_eq!(names(&stage.get(&items).await), ["Three", "Four", "Five"]);
}

#[tokio::test]
async fn w11_items_are_filtered_and_sorted() {
    let stage = Stage::new().await;
    let collection = stage.collection().await;
    assert!(stage.fake.add_items(&collection, ["Pear", "Apple", "Plum"]));
    let items = format!("collections/{collection}/items");
    stage.call("POST", &items, post("Fig")).await;
    let locale = stage.get(&format!("sites/{}", stage.site)).await;
    let locale = locale["locales"]["primary"]["cmsLocaleId"].as_str().unwrap();
    for (query, expected) in [
        ("name=Apple", &["Apple"][..]),
        ("slug=plum", &["Plum"]),
        ("name=apple", &[]),
        ("sortBy=name", &["Apple", "Fig", "Pear", "Plum"]),
        ("sortBy=slug&sortOrder=desc&limit=2", &["Plum", "Pear"]),
        ("sortBy=name&offset=3", &["Plum"]),
        ("lastPublished[gte]=2020-01-01T00:00:00Z", &["Pear", "Apple", "Plum"]),
        ("lastPublished[lte]=2020-01-01T00:00:00.000Z", &[]),
        ("cmsLocaleId=x", &[]),
        (&format!("cmsLocaleId=x,{locale}&name=Fig"), &["Fig"]),
    ] {
        assert_eq!(names(&stage.get(&format!("{items}?{query}")).await), expected, "{query}");
    }
    for bad in ["sortBy=id", "sortOrder=up", "limit=101", "offset=-1", "lastPublished[gte]=x"] {
        let refused = stage.call("GET", &format!("{items}?{bad}"), Value::Null).await;
        assert_eq!(refused, (400, "validation_error".into()), "{bad}");
    }
}

#[tokio::test]
async fn w11_slugs_are_unique_in_a_collection() {
    let stage = Stage::new().await;
    let items = format!("collections/{}/items", stage.collection().await);
    let made = stage.call("POST", &items, post("A post")).await.1;
    let second = stage.call("POST", &items, post("A post")).await.1;
    assert_eq!(made["fieldData"]["slug"], "a-post");
    assert_eq!(second["fieldData"]["slug"], "a-post-2");
    let taken = json!({"fieldData": {"name": "Other", "slug": "a-post"}});
    let refused = (400, Value::from("validation_error"));
    assert_eq!(stage.call("POST", &items, taken.clone()).await, refused);
    let body = json!({"items": [post("Fine"), taken.clone()]});
    assert_eq!(stage.call("POST", &items, body).await, refused, "all or none");
    let second = format!("{items}/{}", second["id"].as_str().unwrap());
    assert_eq!(stage.call("PATCH", &second, taken).await, refused);
    let own = json!({"fieldData": {"slug": "a-post-2"}});
    assert_eq!(stage.call("PATCH", &second, own).await.0, 200);
    let odd = json!({"fieldData": {"name": "x", "slug": "a/b"}});
    assert_eq!(stage.call("POST", &items, odd).await, refused);
    assert_eq!(stage.get(&items).await["pagination"]["total"], 2);
}

#[tokio::test]
async fn collections_are_created_and_removed() {
    let stage = Stage::new().await;
    let path = format!("sites/{}/collections", stage.site);
    let body = json!({"displayName": "Recipes", "singularName": "Recipe"});
    let (_, made) = stage.call("POST", &path, body).await;
    assert_eq!((&made["slug"], &made["fields"][0]["slug"]), (&json!("recipe"), &json!("name")));
    let one = format!("collections/{}", made["id"].as_str().unwrap());
    assert_eq!(stage.get(&one).await, made);
    assert_eq!(stage.call("POST", &format!("{one}/items"), post("Soup")).await.0, 202);
    assert_eq!(stage.call("DELETE", &one, Value::Null).await, (204, Value::Null));
    assert_eq!(stage.call("GET", &one, Value::Null).await, (404, "resource_not_found".into()));
    assert_eq!(stage.get(&path).await["collections"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn pages_are_listed_and_changed() {
    let stage = Stage::new().await;
    let list = stage.api.list::<Value>(["sites", &stage.site, "pages"]).page_size(2);
    let pages = list.all().await.unwrap();
    assert_eq!(pages.len(), 5);
    let path = format!("pages/{}", pages[1]["id"].as_str().unwrap());
    assert_eq!(stage.get(&path).await, pages[1]);
    let change = json!({"title": "Who we are", "seo": {"title": "Us"}});
    assert_eq!(stage.call("PUT", &path, change).await.0, 200);
    let changed = stage.get(&path).await;
    assert_eq!((&changed["title"], &changed["slug"]), (&json!("Who we are"), &json!("about")));
    assert_eq!(stage.get(&format!("{path}/dom")).await["pageId"], pages[1]["id"]);
    assert_eq!(stage.call("GET", "pages/x", Value::Null).await.0, 404);
}

#[tokio::test]
async fn forms_have_submissions() {
    let stage = Stage::new().await;
    let forms = stage.get(&format!("sites/{}/forms", stage.site)).await;
    let form = format!("forms/{}", forms["forms"][0]["id"].as_str().unwrap());
    assert_eq!(stage.get(&form).await, forms["forms"][0]);
    let sent = stage.fake.submit_form(&stage.site, &json!({"Name": "Ada"})).unwrap();
    assert_eq!(stage.fake.submit_form("x", &json!({})), None);
    for path in [format!("{form}/submissions"), format!("sites/{}/form_submissions", stage.site)] {
        let submissions = stage.get(&path).await;
        assert_eq!(submissions["formSubmissions"][0]["formResponse"]["Name"], "Ada", "{path}");
    }
    let path = format!("form_submissions/{sent}");
    let change = json!({"formSubmissionData": {"Email": "ada@example.com"}});
    assert_eq!(stage.call("PATCH", &path, change).await.0, 200);
    let expected = json!({"Name": "Ada", "Email": "ada@example.com"});
    assert_eq!(stage.get(&path).await["formResponse"], expected);
    assert_eq!(stage.call("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(stage.call("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn assets_are_announced_and_then_sent() {
    let stage = Stage::new().await;
    let path = format!("sites/{}/assets", stage.site);
    let body = json!({"fileName": "a.png", "fileHash": "3c7d87c9575702bc3b1e991f4d3c638e"});
    let (status, upload) = stage.call("POST", &path, body).await;
    assert_eq!((status, &upload["contentType"]), (202, &json!("image/png")));
    let to = upload["uploadUrl"].as_str().unwrap();
    let sent = reqwest::Client::new().post(to).body("12345").send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let assets = stage.get(&path).await;
    assert_eq!(
        (&assets["assets"][0]["size"], &assets["pagination"]["total"]),
        (&json!(5), &json!(1))
    );
    let one = format!("assets/{}", upload["id"].as_str().unwrap());
    let (status, changed) = stage.call("PATCH", &one, json!({"altText": "A picture"})).await;
    assert_eq!((status, &changed["altText"]), (200, &json!("A picture")));
    assert_eq!(stage.get(&one).await, changed);
    assert_eq!(stage.call("DELETE", &one, Value::Null).await.0, 204);
    assert_eq!(stage.call("POST", &path, json!({"fileName": "a"})).await.0, 400);

    let folders = format!("sites/{}/asset_folders", stage.site);
    let (_, folder) = stage.call("POST", &folders, json!({"displayName": "Icons"})).await;
    assert_eq!(stage.get(&folders).await["assetFolders"][0], folder);
    let path = format!("asset_folders/{}", folder["id"].as_str().unwrap());
    assert_eq!(stage.get(&path).await, folder);
}

#[tokio::test]
async fn workspaces_are_those_of_the_grant() {
    let stage = Stage::new().await;
    let workspaces = stage.get("workspaces").await;
    let acme = stage.fake.workspaces()[0].id();
    let expected = json!({"workspaces": [{"id": acme, "name": "Acme", "slug": "acme"}]});
    assert_eq!(workspaces, expected);

    let other = WebflowToken::for_test([Scope::SITES_READ]).webflow(&stage.fake).build();
    let refused = other.api().get("/v2/workspaces").send().await.unwrap_err();
    assert!(matches!(refused, ApiError::Forbidden { .. }), "{refused:?}");
}

#[tokio::test]
async fn w11_what_is_not_served_is_501_and_can_be_answered() {
    let stage = Stage::new().await;
    let not_served = (501, Value::from("not_implemented"));
    for (method, path) in [
        ("GET", "nowhere"),
        ("GET", "sites/x/redirects"),
        ("PATCH", "sites/x"),
        ("GET", "collections/x/items/bulk"),
    ] {
        assert_eq!(stage.call(method, path, Value::Null).await, not_served, "{method} {path}");
    }
    let redirects = json!({"redirects": []});
    stage.fake.answer(Method::GET, "/v2/sites/x/redirects", Fault::json(200, &redirects));
    stage.fake.answer(Method::GET, "/v2/sites", Fault::json(203, &json!({"sites": null})));
    for _ in 0..2 {
        assert_eq!(stage.get("sites/x/redirects?limit=1").await, redirects);
        assert_eq!(stage.call("GET", "sites", Value::Null).await.0, 203);
    }
    assert_eq!(stage.call("POST", "sites/x/redirects", json!({})).await, not_served);
    stage.fake.heal();
    assert_eq!(stage.call("GET", "sites/x/redirects", Value::Null).await, not_served);
    assert!(stage.get("sites").await["sites"].is_array());
}

#[tokio::test]
async fn w11_an_unknown_scope_goes_back_to_the_app() {
    let stage = Stage::new().await;
    stage.fake.register_redirect_uri("http://127.0.0.1:9/cb");
    let mut link = stage.fake.install_url();
    let with_scope = |scope: &str| format!("scope={scope}&state=s");
    let query = link.query().unwrap().split("scope=").next().unwrap().to_owned();
    link.set_query(Some(&format!("{query}{}", with_scope("sites:fly"))));
    let back = stage.fake.approve(&link).unwrap();
    assert!(back.as_str().starts_with("http://127.0.0.1:9/cb?error=invalid_scope&"), "{back}");
    assert!(back.as_str().ends_with("&state=s"), "{back}");
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let page = http.build().unwrap().get(link).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], back.as_str());
}
