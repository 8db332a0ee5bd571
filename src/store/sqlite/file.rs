//! The database file: its path, permissions and identity.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;

use super::{StoreError, unavailable};
use crate::store::group::Separation;

/// Resolves the absolute path of a database. SQLite interprets some relative names differently (an
/// in-memory database, a URL), so these are rejected and SQLite only ever gets absolute paths.
pub fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let url = name.starts_with("sqlite:") || name.starts_with("file:") || name.contains("://");
    let problem = if name.is_empty() {
        "the path of the SQLite file is empty: name a file, such as \"webflow.db\""
    } else if name == ":memory:"
        || url && (name.contains(":memory:") || name.contains("mode=memory"))
    {
        "SqliteStore keeps a file; to keep grants in memory, use MemoryStore"
    } else if url {
        "SqliteStore takes a path, not a URL: remove the scheme and the query, as in \
         \"/var/lib/app/webflow.db\""
    } else {
        return std::path::absolute(path).map_err(StoreError::unavailable);
    };
    Err(StoreError::unavailable(problem))
}

/// Creates an empty file if it is missing. SQLite gives its companion files (`-wal`, `-shm`) the
/// same mode.
pub fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path).map(drop::<File>) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::unavailable(format!(
                "the file {} cannot be created ({error}): the parent directory must exist and be \
                 writable",
                path.display()
            )))
        }
        Err(_) if !path.is_file() => {
            Err(StoreError::unavailable(format!("{} is not a file", path.display())))
        }
        _ => Ok(()),
    }
}

/// How long opening waits for another process's lock. That process may be migrating, and no request
/// is waiting.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Connects, and tries again while another process has locked the file. SQLite's own busy timeout
/// does not cover the switch to WAL mode, which takes its lock inside a read transaction and fails
/// without waiting.
pub async fn when_unlocked<T, F>(mut connect: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let deadline = Instant::now() + OPEN_TIMEOUT;
    loop {
        match connect().await {
            Err(error) if primary_code(&error) == Some(BUSY) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            result => return result,
        }
    }
}

/// The lowest byte of SQLite's result code; the others refine it.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(DatabaseError::code)?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

// https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// A database error with advice.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Explained {
    advice: String,
    source: sqlx::Error,
}

/// Whether one row of several may have caused the error. On a full disk, smaller rows may fit.
pub fn separation(error: &StoreError) -> Separation {
    let StoreError::Unavailable(source) = error else { return Separation::None };
    let may_be_of_one = match source.downcast_ref::<Explained>() {
        Some(explained) => primary_code(&explained.source) == Some(FULL),
        None => source.downcast_ref().and_then(primary_code).is_some(),
    };
    if may_be_of_one { Separation::Halves } else { Separation::None }
}

/// A file that must stay the one that was opened.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    identity: Identity,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl WatchedFile {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // The process may change its working directory later.
        let path = path.canonicalize().map_err(StoreError::unavailable)?;
        let identity =
            Identity::from_metadata(&fs::metadata(&path).map_err(StoreError::unavailable)?);
        Ok(Self { path, identity })
    }

    /// Fails if the file at the path is missing or has been replaced.
    pub fn check(&self) -> Result<(), StoreError> {
        let problem = match fs::metadata(&self.path) {
            Ok(found) if Identity::from_metadata(&found) == self.identity => return Ok(()),
            Ok(_) => "has been replaced: restart to use the new one",
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "is missing: restore it, or restart to create a new one"
            }
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        Err(StoreError::unavailable(format!("the file {} {problem}", self.path.display())))
    }

    /// Converts a database error and adds advice.
    pub fn explain(&self, error: sqlx::Error) -> StoreError {
        let advice = match primary_code(&error) {
            Some(BUSY) => "is locked by another process, which must keep its transactions short",
            Some(READ_ONLY) => {
                "is read-only: this process needs permission to write the file, its companions \
                 -wal and -shm, and their directory"
            }
            Some(IO) => "cannot be read or written: its disk is full or failing",
            Some(FULL) => "cannot grow: its disk is full",
            Some(CANNOT_OPEN) => {
                "cannot be opened: this process needs permission to read and write the file and \
                 its companions -wal and -shm, and to create them in the same directory"
            }
            Some(NOT_A_DATABASE) => "is not an SQLite database",
            _ => return unavailable(error),
        };
        let advice = format!("the file {} {advice}", self.path.display());
        StoreError::unavailable(Explained { advice, source: error })
    }
}

impl Identity {
    #[cfg(unix)]
    fn from_metadata(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere the standard library cannot tell; accept that the file exists.
    #[cfg(not(unix))]
    fn from_metadata(_: &Metadata) -> Self {
        Self(0, 0)
    }
}
