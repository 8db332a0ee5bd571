//! The flow as a state machine: several browsers with several tabs, two instances over one store,
//! and an attacker who sends callbacks into other browsers; users who sign in and out, and codes
//! that wait for them; imports; keys that roll, and reseals; a store that fails, hangs or lags,
//! answers that are lost, logouts in the middle, browsers that hang up, and a clock that jumps.
//!
//! proptest draws a plan of steps from a seed; `world` carries it out and checks after every step
//! what the application promises. The seeds are fixed. `scripts/soak` runs fresh ones, and
//! `FLOW_MODEL_SEED=7 FLOW_MODEL_CASES=1 cargo test --all-features --test flow_model -- --ignored`
//! runs the plan of one seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod plan;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use plan::Plan;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use world::World;

/// Plans run concurrently, since they mostly wait for timeouts.
const AT_ONCE: usize = 8;

/// Seeds that were chosen arbitrarily.
const SEEDS: std::ops::Range<u64> = 0..24;

/// The seeds whose plans have failed, most of them by a fault of the crate.
const ONCE_FAILED: [u64; 12] = [
    // Two instances that replace a grant at the same moment each report it to `on_revoked`.
    27,
    // An instance whose removal fails reports a row again that another one has removed.
    1047,
    // A second choice at Webflow led to an earlier session, and the current one was left behind.
    1_795_720_945,
    // A callback whose response was lost was exchanged again after other tabs had ended in another
    // session.
    7020,
    7105,
    // The model expected a 400 for an invented code of a completed flow that is past its lifetime.
    1_795_790_306,
    // It expected a second instance to wait for the grant of a code although an invented code of the
    // same flow had made it wait before.
    1_795_790_312,
    // It allowed for the reads of one session, where there were two.
    1_795_790_316,
    1_795_790_095,
    // On a busy machine the model compared rows of two moments: a removal was tried again in between.
    1_795_750_724,
    // On a busy machine a request met the time limit of a store that hangs. Not seen again.
    1_795_751_522,
    // An injected code was parked in two flows, and the model expected the grant of one for the other.
    1_795_752_417,
];

struct FlowModel;

impl StateMachineTest for FlowModel {
    type SystemUnderTest = World;
    type Reference = Plan;

    fn init_test(plan: &Plan) -> World {
        World::new(plan.setup)
    }

    fn apply(mut world: World, _: &Plan, step: plan::Step) -> World {
        world.take(step);
        world
    }

    fn teardown(world: World) {
        world.end();
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Draws the plan of a seed and runs it. On failure, returns the shortest plan that fails.
fn run(seed: u64) -> Result<(), String> {
    let config = Config {
        cases: 1,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        // proptest-state-machine panics if it cannot shrink at all.
        max_shrink_iters: u32::try_from(setting("FLOW_MODEL_SHRINK", 400).max(1)).unwrap(),
        ..Config::default()
    };
    let plans = Plan::sequential_strategy(15..50);
    TestRunner::new(config.clone())
        .run(&plans, |(plan, steps, seen)| {
            FlowModel::test_sequential(config.clone(), plan, steps, seen);
            Ok(())
        })
        .map_err(|error| format!("seed {seed}: {error}"))
}

fn run_all(seeds: &[u64]) {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                while let Some(seed) = seeds.get(next()) {
                    if let Err(failure) = run(*seed) {
                        // A long run names the seed as soon as it is found.
                        eprintln!("seed {seed} failed");
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} plans failed\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn no_browser_gets_anothers_grant_and_no_token_is_lost() {
    run_all(&SEEDS.chain(ONCE_FAILED).collect::<Vec<_>>());
}

#[test]
#[ignore = "takes as long as it is told to: scripts/soak"]
fn fresh_cases() {
    let first = setting("FLOW_MODEL_SEED", 0);
    run_all(&(first..first + setting("FLOW_MODEL_CASES", 100)).collect::<Vec<_>>());
}
