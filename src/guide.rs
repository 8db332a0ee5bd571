// The pages also live in the repository, where their links point to files. `links.md` comes first
// because rustdoc uses the first of two definitions of a link.
#![doc = include_str!("links.md")]
#![doc = include_str!("../docs/guide/README.md")]

macro_rules! pages {
    ($($name:ident = $file:literal;)+) => { $(
        #[doc = include_str!("links.md")]
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )+ };
}

pages! {
    quick_start = "guide/quick-start.md";
    flow = "guide/flow.md";
    install = "guide/install.md";
    placing = "guide/placing.md";
    persistence = "guide/persistence.md";
    keys = "guide/keys.md";
    instances = "guide/instances.md";
    errors = "guide/errors.md";
    calls = "guide/calls.md";
    webhooks = "guide/webhooks.md";
    panels = "guide/panels.md";
    command = "guide/command.md";
    review = "guide/review.md";
    testing = "guide/testing.md";
    troubleshooting = "guide/troubleshooting.md";
    migrating = "guide/migrating.md";
    examples = "../examples/README.md";
    observability = "observability.md";
    runbook = "runbook.md";
    architecture = "architecture.md";
    state = "state.md";
    decisions = "decisions.md";
    threat_model = "threat-model.md";
    performance = "performance.md";
}
