//! The file itself: made for its owner only, and watched.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;

/// Makes the file, empty, if it is not there. SQLite gives its companions (`-wal`, `-shm`) the
/// same mode.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path).map(drop::<File>) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::unavailable(format!(
                "the file {} cannot be made ({error}): its folder must be there and writable",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// A file that must stay the one that was opened.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    identity: Identity,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl WatchedFile {
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        // The process may change its folder later.
        let path = path.canonicalize().map_err(StoreError::unavailable)?;
        let identity = Identity::of(&fs::metadata(&path).map_err(StoreError::unavailable)?);
        Ok(Self { path, identity })
    }

    /// An error when the file at the path is gone or another one.
    pub(super) fn check(&self) -> Result<(), StoreError> {
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
