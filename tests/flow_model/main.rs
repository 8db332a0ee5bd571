//! The flow as a state machine: several browsers, two instances over one store, and an attacker
//! who sends callbacks into other browsers; keys that roll, a store that fails, answers that are
//! lost, logouts in the middle, and a clock that jumps.
//!
//! proptest draws a plan of steps; `world` carries it out and holds the application to its
//! promises after every step. The seed is fixed, so that a run can be repeated; another one is
//! tried by `FLOW_MODEL_SEED=7 FLOW_MODEL_CASES=200 cargo test --all-features --test flow_model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use world::World;

/// Two people, and one who attacks them.
pub(crate) const BROWSERS: usize = 3;
pub(crate) const INSTANCES: usize = 2;

/// How the application is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Subjects are the application's users; else they are browser sessions.
    pub(crate) users: bool,
    /// A subject has a grant for each workspace.
    pub(crate) several: bool,
}

/// What is known of a plan beforehand: how many flows each browser has begun, and how many
/// callbacks its user has come by.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    flows: [usize; BROWSERS],
    callbacks: [usize; BROWSERS],
}

/// Something of a browser's, counted back from its newest: so it stays the same when proptest takes
/// earlier steps away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) browser: usize,
    pub(crate) back: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    None,
    MadeUp,
    Of(Of),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    None,
    /// The store cannot be read.
    Reads,
    /// The session that a browser has while its callback arrives cannot be read.
    Former,
    /// Nothing is written.
    Writes,
    /// What is written is kept, and the acknowledgement is lost.
    Acknowledgements,
    /// Nothing is removed.
    Removals,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A browser begins a flow by the login path.
    Begin {
        browser: usize,
        instance: usize,
    },
    /// A flow from its begin to its end, without a detour.
    Connect {
        browser: usize,
        instance: usize,
        workspace: usize,
        lost: bool,
    },
    /// Its user agrees at Webflow: a callback comes about, not yet visited.
    Approve {
        flow: Of,
        workspace: usize,
    },
    /// Its user cancels.
    Deny {
        flow: Of,
        instance: usize,
    },
    /// A browser makes its own callback; of a lost answer it hears nothing.
    Arrive {
        callback: Of,
        instance: usize,
        lost: bool,
    },
    /// A double click, or a reload at another instance.
    ArriveTwice {
        callback: Of,
        instances: [usize; 2],
    },
    /// A browser is made to send a callback out of pieces from elsewhere.
    Inject {
        browser: usize,
        code: Of,
        state: State,
        instance: usize,
        lost: bool,
    },
    Logout {
        browser: usize,
        instance: usize,
        revoke: bool,
        lost: bool,
    },
    /// A flow in whose callback the browser logs out; `late` if the callback's answer comes after
    /// the logout's.
    LogoutMeanwhile {
        browser: usize,
        instance: usize,
        revoke: bool,
        late: bool,
    },
    /// A page that calls Webflow.
    Visit {
        browser: usize,
        instance: usize,
    },
    /// Somebody else signs in to the application in the first browser.
    SwitchUser,
    Pass {
        secs: u64,
    },
    Store(Outage),
    /// A new key in front; the one before the last goes.
    RollKey,
    /// A process ends, and another one takes its place.
    Restart {
        instance: usize,
    },
    /// Every token and every unused code dies at Webflow.
    Uninstall,
}

/// One of so many of each browser, most often a browser's newest.
fn of(counts: [usize; BROWSERS]) -> Option<BoxedStrategy<Of>> {
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

/// The first one more often: what happens to one browser in a row is what tells most.
fn browser() -> impl Strategy<Value = usize> + Clone {
    prop::sample::select(vec![0, 0, 0, 1, 2])
}

fn instance() -> std::ops::Range<usize> {
    0..INSTANCES
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.25)
}

type Weighted = (u32, BoxedStrategy<Step>);

/// What can always happen.
fn at_any_time() -> Vec<Weighted> {
    let outages = vec![
        Outage::None,
        Outage::None,
        Outage::None,
        Outage::None,
        Outage::Reads,
        Outage::Former,
        Outage::Former,
        Outage::Writes,
        Outage::Acknowledgements,
        Outage::Removals,
    ];
    let connect = (browser(), instance(), 0..2_usize, prop::bool::weighted(0.4));
    let connect = connect.prop_map(|(browser, instance, workspace, lost)| Step::Connect {
        browser,
        instance,
        workspace,
        lost,
    });
    let begin = (browser(), instance());
    let begin = begin.prop_map(|(browser, instance)| Step::Begin { browser, instance });
    let logout = (browser(), instance(), any::<bool>(), rarely());
    let logout = logout.prop_map(|(browser, instance, revoke, lost)| Step::Logout {
        browser,
        instance,
        revoke,
        lost,
    });
    let meanwhile = (browser(), instance(), any::<bool>(), any::<bool>());
    let meanwhile = meanwhile.prop_map(|(browser, instance, revoke, late)| Step::LogoutMeanwhile {
        browser,
        instance,
        revoke,
        late,
    });
    let visit = (browser(), instance());
    let visit = visit.prop_map(|(browser, instance)| Step::Visit { browser, instance });
    let pass = prop::sample::select(vec![1, 1, 6, 6, 60, 60, 600, 890]);
    vec![
        (8, connect.boxed()),
        (6, begin.boxed()),
        (4, logout.boxed()),
        (2, meanwhile.boxed()),
        (3, visit.boxed()),
        (2, pass.prop_map(|secs| Step::Pass { secs }).boxed()),
        (4, prop::sample::select(outages).prop_map(Step::Store).boxed()),
        (1, Just(Step::RollKey).boxed()),
        (1, instance().prop_map(|instance| Step::Restart { instance }).boxed()),
        (1, Just(Step::Uninstall).boxed()),
    ]
}

