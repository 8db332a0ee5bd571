//! What the browsers, the store and the attacker do, as proptest draws it.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

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
    /// What is removed is gone, and the acknowledgement is lost.
    Removed,
    /// Neither reads nor writes come to an end.
    Hang,
    /// Writes and removals come to no end, reads do.
    WritesHang,
    /// Reads come from a replica that hears of no change.
    Lag,
}

impl Outage {
    const ALL: [Self; 9] = [
        Self::Reads,
        Self::Former,
        Self::Writes,
        Self::Acknowledgements,
        Self::Removals,
        Self::Removed,
        Self::Hang,
        Self::WritesHang,
        Self::Lag,
    ];
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
    /// A browser makes its own callback; of a lost answer it hears nothing. With `hang_up` it first
    /// made the same one and was gone after so many polls.
    Arrive {
        callback: Of,
        instance: usize,
        lost: bool,
        hang_up: usize,
    },
    /// Two tabs with a flow each come back at the same moment.
    Tabs {
        browser: usize,
        instances: [usize; 2],
        workspaces: [usize; 2],
    },
    /// A browser makes up codes for its own flow.
    Junk {
        flow: Of,
        instance: usize,
        codes: usize,
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
        hang_up: usize,
    },
    /// A logout during which the store has an outage.
    FailedLogout {
        browser: usize,
        instance: usize,
        revoke: bool,
        outage: Outage,
    },
    /// A flow in whose callback the browser logs out; `late` if the callback's answer comes after
    /// the logout's.
    LogoutMeanwhile {
        browser: usize,
        instance: usize,
        revoke: bool,
        late: bool,
    },
    /// A page that calls Webflow; a quiet one keeps to itself what Webflow says.
    Visit {
        browser: usize,
        instance: usize,
        quiet: bool,
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

/// After how many polls a browser hangs up; mostly it does not.
fn hang_up() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0), 1 => 1..30_usize]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.25)
}

type Weighted = (u32, BoxedStrategy<Step>);

/// What can always happen.
fn at_any_time() -> Vec<Weighted> {
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

/// What can happen to a flow that has begun.
fn to_a_flow(flow: &BoxedStrategy<Of>) -> Vec<Weighted> {
    let approve = (flow.clone(), 0..2_usize);
    let approve = approve.prop_map(|(flow, workspace)| Step::Approve { flow, workspace });
    let deny = (flow.clone(), instance());
    let deny = deny.prop_map(|(flow, instance)| Step::Deny { flow, instance });
    let junk = (flow.clone(), instance(), 1..6_usize);
    let junk = junk.prop_map(|(flow, instance, codes)| Step::Junk { flow, instance, codes });
    vec![(8, approve.boxed()), (1, deny.boxed()), (1, junk.boxed())]
}

/// What can happen to a callback that has come about.
fn to_a_callback(callback: &BoxedStrategy<Of>, flow: &BoxedStrategy<Of>) -> Vec<Weighted> {
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
            Step::Tabs { browser, .. } => {
                plan.flows[*browser] += 2;
                plan.callbacks[*browser] += 2;
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
            Step::Approve { flow: of, .. }
            | Step::Deny { flow: of, .. }
            | Step::Junk { flow: of, .. } => flow(of),
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
