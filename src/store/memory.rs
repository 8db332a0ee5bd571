//! temp
use super::*;
/// temp
#[derive(Debug, Default)]
pub struct MemoryStore(std::sync::RwLock<std::collections::HashMap<TokenKey, SealedToken>>);
impl MemoryStore {
    /// temp
    pub fn new() -> Self {
        Self::default()
    }
}
impl TokenStore for MemoryStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let mut v: Vec<_> = self
            .0
            .read()
            .unwrap()
            .values()
            .filter(|r| r.key().subject() == subject)
            .cloned()
            .collect();
        v.sort_by_key(|r| std::cmp::Reverse(r.version()));
        Ok(v)
    }
    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        self.0
            .write()
            .unwrap()
            .insert(token.key().clone(), token.clone());
        Ok(())
    }
    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let mut m = self.0.write().unwrap();
        if m.get(key).is_some_and(|r| r.version() == version) {
            m.remove(key);
            Ok(true)
        } else {
            Ok(false)
        }
    }
}
