//! Why the command did not succeed, and what to do about it.

use std::io;
use std::process::ExitCode;

use tower_webflow_auth::ConfigError;
use tower_webflow_auth::store::StoreError;

use crate::causes::with_causes;

pub(crate) enum Failure {
    /// The output says what needs attention.
    Reported,
    Settings(String),
    /// The store could not be opened, read or written.
    Store(String),
    /// Webflow could not be reached.
    Webflow(String),
    Io(io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            // Whoever reads the output has enough of it, as in `webflow-auth list | head`.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Reported | Self::Io(_) => ExitCode::from(1),
            Self::Settings(_) => ExitCode::from(2),
            Self::Store(_) => ExitCode::from(3),
            Self::Webflow(_) => ExitCode::from(4),
        }
    }

    /// Prints the failure, and the remedy under it.
    pub(crate) fn report(&self) {
        match self {
            Self::Reported => {}
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Io(error) => eprintln!("webflow-auth: {error}"),
            Self::Settings(problem) => eprintln!("webflow-auth: {problem}"),
            Self::Store(problem) => eprintln!(
                "webflow-auth: {problem}\n  -> compare WEBFLOW_STORE with the application's store, and \
                 check that this user may read and write it"
            ),
            Self::Webflow(problem) => eprintln!(
                "webflow-auth: {problem}\n  -> run it again later; `webflow-auth check` shows whether \
                 Webflow can be reached"
            ),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = "-> run it with the application's environment, or with --env-file FILE";
        Self::Settings(format!("{error}\n  {hint}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unsupported(_) => Self::Settings(error.to_string()),
            error => Self::Store(with_causes(&error)),
        }
    }
}