/// What can happen to a flow that has begun.
fn to_a_flow(flow: &BoxedStrategy<Of>) -> Vec<Weighted> {
    let approve = (flow.clone(), 0..2_usize);
    let approve = approve.prop_map(|(flow, workspace)| Step::Approve { flow, workspace });
    let deny = (flow.clone(), instance());
    let deny = deny.prop_map(|(flow, instance)| Step::Deny { flow, instance });
    vec![(8, approve.boxed()), (1, deny.boxed())]
}

/// What can happen to a callback that has come about.
fn to_a_callback(callback: &BoxedStrategy<Of>, flow: &BoxedStrategy<Of>) -> Vec<Weighted> {
    let arrive = (callback.clone(), instance(), rarely());
    let arrive =
        arrive.prop_map(|(callback, instance, lost)| Step::Arrive { callback, instance, lost });
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
        // What is left out is not worth a plan that is thrown away.
        (8, inject.prop_map(without_s10).boxed()),
    ]
}

impl ReferenceStateMachine for Plan {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        (any::<bool>(), any::<bool>())
            .prop_map(|(users, several)| Self {
                setup: Setup { users, several },
                flows: [0; BROWSERS],
                callbacks: [0; BROWSERS],
            })
            .boxed()
    }

    fn transitions(plan: &Self) -> BoxedStrategy<Step> {
        let mut steps = at_any_time();
        if plan.setup.users {
            steps.push((2, Just(Step::SwitchUser).boxed()));
        }
        if let Some(flow) = of(plan.flows) {
            steps.extend(to_a_flow(&flow));
            if let Some(callback) = of(plan.callbacks) {
                steps.extend(to_a_callback(&callback, &flow));
            }
        }
        prop::strategy::Union::new_weighted(steps).boxed()
    }

    fn apply(mut plan: Self, step: &Step) -> Self {
        match step {
            Step::Begin { browser, .. } => plan.flows[*browser] += 1,
            Step::Connect { browser, .. } | Step::LogoutMeanwhile { browser, .. } => {
                plan.flows[*browser] += 1;
                plan.callbacks[*browser] += 1;
            }
            Step::Approve { flow, .. } => plan.callbacks[flow.browser] += 1,
            _ => {}
        }
        plan
    }

    fn preconditions(plan: &Self, step: &Step) -> bool {
        let flow = |of: &Of| of.back < plan.flows[of.browser];
        let callback = |of: &Of| of.back < plan.callbacks[of.browser];
        match step {
            Step::Approve { flow: of, .. } | Step::Deny { flow: of, .. } => flow(of),
            Step::Arrive { callback: of, .. } | Step::ArriveTwice { callback: of, .. } => {
                callback(of)
            }
            Step::Inject { browser, code, state, .. } => {
                let state_is_there = match state {
                    State::Of(of) => flow(of),
                    State::None | State::MadeUp => true,
                };
                callback(code) && state_is_there && !is_s10(*browser, code, state)
            }
            _ => true,
        }
    }
}

/// Somebody else's code in a flow of the browser's own: it cannot be told from an honest callback
/// without PKCE, see the threat model.
fn is_s10(browser: usize, code: &Of, state: &State) -> bool {
    matches!(state, State::Of(flow) if flow.browser == browser) && code.browser != browser
}

fn without_s10(step: Step) -> Step {
    match step {
        Step::Inject { browser, code, state, instance, lost } if is_s10(browser, &code, &state) => {
            // The attacker's whole link, then.
            let state = State::Of(Of { browser: code.browser, back: 0 });
            Step::Inject { browser, code, state, instance, lost }
        }
        step => step,
    }
}

struct FlowModel;

impl StateMachineTest for FlowModel {
    type SystemUnderTest = World;
    type Reference = Plan;

    fn init_test(plan: &Plan) -> World {
        World::new(plan.setup)
    }

    fn apply(mut world: World, _: &Plan, step: Step) -> World {
        world.take(step);
        world
    }

    fn teardown(world: World) {
        world.end();
    }
}

/// A number from the environment; tests have a fixed one.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn config(seed: u64) -> Config {
    Config {
        cases: u32::try_from(setting("FLOW_MODEL_CASES", 12)).unwrap(),
        rng_seed: RngSeed::Fixed(setting("FLOW_MODEL_SEED", 0) + seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    }
}

// Three of them, since most of the time is spent waiting and they wait at the same time.
prop_state_machine! {
    #![proptest_config(config(1))]
    #[test]
    fn no_browser_gets_anothers_grant_and_no_token_is_lost(sequential 15..50 => FlowModel);
}

prop_state_machine! {
    #![proptest_config(config(1001))]
    #[test]
    fn no_browser_gets_anothers_grant_and_no_token_is_lost_by_another_seed(
        sequential 15..50 => FlowModel
    );
}

prop_state_machine! {
    #![proptest_config(config(2001))]
    #[test]
    fn no_browser_gets_anothers_grant_and_no_token_is_lost_by_a_third_seed(
        sequential 15..50 => FlowModel
    );
}
