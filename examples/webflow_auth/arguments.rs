//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tower_webflow_auth::Subject;

const SETTINGS: &str = "\
Settings:
  The command reads the application's environment: WEBFLOW_CLIENT_ID, WEBFLOW_CLIENT_SECRET,
  WEBFLOW_REDIRECT_URI, WEBFLOW_SCOPES, WEBFLOW_AUTH_KEY, and WEBFLOW_STORE for the store.
  No option takes a secret, because other users of the machine can read command lines.

Exit status:
  0  done
  1  done, but something needs attention: a failed check, a refused token, no such grant
  2  wrong arguments or settings
  3  the store could not be used
  4  Webflow could not be reached";

/// Keys, diagnostics, and jobs over the stored grants of an application.
#[derive(Parser)]
#[command(name = "webflow-auth", after_help = SETTINGS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct Settings {
    /// The token store, without a password: sqlite:PATH, postgres://.. or redis://..
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The app's name, if the application sets one
    #[arg(long, global = true)]
    pub(crate) name: Option<String>,
    /// Read variables that are not set from this file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// The application keeps one grant per workspace
    #[arg(long, global = true)]
    pub(crate) per_workspace: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print a new key for `WEBFLOW_AUTH_KEY`
    Key,
    /// Report what would keep a login from working; the application must be running
    Check,
    /// List stored grants, never their tokens
    List(Filter),
    /// Revoke a subject's grants at Webflow and remove them
    Revoke {
        /// Whose grants, as `list` prints it
        #[arg(value_parser = subject)]
        subject: Subject,
        /// Only this one of the subject's grants
        #[arg(long, value_name = "ID")]
        grant: Option<String>,
    },
    /// Ask Webflow of every grant whether it still exists, and remove those that do not
    Verify {
        /// Requests per second
        #[arg(long, default_value_t = 5, value_name = "N")]
        per_second: u32,
        /// Seconds between the two refusals that end a grant
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        confirm_after: u64,
    },
    /// Encrypt every row with the newest key, so that an old key can be removed
    Reseal {
        /// Writes per second
        #[arg(long, default_value_t = 50, value_name = "N")]
        per_second: u32,
    },
    /// Store tokens that the app obtained without this crate
    Import {
        /// Lines of subject, comma, token; `-` or none: standard input
        file: Option<PathBuf>,
        /// Requests per second
        #[arg(long, default_value_t = 5, value_name = "N")]
        per_second: u32,
    },
}

#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct Filter {
    /// Only this subject's
    #[arg(long, value_parser = subject)]
    pub(crate) subject: Option<Subject>,
    /// Only those that cover this site
    #[arg(long, value_name = "ID")]
    pub(crate) site: Option<String>,
    /// Only those that cover this workspace
    #[arg(long, value_name = "ID")]
    pub(crate) workspace: Option<String>,
}

/// Reads `user:42` or `session:..`.
pub(crate) fn subject(text: &str) -> Result<Subject, String> {
    text.parse().map_err(|_| "write user:ID or session:ID, as `webflow-auth list` does".to_owned())
}
