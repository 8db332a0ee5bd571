//! The actions of the browsers, the store and the attacker, as proptest draws them.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

mod draw;
mod step;

use draw::{at_any_time, is_s10, of, to_a_callback, to_a_flow, to_stored_grants, to_users};
pub(crate) use step::{By, Leaves, Of, Outage, State, Step};

/// Two users and an attacker.
pub(crate) const BROWSERS: usize = 3;
pub(crate) const INSTANCES: usize = 2;

/// The application's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Subjects are the application's users rather than browser sessions.
    pub(crate) users: bool,
    /// A subject has one grant per workspace.
    pub(crate) several: bool,
}

/// What is known about a plan in advance: how many flows each browser has started, and how many
/// callbacks its user has.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    flows: [usize; BROWSERS],
    callbacks: [usize; BROWSERS],
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
        steps.extend(to_stored_grants());
        if plan.setup.users {
            steps.extend(to_users());
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
            Step::Connect { browser, .. }
            | Step::Park { browser, .. }
            | Step::LogoutMeanwhile { browser, .. }
            | Step::ResealMeanwhile { browser, leaves: Leaves::Connect, .. } => {
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
            Step::SwitchUser
            | Step::Sign { .. }
            | Step::Park { .. }
            | Step::Claim { .. }
            | Step::ClaimTwice { .. } => plan.setup.users,
            _ => true,
        }
    }
}
