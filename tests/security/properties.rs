//! Property tests through the service: what must hold for any sequence of requests.

use std::time::Duration;

use proptest::prelude::*;

use crate::support;
use crate::support::hostile::{Answer, CALLBACK, Https, LOGIN, cookies_set, parameter};

/// Browsers keep up to 4096 bytes of name and value (RFC 6265bis section 5.6); servers commonly
/// take header lines of up to 8 KiB.
const MAX_COOKIE: usize = 4096;
const MAX_HEADER: usize = 8192;
const MAX_FLOWS: usize = 8;

/// A step of a browser.
#[derive(Debug, Clone)]
enum Step {
    /// Opens a protected page whose path has this length.
    Open(usize),
    /// Follows a login link with a `return_to` of this length and this many additional scopes.
    Login(usize, usize),
    /// Returns from Webflow with the n-th open flow.
    Return(usize),
    /// Returns from an install, without a state.
    Install,
    /// Waits for that many seconds.
    Wait(u64),
    /// Gets a cookie of that length from another host, named like a flow cookie.
    Toss(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..6000).prop_map(Step::Open),
        4 => (0_usize..6000, prop_oneof![Just(0), 0_usize..20]).prop_map(|(path, scopes)| Step::Login(path, scopes)),
        2 => (0_usize..8).prop_map(Step::Return),
        1 => Just(Step::Install),
        1 => (0_u64..1000).prop_map(Step::Wait),
        1 => (1_usize..3000).prop_map(Step::Toss),
    ]
}

#[derive(Default)]
struct Browser {
    jar: Vec<(String, String)>,
    /// The authorization URL of each started flow.
    begun: Vec<String>,
}

impl Browser {
    fn cookies(&self) -> String {
        let pairs: Vec<_> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn take(&mut self, answer: &Answer) {
        for (name, value) in cookies_set(answer.set_cookies()) {
            self.jar.retain(|(kept, _)| *kept != name);
            if !value.is_empty() {
                self.jar.push((name, value));
            }
        }
        if let Some(location) = answer.headers.get("location").and_then(|it| it.to_str().ok())
            && location.contains("response_type=code")
        {
            self.begun.push(location.to_owned());
        }
    }

    /// The crate's cookies, without those that another host has set.
    fn ours(&self) -> impl Iterator<Item = &(String, String)> {
        self.jar.iter().filter(|(name, _)| !name.ends_with("-tossed"))
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let app = Https::start(|builder| builder, support::router).await;
    let mut browser = Browser::default();
    for step in steps {
        let begun = browser.begun.len();
        let target = match &step {
            Step::Open(len) => format!("/sites?{}", "x".repeat(*len)),
            Step::Login(len, scopes) => {
                let more = (0..*scopes).map(|n| format!("{}{n}:read", "x".repeat(50)));
                let more = more.collect::<Vec<_>>().join("+");
                format!("{LOGIN}?return_to=/{}&scope={more}", "y".repeat(*len))
            }
            Step::Return(n) => {
                let authorize = browser.begun.get(browser.begun.len().wrapping_sub(n + 1));
                // Webflow refuses unknown scopes.
                let Some(Ok(callback)) = authorize.map(|it| app.fake.approve(it)) else { continue };
                format!("{}?{}", callback.path(), callback.query().unwrap())
            }
            Step::Install => format!("{CALLBACK}?code=of-an-installation"),
            Step::Wait(secs) => {
                app.clock.advance(Duration::from_secs(*secs));
                continue;
            }
            Step::Toss(len) => {
                let name = "__Host-webflow-flow-tossed".to_owned();
                browser.jar.retain(|(kept, _)| *kept != name);
                browser.jar.push((name, "z".repeat(*len)));
                continue;
            }
        };
        let answer = app.visit(&target, &browser.cookies()).await;
        prop_assert!(!answer.status.is_server_error(), "{step:?}: {}", answer.text);
        browser.take(&answer);

        for (name, value) in browser.ours() {
            prop_assert!(name.len() + value.len() <= MAX_COOKIE, "{name} after {step:?}");
        }
        let flows: Vec<_> =
            browser.ours().filter(|(name, _)| name.starts_with("__Host-webflow-flow-")).collect();
        prop_assert!(flows.len() <= MAX_FLOWS, "{} flows after {step:?}", flows.len());
        let all: usize = browser.ours().map(|(n, v)| n.len() + v.len() + "=; ".len()).sum();
        prop_assert!("cookie: ".len() + all <= MAX_HEADER, "{all} bytes after {step:?}");
        // A flow that was just started can be completed: its cookie was not evicted.
        if browser.begun.len() > begun {
            let state = parameter(browser.begun.last().unwrap(), "state");
            let denied = format!("{CALLBACK}?error=access_denied&state={state}");
            let answer = app.visit(&denied, &browser.cookies()).await;
            prop_assert_eq!(
                answer.status.as_u16(),
                403,
                "the newest flow is lost: {}",
                answer.text
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn s11_no_sequence_of_starts_exceeds_cookie_limits(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}
