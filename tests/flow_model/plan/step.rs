//! The steps.

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
    pub(super) const ALL: [Self; 9] = [
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

    pub(crate) const fn fails_removals(self) -> bool {
        matches!(self, Self::Removals | Self::Removed | Self::Hang | Self::WritesHang)
    }
}

/// Who asks for the grant of a parked code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Navigation,
    /// The answer never arrives.
    LostNavigation,
    Script,
}

/// What a browser does while rows are sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Connect,
    Logout,
    Revoking,
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
    /// Somebody else sits down in front of the first browser.
    SwitchUser,
    /// Its user signs in to the application, or out of it.
    Sign {
        browser: usize,
        into: bool,
    },
    /// A flow whose callback comes when nobody is signed in; `begun` by the user, or by nobody.
    Park {
        browser: usize,
        instance: usize,
        begun: bool,
        lost: bool,
    },
    /// A browser asks for the grant of a code that is parked.
    Claim {
        browser: usize,
        of: Of,
        instance: usize,
        signs_in: bool,
        by: By,
    },
    ClaimTwice {
        browser: usize,
        instances: [usize; 2],
    },
    /// The application imports a token: a new one, or the same `again`.
    Import {
        instance: usize,
        again: bool,
    },
    /// The application ends all that a browser's user has.
    Revoke {
        browser: usize,
        instance: usize,
    },
    /// Rows are sealed with the newest key.
    Reseal {
        instance: usize,
        rolls: bool,
    },
    /// The same while a browser comes or goes, at the second of the instances.
    ResealMeanwhile {
        browser: usize,
        instances: [usize; 2],
        rolls: bool,
        leaves: Leaves,
    },
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
