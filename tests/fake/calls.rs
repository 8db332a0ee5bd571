//! Calls to the Data API: the tower service, retries, patient calls, and hosts.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_webflow_auth::api::{ApiBody, ApiError, ApiService};
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, RecordedRequest};
use tower_webflow_auth::{Clock, Scope, WebflowToken};

const SITES: &str = "/v2/sites";

/// 2027-01-15 08:00:00 UTC.
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// A fake whose clock stands still, and a token for its first workspace.
async fn stage() -> (FakeWebflow, WebflowToken) {
    let clock = Clock::manual(UNIX_EPOCH + NOW);
    let fake = FakeWebflow::builder().clock(clock).start().await.unwrap();
    let token = token_of(&fake);
    (fake, token)
}

fn token_of(fake: &FakeWebflow) -> WebflowToken {
    let scopes = [Scope::SITES_READ, Scope::CMS_READ, Scope::CMS_WRITE];
    WebflowToken::for_test(scopes).webflow(fake).build()
}

fn status_with(status: u16, headers: &[(&'static str, &str)]) -> Fault {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Fault::StatusWith { status, headers: map, body: Bytes::from_static(b"{}") }
}

/// Runs a future while the clock advances a second at each turn of the runtime.
async fn with_running_clock<T>(clock: &Clock, future: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = future => done,
        () = async {
            loop {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        } => unreachable!(),
    }
}

fn since_start(clock: &Clock) -> Duration {
    clock.now().duration_since(UNIX_EPOCH + NOW).unwrap()
}

mod service {
    use super::*;

    fn get(uri: &str) -> Request<Bytes> {
        Request::get(uri).body(Bytes::new()).unwrap()
    }

    fn is_service<S>(service: S) -> S
    where
        S: Service<Request<Bytes>, Response = http::Response<ApiBody>, Error = ApiError> + Clone,
    {
        service
    }

    #[tokio::test]
    async fn adds_the_bearer_and_answers_every_status() {
        let (fake, token) = stage().await;
        let service: ApiService = is_service(token.api().service());
        let mut request = get(SITES);
        request.headers_mut().insert("authorization", "Bearer mine".parse().unwrap());
        request.headers_mut().insert("host", "evil.example".parse().unwrap());
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(serde_json::from_slice::<Value>(&body).unwrap()["sites"].is_array());
        let asked = fake.requests_to(SITES).pop().unwrap();
        let bearer = format!("Bearer {}", fake.latest_token().unwrap());
        assert_eq!(asked.header("authorization"), Some(&*bearer));
        assert_eq!(asked.headers().get_all("authorization").iter().count(), 1);
        assert_ne!(asked.header("host"), Some("evil.example"));

        for status in [404, 409, 429, 500, 503] {
            fake.clear_log();
            fake.fail_next(Endpoint::Sites, Fault::Status(status));
            let answer = service.clone().oneshot(get(SITES)).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(fake.requests_to(SITES).len(), 1, "no retry");
        }
    }

    #[tokio::test]
    async fn takes_layers() {
        let (fake, token) = stage().await;
        let mut service = ServiceBuilder::new()
            .map_request(|mut request: Request<Bytes>| {
                request.headers_mut().insert("x-request-id", "r1".parse().unwrap());
                request
            })
            .concurrency_limit(2)
            .service(token.api().service());
        let ready = service.ready().await.unwrap();
        assert!(ready.call(get(SITES)).await.unwrap().status().is_success());
        assert_eq!(fake.log()[0].header("x-request-id"), Some("r1"));
    }

    #[tokio::test]
    async fn stays_on_webflows_hosts() {
        let (fake, token) = stage().await;
        let service = token.api().service();
        let absolute = format!("{}{SITES}?a=b", fake.base_url());
        let answer = service.clone().oneshot(get(&absolute)).await.unwrap();
        assert!(answer.status().is_success());
        assert_eq!(fake.log()[0].query(), [("a".to_owned(), "b".to_owned())]);
        fake.clear_log();
        let with_user = fake.base_url().replace("http://", "http://a:b@");
        for uri in [
            "http://127.0.0.1:1/v2/sites",
            "https://evil.example/v2/sites",
            "https://api.webflow.com/v2/sites",
            "/v2/../oauth/access_token",
            "/v2/%2e%2E/oauth",
            "//evil.example/v2/sites",
            &format!("{with_user}{SITES}"),
            &format!("{}/v2/../oauth", fake.base_url()),
            "evil.example:443",
            "*",
        ] {
            let refused = service.clone().oneshot(get(uri)).await;
            assert!(matches!(refused, Err(ApiError::InvalidRequest(_))), "{uri}: {refused:?}");
        }
        assert!(fake.log().is_empty());
    }

    #[tokio::test]
    async fn confirms_a_401() {
        let (fake, token) = stage().await;
        let service = token.api().service();
        fake.revoke_everything();
        let answer = service.clone().oneshot(get(SITES)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(fake.requests_to("/v2/token/introspect").len(), 1);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "not_authorized");
    }

    #[tokio::test]
    async fn ends_within_its_time() {
        let (fake, token) = stage().await;
        let service = token.api().patiently(Duration::from_millis(100)).service();
        fake.fail_next(Endpoint::Sites, Fault::Hang);
        let slow = service.clone().oneshot(get(SITES)).await;
        assert!(matches!(slow, Err(ApiError::Timeout)), "{slow:?}");
        fake.fail_next(Endpoint::Sites, Fault::Huge(u64::MAX));
        let body = service.oneshot(get(SITES)).await.unwrap().into_body();
        let endless = error_in(body).await;
        assert!(matches!(endless, ApiError::Timeout), "{endless:?}");
    }

    async fn error_in(mut body: ApiBody) -> ApiError {
        loop {
            if let Err(error) = body.frame().await.unwrap() {
                return error;
            }
        }
    }
}

mod w9_retries {
    use super::*;

    /// How often a call is sent if it always gets this response, without pauses.
    async fn attempts(method: Method, status: u16) -> usize {
        let (fake, token) = stage().await;
        fake.answer(method.clone(), "/v2/x", status_with(status, &[("retry-after", "0")]));
        let answer = token.api().request(method, "/v2/x").send().await;
        assert!(answer.is_err());
        fake.requests_to("/v2/x").len()
    }

    #[tokio::test]
    async fn depend_on_method_and_status() {
        for status in [408, 429, 500, 502, 503, 504] {
            for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS]
            {
                assert_eq!(attempts(method.clone(), status).await, 3, "{method} {status}");
            }
            for method in [Method::POST, Method::PATCH] {
                let expected = if status == 429 { 3 } else { 1 };
                assert_eq!(attempts(method.clone(), status).await, expected, "{method} {status}");
            }
        }
        assert_eq!(attempts(Method::GET, 409).await, 3);
        assert_eq!(attempts(Method::PUT, 409).await, 1);
        for status in [400, 401, 403, 404, 410] {
            assert_eq!(attempts(Method::GET, status).await, 1, "{status}");
        }
    }

    #[tokio::test]
    async fn send_the_body_each_time() {
        let (fake, token) = stage().await;
        fake.answer(Method::POST, "/v2/x", status_with(429, &[("retry-after", "0")]));
        token.api().post("/v2/x").json(&json!({"a": 1})).send().await.unwrap_err();
        let bodies =
            fake.requests_to("/v2/x").iter().map(RecordedRequest::json).collect::<Vec<_>>();
        assert_eq!(bodies, [(); 3].map(|()| Some(json!({"a": 1}))));
    }

    /// How long a call waits, by the clock, if it is refused once and then succeeds.
    async fn waited(headers: &[(&'static str, &str)]) -> Duration {
        let (fake, token) = stage().await;
        fake.fail_next(Endpoint::Sites, status_with(503, headers));
        let call = token.api().get(SITES).timeout(Duration::from_secs(600)).send();
        let mut call = std::pin::pin!(call);
        // The clock stands still until the response has arrived, and then advances in steps.
        loop {
            tokio::select! {
                biased;
                done = &mut call => {
                    done.unwrap();
                    break;
                }
                () = tokio::task::yield_now() => {
                    if fake.requests_to(SITES).len() == 1 {
                        fake.clock().advance(Duration::from_millis(10));
                    }
                }
            }
        }
        since_start(fake.clock())
    }

    #[tokio::test]
    async fn wait_as_webflow_asks() {
        for (headers, least) in [
            (&[("retry-after", "7")][..], 7.0),
            (&[("retry-after", "2.5")], 2.5),
            (&[("retry-after", "Fri, 15 Jan 2027 08:00:09 GMT")], 8.0),
            (&[("retry-after", "4"), ("x-ratelimit-reset", "1800000060")], 4.0),
            (&[("x-ratelimit-reset", "1800000006")], 5.0),
            (&[], 0.5),
        ] {
            let waited = waited(headers).await.as_secs_f64();
            assert!(waited >= least, "{headers:?}: {waited}");
        }
    }

    #[tokio::test]
    async fn that_do_not_fit_are_not_started() {
        let (fake, token) = stage().await;
        for (headers, asked) in [
            (&[("retry-after", "60")][..], Some(60)),
            (&[("x-ratelimit-reset", "1800000030")], Some(30)),
            (&[("retry-after", "9999999999999")], Some(9_999_999_999_999)),
        ] {
            fake.clear_log();
            fake.fail_next(Endpoint::Sites, status_with(429, headers));
            match token.api().sites().await {
                Err(ApiError::RateLimited { retry_after, .. }) => {
                    assert_eq!(retry_after.map(|wait| wait.as_secs()), asked);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(fake.requests_to(SITES).len(), 1);
        }
        fake.clear_log();
        fake.fail_next(Endpoint::Sites, Fault::Status(503));
        let short = token.api().get(SITES).timeout(Duration::from_millis(400)).send().await;
        assert!(matches!(short, Err(ApiError::Status { .. })), "{short:?}");
        assert_eq!(fake.requests_to(SITES).len(), 1, "not even without a header");
    }

    #[tokio::test]
    async fn ignore_the_headers_of_a_success() {
        let (fake, token) = stage().await;
        let slow = [("retry-after", "5"), ("x-ratelimit-reset", "1800000060")];
        fake.fail_next(Endpoint::Sites, status_with(200, &slow));
        token.api().get(SITES).send().await.unwrap();
        assert_eq!(fake.log().len(), 1);
    }

    #[tokio::test]
    async fn leave_out_attempts_that_timed_out() {
        let (fake, token) = stage().await;
        fake.fail_always(Endpoint::Sites, Fault::Hang);
        let slow = token.api().get(SITES).timeout(Duration::from_millis(100)).send().await;
        assert!(matches!(slow, Err(ApiError::Timeout)), "{slow:?}");
        assert_eq!(fake.requests_to(SITES).len(), 1);
    }

    #[tokio::test]
    async fn take_in_closed_connections() {
        let (fake, token) = stage().await;
        fake.fail_next(Endpoint::Sites, Fault::Reset);
        token.api().get(SITES).send().await.unwrap();
        assert_eq!(fake.requests_to(SITES).len(), 2);
        fake.clear_log();
        fake.fail_next(Endpoint::Items, Fault::Reset);
        let path = "/v2/collections/c/items";
        let sent = token.api().post(path).json(&json!({})).send().await;
        assert!(matches!(sent, Err(ApiError::Unreachable(_))), "{sent:?}");
        assert_eq!(fake.requests_to(path).len(), 1);
    }

    #[tokio::test]
    async fn can_be_switched_off() {
        let (fake, token) = stage().await;
        for api in [token.api(), token.api().patiently(Duration::from_secs(60))] {
            fake.clear_log();
            fake.fail_next(Endpoint::Sites, status_with(429, &[("retry-after", "0")]));
            assert!(api.get(SITES).no_retry().send().await.is_err());
            assert_eq!(fake.requests_to(SITES).len(), 1);
        }
    }
}

mod patience {
    use super::*;

    fn collection_of(fake: &FakeWebflow) -> impl Future<Output = String> {
        let (token, site) = (token_of(fake), fake.workspaces()[0].sites()[0].id().to_owned());
        async move {
            let list = token.api().list::<Value>(["sites", &site, "collections"]);
            list.all().await.unwrap()[0]["id"].as_str().unwrap().to_owned()
        }
    }

    #[tokio::test]
    async fn reads_10_000_items_at_60_calls_a_minute() {
        const PAGE: usize = 50;
        let (fake, token) = stage().await;
        let collection = collection_of(&fake).await;
        assert!(fake.add_items(&collection, (0..10_000).map(|n| format!("Item {n}"))));
        fake.clear_log();

        let path = format!("/v2/collections/{collection}/items");
        let api = token.api().patiently(Duration::from_secs(300));
        let list = api.list::<Value>(["collections", &collection, "items"]).field("items");
        let job = tokio::spawn(list.page_size(PAGE).all());
        // The 61st call of a minute is refused. Then the clock advances until the next one is sent.
        for refused in 1.. {
            let asked = 61 * refused;
            tokio::select! {
                biased;
                () = fake.wait_for_requests(&path, asked) => {}
                () = async { while !job.is_finished() { tokio::task::yield_now().await } } => break,
            }
            while fake.requests_to(&path).len() == asked {
                fake.clock().advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        }
        let items = job.await.unwrap().unwrap();
        assert_eq!(items.len(), 10_000);
        assert_eq!(items[9_999]["fieldData"]["name"], "Item 9999");
        let calls = 10_000 / PAGE;
        assert_eq!(fake.requests_to(&path).len(), calls + calls / 60);
        let minutes = u64::try_from(calls / 60).unwrap();
        assert!(since_start(fake.clock()) >= Duration::from_secs(60 * minutes));
    }

    #[tokio::test]
    async fn repeats_429_as_long_as_the_time_lasts() {
        let (fake, token) = stage().await;
        for header in [&[("retry-after", "1")][..], &[]] {
            fake.clear_log();
            fake.fail_times(Endpoint::Items, 20, status_with(429, header));
            let api = token.api().patiently(Duration::from_secs(3600));
            let call = api.post("/v2/collections/c/items").json(&json!({})).send();
            let answer = with_running_clock(fake.clock(), call).await;
            assert!(matches!(answer, Err(ApiError::Status { .. })), "{answer:?}");
            assert_eq!(fake.requests_to("/v2/collections/c/items").len(), 21);
        }
    }

    #[tokio::test]
    async fn holds_back_the_patient_calls_of_a_grant_only() {
        let (fake, token) = stage().await;
        let minute = [("retry-after", "60")];
        fake.fail_next(Endpoint::Sites, status_with(429, &minute));
        token.api().sites().await.unwrap_err();

        let patient = token.api().patiently(Duration::from_secs(300));
        let held = async { patient.get("/v2/sites").send().await.unwrap() };
        let others = async {
            token.api().get(SITES).send().await.unwrap();
            let stranger = token_of(&fake).api().patiently(Duration::from_secs(300));
            stranger.get(SITES).send().await.unwrap();
            assert_eq!(fake.requests_to(SITES).len(), 3, "the refused one and the two others");
            fake.clock().advance(Duration::from_secs(60));
        };
        tokio::join!(held, others);
        assert_eq!(fake.requests_to(SITES).len(), 4);
    }

    #[tokio::test]
    async fn does_not_wait_beyond_its_time() {
        let (fake, token) = stage().await;
        fake.fail_next(Endpoint::Sites, status_with(429, &[("retry-after", "60")]));
        let api = token.api().patiently(Duration::from_secs(30));
        for sent in [1, 1] {
            match api.sites().await {
                Err(ApiError::RateLimited { retry_after: Some(wait), .. }) => {
                    assert!(wait > Duration::from_secs(59), "{wait:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(fake.requests_to(SITES).len(), sent, "the second one is held back");
        }
    }
}

mod hosts_and_types {
    use super::*;

    #[tokio::test]
    async fn cdn_takes_get_only() {
        let (fake, token) = stage().await;
        let cdn = token.api().cdn();
        let site = fake.workspaces()[0].sites()[0].id();
        let collections: Vec<Value> =
            token.api().list(["sites", site, "collections"]).all().await.unwrap();
        let id = collections[0]["id"].as_str().unwrap();
        assert!(fake.add_items(id, ["A post"]));
        let live = cdn.get(["collections", id, "items", "live"]).send().await.unwrap();
        let live: Value = live.json().await.unwrap();
        assert_eq!(live["items"][0]["fieldData"]["slug"], "a-post");
        let list = cdn.list::<Value>(["collections", id, "items", "live"]).field("items");
        assert_eq!(list.all().await.unwrap().len(), 1);

        fake.clear_log();
        let path = ["collections", id, "items"];
        for call in [cdn.post(path), cdn.put(path), cdn.patch(path), cdn.delete(path)] {
            let refused = call.send().await;
            assert!(matches!(refused, Err(ApiError::InvalidRequest(_))), "{refused:?}");
        }
        let request = Request::post("/v2/sites").body(Bytes::new()).unwrap();
        let refused = cdn.service().oneshot(request).await;
        assert!(matches!(refused, Err(ApiError::InvalidRequest(_))), "{refused:?}");
        assert!(fake.log().is_empty());
    }

    #[tokio::test]
    async fn errors_have_the_status_of_their_cause() {
        let (fake, token) = stage().await;
        for (status, expected) in [
            (400, 502),
            (403, 403),
            (404, 404),
            (409, 502),
            (418, 502),
            (429, 429),
            (500, 502),
            (503, 502),
        ] {
            fake.answer(Method::GET, "/v2/x", Fault::Status(status));
            let error = token.api().get("/v2/x").no_retry().send().await.unwrap_err();
            assert_eq!(error.status().as_u16(), expected, "{status}");
        }
        let error = token.api().get("v2/sites").send().await.unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn p3_typed_answers_serialize_as_webflow_writes_them() {
        let (_fake, token) = stage().await;
        let sites = serde_json::to_value(token.api().sites().await.unwrap()).unwrap();
        assert_eq!(sites[0]["displayName"], "Shop");
        assert_eq!(sites[0]["shortName"], "shop");
        let info = serde_json::to_value(token.api().introspect().await.unwrap()).unwrap();
        assert_eq!(info["scopes"], json!(["sites:read", "cms:read", "cms:write"]));
        assert_eq!(info["rateLimit"], 60);
        let response = token.api().get(SITES).send().await.unwrap();
        let limit = serde_json::to_value(response.rate_limit()).unwrap();
        assert_eq!(limit["limit"], 60);
    }
}
