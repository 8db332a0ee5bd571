//! Draws the next step.

use proptest::prelude::*;

use super::{BROWSERS, By, INSTANCES, Leaves, Of, Outage, State, Step};

/// One of each browser's items, most often the newest.
pub(super) fn of(counts: [usize; BROWSERS]) -> Option<BoxedStrategy<Of>> {
    let browsers: Vec<_> = (0..BROWSERS).filter(|browser| counts[*browser] > 0).collect();
    if browsers.is_empty() {
        return None;
    }
    let back = move |browser: usize| {
        let newest = counts[browser] - 1;
        let back = prop_oneof![3 => Just(0), 1 => 0..=newest];
        back.prop_map(move |back| Of { browser, back })
    };
    Some(prop::sample::select(browsers).prop_flat_map(back).boxed())
}

/// The first browser more often, since consecutive steps of one browser find the most.
fn browser() -> impl Strategy<Value = usize> + Clone {
    prop::sample::select(vec![0, 0, 0, 1, 2])
}

fn instance() -> std::ops::Range<usize> {
    0..INSTANCES
}

/// After how many polls a browser disconnects. Mostly it does not.
fn hang_up() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0), 1 => 1..30_usize]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.25)
}

pub(super) type Weighted = (u32, BoxedStrategy<Step>);

/// Steps that are always possible.
pub(super) fn at_any_time() -> Vec<Weighted> {
    let outage = prop_oneof![2 => Just(Outage::None), 3 => prop::sample::select(&Outage::ALL)];
    let connect = (browser(), instance(), 0..2_usize, prop::bool::weighted(0.4));
    let connect = connect.prop_map(|(browser, instance, workspace, lost)| Step::Connect {
        browser,
        instance,
        workspace,
        lost,
    });
    let begin = (browser(), instance());
    let begin = begin.prop_map(|(browser, instance)| Step::Begin { browser, instance });
    let tabs =
        (browser(), prop_oneof![3 => (instance(), Just(true)), 1 => (instance(), Just(false))]);
    let tabs = (tabs, [0..2_usize, 0..2_usize]);
    let tabs = tabs.prop_map(|((browser, (one, same)), workspaces)| Step::Tabs {
        browser,
        instances: [one, if same { one } else { INSTANCES - 1 - one }],
        workspaces,
    });
    let logout = (browser(), instance(), any::<bool>(), rarely(), hang_up());
    let logout = logout.prop_map(|(browser, instance, revoke, lost, hang_up)| Step::Logout {
        browser,
        instance,
        revoke,
        lost,
        hang_up,
    });
    let fails = vec![Outage::Removals, Outage::Removals, Outage::Removed, Outage::WritesHang];
    let failed = (browser(), instance(), any::<bool>(), prop::sample::select(fails));
    let failed = failed.prop_map(|(browser, instance, revoke, outage)| Step::FailedLogout {
        browser,
        instance,
        revoke,
        outage,
    });
    let meanwhile = (browser(), instance(), any::<bool>(), any::<bool>());
    let meanwhile = meanwhile.prop_map(|(browser, instance, revoke, late)| Step::LogoutMeanwhile {
        browser,
        instance,
        revoke,
        late,
    });
    let visit = (browser(), instance(), any::<bool>());
    let visit =
        visit.prop_map(|(browser, instance, quiet)| Step::Visit { browser, instance, quiet });
    let pass = prop::sample::select(vec![1, 1, 6, 6, 60, 60, 600, 890]);
    vec![
        (8, connect.boxed()),
        (6, begin.boxed()),
        (4, logout.boxed()),
        (3, failed.boxed()),
        (3, tabs.boxed()),
        (2, meanwhile.boxed()),
        (5, visit.boxed()),
        (2, pass.prop_map(|secs| Step::Pass { secs }).boxed()),
        (4, outage.prop_map(Step::Store).boxed()),
        (1, Just(Step::RollKey).boxed()),
        (1, instance().prop_map(|instance| Step::Restart { instance }).boxed()),
        (2, Just(Step::Uninstall).boxed()),
    ]
}

