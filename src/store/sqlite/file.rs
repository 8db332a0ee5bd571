//! The file: its name, created for its owner only, and watched.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::error::DatabaseError;

use super::{StoreError, unavailable};

/// The absolute path of a database. SQLite gives some relative names another meaning (a database
/// in memory, a URL), so these are refused, and it is never handed a relative one.
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
        "SqliteStore takes a path, not a URL: leave out the scheme and the query, as in \
         \"/var/lib/app/webflow.db\""
    } else {
        return std::path::absolute(path).map_err(StoreError::unavailable);
    };
    Err(StoreError::unavailable(problem))
}

/// Creates the file, empty, if it is missing. SQLite gives its companions (`-wal`, `-shm`) the
/// same mode.
pub fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path).map(drop::<File>) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::unavailable(format!(
                "the file {} cannot be created ({error}): its folder must exist and be writable",
                path.display()
            )))
        }
        Err(_) if !path.is_file() => {
            Err(StoreError::unavailable(format!("{} is not a file", path.display())))
        }
        _ => Ok(()),
    }
}

// https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// An error of the engine, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Explained {
    advice: String,
    source: sqlx::Error,
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
    pub fn at(path: &Path) -> Result<Self, StoreError> {
        // The process may change its folder later.
        let path = path.canonicalize().map_err(StoreError::unavailable)?;
        let identity = Identity::of(&fs::metadata(&path).map_err(StoreError::unavailable)?);
        Ok(Self { path, identity })
    }

    /// An error when the file at the path is gone or another one.
    pub fn check(&self) -> Result<(), StoreError> {
        let problem = match fs::metadata(&self.path) {
            Ok(found) if Identity::of(&found) == self.identity => return Ok(()),
            Ok(_) => "has been replaced: restart to use the new one",
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "is gone: put it back, or restart to begin a new one"
            }
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        Err(StoreError::unavailable(format!("the file {} {problem}", self.path.display())))
    }

    /// The store's error for one of the engine, with what to do about it.
    pub fn explain(&self, error: sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // The lowest byte; the others say more about the same problem.
        let advice = match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
            Some(BUSY) => "is locked by another process, which must keep its transactions short",
            Some(READ_ONLY) => {
                "is read-only: this process needs the right to write the file, its companions \
                 -wal and -shm, and their folder"
            }
            Some(IO) => "cannot be read or written: its disk is full or failing",
            Some(FULL) => "cannot grow: its disk is full",
            Some(CANNOT_OPEN) => {
                "cannot be opened: this process needs the right to read and write the file and \
                 its companions -wal and -shm, and to create them in their folder"
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
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere the standard library does not tell; that the file is there has to do.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}
