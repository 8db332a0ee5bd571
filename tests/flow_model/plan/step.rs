//! The steps.

/// An item of a browser, counted back from its newest, so that it stays the same when proptest
/// removes earlier steps.
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
    /// The session of the browser whose callback arrives cannot be read.
    Former,
    /// Writes fail.
    Writes,
    /// Writes succeed, but their acknowledgements are lost.
    Acknowledgements,
    /// Removals fail.
    Removals,
    /// Removals succeed, but their acknowledgements are lost.
    Removed,
    /// Reads and writes hang.
    Hang,
    /// Writes and removals hang, but reads work.
    WritesHang,
    /// Reads come from a replica that receives no changes.
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

/// Who claims a parked code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Navigation,
    /// The response never arrives.
    LostNavigation,
    Script,
}

/// What a browser does while rows are resealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Connect,
    Logout,
    Revoking,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A browser starts a flow through the login path.
    Begin {
        browser: usize,
        instance: usize,
    },
    /// A flow from start to end.
    Connect {
        browser: usize,
        instance: usize,
        workspace: usize,
        lost: bool,
    },
    /// The user accepts at Webflow, which creates a callback, not yet visited.
    Approve {
        flow: Of,
        workspace: usize,
    },
    /// The user cancels.
    Deny {
        flow: Of,
        instance: usize,
    },
    /// A browser visits its own callback. The response may be lost. With `hang_up` it first sends
    /// the same request and disconnects after that many polls.
    Arrive {
        callback: Of,
        instance: usize,
        lost: bool,
        hang_up: usize,
    },
    /// Two tabs, each with a flow, return at the same moment.
    Tabs {
        browser: usize,
        instances: [usize; 2],
        workspaces: [usize; 2],
    },
    /// A browser invents codes for its own flow.
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
    /// A browser is tricked into sending a callback composed of foreign parts.
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
    /// A flow during whose callback the browser logs out. With `late`, the callback's response
    /// comes after the logout's.
    LogoutMeanwhile {
        browser: usize,
        instance: usize,
        revoke: bool,
        late: bool,
    },
    /// A page that calls Webflow. A quiet one does not report Webflow's 401.
    Visit {
        browser: usize,
        instance: usize,
        quiet: bool,
    },
    /// Somebody else sits down in front of the first browser.
    SwitchUser,
    /// The user signs in to the application, or out of it.
    Sign {
        browser: usize,
        into: bool,
    },
    /// A flow whose callback comes when nobody is signed in, `begun` by the user or by nobody.
    Park {
        browser: usize,
        instance: usize,
        begun: bool,
        lost: bool,
    },
    /// A browser claims a parked code.
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
    /// The application revokes all grants of a browser's user.
    Revoke {
        browser: usize,
        instance: usize,
    },
    /// Rows are resealed with the newest key.
    Reseal {
        instance: usize,
        rolls: bool,
    },
    /// A reseal while a browser acts, at the second of the instances.
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
    /// Adds a new key in front, and drops the oldest one.
    RollKey,
    /// A process is replaced by another one.
    Restart {
        instance: usize,
    },
    /// Every token and every unused code dies at Webflow.
    Uninstall,
}
