//! A custom store to copy: one file per grant, in a folder.
//!
//! `cargo run --example custom_store --features testing` checks it against the store contract.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

use std::cmp::Reverse;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::sync::Mutex;
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::testing::store_contract;

/// Stores grants as JSON files: `folder/<subject>/<grant>.json`, with both names in hexadecimal.
struct FolderStore {
    folder: PathBuf,
    /// Makes comparing a version and changing its file one step, within this process.
    changes: Mutex<()>,
}

impl FolderStore {
    fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), changes: Mutex::default() }
    }

    fn subject_folder(&self, subject: &Subject) -> PathBuf {
        // Some file systems limit a name to 255 bytes, so a long subject becomes several folders.
        let name = hex(subject.as_str());
        let parts = name.as_bytes().chunks(200);
        parts.fold(self.folder.clone(), |path, part| {
            path.join(format!("s{}", String::from_utf8_lossy(part)))
        })
    }

    fn file(&self, key: &TokenKey) -> PathBuf {
        let name = format!("g{}.json", hex(key.grant().as_str()));
        self.subject_folder(key.subject()).join(name)
    }

    async fn write(&self, token: &SealedToken) -> Result<(), StoreError> {
        let path = self.file(token.key());
        let folder = self.subject_folder(token.key().subject());
        fs::create_dir_all(&folder).await.map_err(StoreError::unavailable)?;
        let json = serde_json::to_vec(token).map_err(StoreError::unavailable)?;
        // Renaming is atomic: a reader sees either the old file or the new one.
        let part = path.with_extension("part");
        fs::write(&part, json).await.map_err(StoreError::unavailable)?;
        fs::rename(&part, &path).await.map_err(StoreError::unavailable)
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

/// Returns `None` if the file does not exist. Any other error means the store is unavailable.
async fn read(path: &Path) -> Result<Option<SealedToken>, StoreError> {
    match fs::read(path).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(StoreError::unavailable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::unavailable(error)),
    }
}

impl TokenStore for FolderStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let mut found = Vec::new();
        let mut files = match fs::read_dir(self.subject_folder(subject)).await {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        while let Some(file) = files.next_entry().await.map_err(StoreError::unavailable)? {
            if file.path().extension().is_some_and(|extension| extension == "json") {
                found.extend(read(&file.path()).await?);
            }
        }
        found.sort_by_key(|token| Reverse(token.version()));
        Ok(found)
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        let _one_at_a_time = self.changes.lock().await;
        self.write(token).await
    }

    /// Like the default implementation, but atomic within this process.
    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let _one_at_a_time = self.changes.lock().await;
        let found = read(&self.file(token.key())).await?;
        let there = found.is_some_and(|row| row.version() == token.version());
        if there {
            self.write(token).await?;
        }
        Ok(there)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let _one_at_a_time = self.changes.lock().await;
        let path = self.file(key);
        if read(&path).await?.is_none_or(|token| token.version() != version) {
            return Ok(false);
        }
        fs::remove_file(&path).await.map_err(StoreError::unavailable)?;
        Ok(true)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("webflow-tokens-{}", std::process::id()));
    let report = store_contract(FolderStore::new(&folder)).await?;
    fs::remove_dir_all(&folder).await?;
    println!("the store fulfils the contract; unsupported: {:?}", report.unsupported);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_store_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let report = store_contract(FolderStore::new(folder.path())).await.unwrap();
        assert_eq!(report.unsupported, ["by_site", "by_workspace", "page", "purge_older_than"]);
    }
}