/// Steps of the application on stored grants.
pub(super) fn to_stored_grants() -> Vec<Weighted> {
    let import = (instance(), any::<bool>());
    let import = import.prop_map(|(instance, again)| Step::Import { instance, again });
    let revoke = (browser(), instance());
    let revoke = revoke.prop_map(|(browser, instance)| Step::Revoke { browser, instance });
    let reseal = (instance(), any::<bool>());
    let reseal = reseal.prop_map(|(instance, rolls)| Step::Reseal { instance, rolls });
    let leaves = vec![Leaves::Connect, Leaves::Logout, Leaves::Revoking];
    let meanwhile =
        (browser(), [instance(), instance()], any::<bool>(), prop::sample::select(leaves));
    let meanwhile = meanwhile.prop_map(|(browser, instances, rolls, leaves)| {
        Step::ResealMeanwhile { browser, instances, rolls, leaves }
    });
    vec![(2, import.boxed()), (1, revoke.boxed()), (1, reseal.boxed()), (2, meanwhile.boxed())]
}

/// Steps that are possible if the application has its own users.
pub(super) fn to_users() -> Vec<Weighted> {
    let sign = (browser(), any::<bool>());
    let sign = sign.prop_map(|(browser, into)| Step::Sign { browser, into });
    let park = (browser(), instance(), any::<bool>(), rarely());
    let park = park.prop_map(|(browser, instance, begun, lost)| Step::Park {
        browser,
        instance,
        begun,
        lost,
    });
    let by = vec![By::Navigation, By::Navigation, By::LostNavigation, By::Script];
    let other = prop_oneof![6 => Just(None), 1 => browser().prop_map(Some)];
    let signs_in = prop::bool::weighted(0.8);
    let claim = (browser(), other, 0..3_usize, instance(), signs_in, prop::sample::select(by));
    let claim = claim.prop_map(|(browser, other, back, instance, signs_in, by)| Step::Claim {
        browser,
        of: Of { browser: other.unwrap_or(browser), back },
        instance,
        signs_in,
        by,
    });
    let twice = (browser(), [instance(), instance()]);
    let twice = twice.prop_map(|(browser, instances)| Step::ClaimTwice { browser, instances });
    vec![
        (2, Just(Step::SwitchUser).boxed()),
        (4, sign.boxed()),
        (5, park.boxed()),
        (6, claim.boxed()),
        (2, twice.boxed()),
    ]
}

/// Steps on a started flow.
pub(super) fn to_a_flow(flow: &BoxedStrategy<Of>) -> Vec<Weighted> {
    let approve = (flow.clone(), 0..2_usize);
    let approve = approve.prop_map(|(flow, workspace)| Step::Approve { flow, workspace });
    let deny = (flow.clone(), instance());
    let deny = deny.prop_map(|(flow, instance)| Step::Deny { flow, instance });
    let junk = (flow.clone(), instance(), 1..6_usize);
    let junk = junk.prop_map(|(flow, instance, codes)| Step::Junk { flow, instance, codes });
    vec![(8, approve.boxed()), (1, deny.boxed()), (1, junk.boxed())]
}

/// Steps on an existing callback.
pub(super) fn to_a_callback(
    callback: &BoxedStrategy<Of>,
    flow: &BoxedStrategy<Of>,
) -> Vec<Weighted> {
    let arrive = (callback.clone(), instance(), rarely(), hang_up());
    let arrive = arrive.prop_map(|(callback, instance, lost, hang_up)| Step::Arrive {
        callback,
        instance,
        lost,
        hang_up,
    });
    let twice = (callback.clone(), [instance(), instance()]);
    let twice = twice.prop_map(|(callback, instances)| Step::ArriveTwice { callback, instances });
    let state = prop_oneof![
        1 => Just(State::None),
        1 => Just(State::MadeUp),
        6 => flow.clone().prop_map(State::Of),
    ];
    let inject = (browser(), callback.clone(), state, instance(), rarely());
    let inject = inject.prop_map(|(browser, code, state, instance, lost)| Step::Inject {
        browser,
        code,
        state,
        instance,
        lost,
    });
    vec![
        (10, arrive.boxed()),
        (2, twice.boxed()),
        // Rejecting a plan for these cases would cost more than it finds.
        (8, inject.prop_map(without_s10).boxed()),
    ]
}

/// Somebody else's code in a flow of the browser cannot be distinguished from an honest callback
/// without PKCE, see the threat model.
pub(super) fn is_s10(browser: usize, code: &Of, state: &State) -> bool {
    matches!(state, State::Of(flow) if flow.browser == browser) && code.browser != browser
}

fn without_s10(step: Step) -> Step {
    match step {
        Step::Inject { browser, code, state, instance, lost } if is_s10(browser, &code, &state) => {
            // Then use the attacker's whole link.
            let state = State::Of(Of { browser: code.browser, back: 0 });
            Step::Inject { browser, code, state, instance, lost }
        }
        step => step,
    }
}
