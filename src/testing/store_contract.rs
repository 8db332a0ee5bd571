//! A test suite for implementations of [`TokenStore`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::crypto::random;
use crate::identity::subject::Subject;
use crate::store::{GrantId, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};

/// A rule of the contract that a store breaks.
#[derive(Debug)]
pub struct ContractViolation {
    rule: &'static str,
    detail: String,
}

impl ContractViolation {
    /// Returns the rule as a sentence.
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks a rule: {}: {}", self.rule, self.detail)
    }
}

impl std::error::Error for ContractViolation {}

type Checked = Result<(), ContractViolation>;

/// What the suite found in addition to the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContractReport {
    /// The optional operations that the store does not support.
    pub unsupported: Vec<&'static str>,
}

/// Tests that a store follows the rules of [`TokenStore`]. The crate's own stores pass this suite.
///
/// The store may contain other rows, because every run uses its own subjects. Optional operations
/// that return [`StoreError::Unsupported`] are listed in the report. The suite purges rows older
/// than 1000 days, so do not run it on rows that matter.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webflow_auth::{store::MemoryStore, testing::store_contract};
///
/// // A lifetime that the suite's old rows outlive, so that it can purge them itself.
/// let store = MemoryStore::new().with_lifetime(std::time::Duration::MAX);
/// let report = store_contract(store).await?;
/// assert!(report.unsupported.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ContractViolation`] for the first broken rule.
pub async fn store_contract(store: impl TokenStore) -> Result<ContractReport, ContractViolation> {
    let suite = Suite { store: Arc::new(store), run: random::token_256() };
    suite.rows().await?;
    suite.versions().await?;
    suite.updates().await?;
    suite.grants().await?;
    suite.subjects().await?;
    suite.refusals().await?;
    suite.large_tokens().await?;
    suite.concurrency().await?;
    suite.own_outcomes().await?;
    suite.dropped_writes().await?;
    let mut report = ContractReport::default();
    suite.look_ups(&mut report).await?;
    suite.pages(&mut report).await?;
    suite.purge(&mut report).await?;
    suite.healthy().await?;
    Ok(report)
}

struct Suite<S> {
    store: Arc<S>,
    run: String,
}

impl<S: TokenStore> Suite<S> {
    fn subject(&self, name: impl fmt::Display) -> Subject {
        Subject::user(format_args!("{}/{name}", self.run))
    }

    fn row(&self, name: impl fmt::Display, version: i64) -> SealedToken {
        row(self.subject(name), version)
    }

    async fn load(
        &self,
        rule: &'static str,
        subject: &Subject,
    ) -> Result<Vec<SealedToken>, ContractViolation> {
        self.store.load(subject).await.map_err(|error| failed(rule, "load", &error))
    }

    async fn save(&self, rule: &'static str, token: &SealedToken) -> Checked {
        self.store.save(token).await.map_err(|error| failed(rule, "save", &error))
    }

    async fn remove(
        &self,
        rule: &'static str,
        token: &SealedToken,
        version: i64,
    ) -> Result<bool, ContractViolation> {
        let removed = self.store.remove(token.key(), number(version)).await;
        removed.map_err(|error| failed(rule, "remove", &error))
    }

    async fn rows(&self) -> Checked {
        let rule = "a saved row is loaded unchanged, and a second save replaces it";
        let token =
            self.row("rows", 1).with_sites(vec!["s".into()]).with_workspaces(vec!["w".into()]);
        equal(rule, &self.load(rule, token.key().subject()).await?, &[])?;
        self.save(rule, &token).await?;
        equal(rule, &self.load(rule, token.key().subject()).await?, std::slice::from_ref(&token))?;
        let newer = self.row("rows", 2);
        self.save(rule, &newer).await?;
        equal(rule, &self.load(rule, token.key().subject()).await?, &[newer])
    }

    async fn versions(&self) -> Checked {
        let rule = "a removal deletes exactly the version it names";
        let token = self.row("versions", 5);
        self.save(rule, &token).await?;
        for other in [4, 6] {
            if self.remove(rule, &token, other).await? {
                return violated(rule, format!("removing version {other} deleted version 5"));
            }
        }
        equal(rule, &self.load(rule, token.key().subject()).await?, std::slice::from_ref(&token))?;
        if !self.remove(rule, &token, 5).await? {
            return violated(rule, "removing an existing row returned false");
        }
        if self.remove(rule, &token, 5).await? {
            return violated(rule, "removing the row a second time returned true");
        }
        equal(rule, &self.load(rule, token.key().subject()).await?, &[])
    }

    async fn update(
        &self,
        rule: &'static str,
        token: &SealedToken,
    ) -> Result<bool, ContractViolation> {
        self.store.update(token).await.map_err(|error| failed(rule, "update", &error))
    }

    async fn updates(&self) -> Checked {
        let rule = "an update replaces exactly the version it has";
        let token = self.row("updates", 5);
        let subject = token.key().subject();
        self.save(rule, &token).await?;
        for other in [4, 6] {
            if self.update(rule, &self.row("updates", other)).await? {
                return violated(rule, format!("an update of version {other} replaced version 5"));
            }
        }
        equal(rule, &self.load(rule, subject).await?, std::slice::from_ref(&token))?;
        let learned = row(subject.clone(), 5)
            .with_sites(vec!["learned".into()])
            .with_workspaces(vec!["w".into()]);
        if !self.update(rule, &learned).await? {
            return violated(rule, "updating an existing row returned false");
        }
        equal(rule, &self.load(rule, subject).await?, std::slice::from_ref(&learned))?;
        let rule = "an update never restores a removed row";
        self.remove(rule, &token, 5).await?;
        if self.update(rule, &learned).await? {
            return violated(rule, "updating a removed row returned true");
        }
        equal(rule, &self.load(rule, subject).await?, &[])
    }

    async fn grants(&self) -> Checked {
        let rule = "a subject's grants are separate and sorted newest version first";
        let subject = self.subject("grants");
        let grant = |id: &str, version| {
            let key = TokenKey::new(subject.clone(), GrantId::new(id));
            SealedToken::new(key, number(version), vec![1], SystemTime::UNIX_EPOCH)
        };
        let (a, b, c) = (grant("a", 2), grant("B", 3), grant("b", 1));
        for token in [&a, &b, &c] {
            self.save(rule, token).await?;
        }
        equal(rule, &self.load(rule, &subject).await?, &[b.clone(), a.clone(), c.clone()])?;
        self.remove(rule, &b, 3).await?;
        equal(rule, &self.load(rule, &subject).await?, &[a, c])
    }

    async fn subjects(&self) -> Checked {
        let rule = "a subject is matched exactly, whatever its characters";
        let longest = "x".repeat(Subject::MAX_ID_LEN - self.run.len() - 1);
        let names = [
            "ada",
            "Ada",
            "ADA",
            "ada ",
            " ada",
            "ada\0",
            "ada\n",
            "a%",
            "a_",
            "%",
            "*",
            "?",
            "{ada}",
            "[a-z]",
            "a:b",
            "a|b",
            "'; DROP TABLE x; --",
            "\"ada\"",
            "\\",
            "\u{e9}",
            "e\u{301}",
            "\u{430}da",
            "\u{1f600}",
            "$1",
            "null",
            "",
            &longest,
        ];
        for (version, name) in (1..).zip(names) {
            self.save(rule, &self.row(name, version)).await?;
        }
        for (version, name) in (1..).zip(names) {
            let found = self.load(rule, &self.subject(name)).await?;
            equal(rule, &found, &[self.row(name, version)])?;
        }
        Ok(())
    }

    async fn refusals(&self) -> Checked {
        let rule = "an empty or overlong subject is rejected with InvalidSubject";
        for id in [String::new(), "x".repeat(Subject::MAX_ID_LEN + 1)] {
            match self.store.save(&row(Subject::user(&id), 1)).await {
                Err(StoreError::InvalidSubject(_)) => {}
                other => return violated(rule, format!("{} bytes: {other:?}", id.len())),
            }
        }
        let rule = "after a rejected write the next one succeeds";
        let token = self.row("after a rejection", 1);
        self.save(rule, &token).await?;
        equal(rule, &self.load(rule, token.key().subject()).await?, &[token])
    }

    async fn large_tokens(&self) -> Checked {
        let rule = "a row with 64 KiB of sealed bytes and 1000 sites is stored";
        let sites = (0..1000).map(|i| format!("{}-site-{i}", self.run)).collect();
        let key = TokenKey::new(self.subject("large"), GrantId::default());
        let bytes = (0..64 * 1024).map(|i: u32| i.to_le_bytes()[0]).collect();
        let token =
            SealedToken::new(key, number(1), bytes, SystemTime::UNIX_EPOCH).with_sites(sites);
        self.save(rule, &token).await?;
        equal(rule, &self.load(rule, token.key().subject()).await?, std::slice::from_ref(&token))?;
        let rule = "a grant is found by each of its sites, and by none of those that it lost";
        let fewer = token.clone().with_sites(token.sites().iter().step_by(2).cloned().collect());
        for (token, lost) in [(&token, None), (&fewer, token.sites().last())] {
            self.update(rule, token).await?;
            for site in [token.sites().first(), token.sites().last()].into_iter().flatten() {
                match self.store.by_site(site).await {
                    Err(StoreError::Unsupported(_)) => return Ok(()),
                    found => equal(rule, &loaded(rule, found)?, std::slice::from_ref(token))?,
                }
            }
            if let Some(lost) = lost {
                equal(rule, &loaded(rule, self.store.by_site(lost).await)?, &[])?;
            }
        }
        Ok(())
    }

    async fn concurrency(&self) -> Checked {
        let rule = "100 concurrent writes leave one of the written versions";
        let tasks: Vec<_> = (1..=100)
            .map(|version| {
                let (store, token) = (Arc::clone(&self.store), self.row("concurrency", version));
                tokio::spawn(async move { store.save(&token).await })
            })
            .collect();
        for task in tasks {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(rule, "save", &error)),
                Err(error) => return violated(rule, error.to_string()),
            }
        }
        let found = self.load(rule, &self.subject("concurrency")).await?;
        let [found] = found.as_slice() else {
            return violated(rule, format!("{} rows", found.len()));
        };
        let version = found.version().as_i64();
        equal(rule, std::slice::from_ref(found), &[self.row("concurrency", version)])?;
        let rule = "of many concurrent removals of one version exactly one returns true";
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (store, key, version) =
                    (Arc::clone(&self.store), found.key().clone(), found.version());
                tokio::spawn(async move { store.remove(&key, version).await })
            })
            .collect();
        let mut removed = 0;
        for task in tasks {
            removed += usize::from(matches!(task.await, Ok(Ok(true))));
        }
        if removed == 1 {
            Ok(())
        } else {
            violated(rule, format!("{removed} removals returned true"))
        }
    }

    async fn own_outcomes(&self) -> Checked {
        let rule = "of many concurrent writes each has its own outcome";
        let row = |number: i64, version| self.row(format_args!("outcome {number}"), version);
        for number in 0..40 {
            self.save(rule, &row(number, 1)).await?;
        }
        let writes = (0..40).map(|number| async move {
            // Half of them name a version that is not stored.
            let token = row(number, 1 + number % 2);
            match number % 4 {
                0 | 1 => self.store.update(&token).await,
                _ => self.store.remove(token.key(), token.version()).await,
            }
        });
        for (number, outcome) in (0..).zip(join_all(writes).await) {
            let done = outcome.map_err(|error| failed(rule, "a concurrent write", &error))?;
            if done != (number % 2 == 0) {
                return violated(rule, format!("write {number} returned {done}"));
            }
            let left = self.load(rule, &self.subject(format_args!("outcome {number}"))).await?;
            let expected = (number % 4 != 2).then(|| row(number, 1));
            equal(rule, &left, expected.as_slice())?;
        }
        Ok(())
    }

    async fn dropped_writes(&self) -> Checked {
        let rule = "a dropped write leaves its row whole or absent, and the next one succeeds";
        for polls in 1..=8 {
            let token = self.row(format_args!("dropped {polls}"), 1).with_sites(vec!["s".into()]);
            let mut write = Box::pin(self.store.save(&token));
            for _ in 0..polls {
                if write.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(write);
            let next = self.row("after a dropped write", polls);
            self.save(rule, &next).await?;
            equal(rule, &self.load(rule, next.key().subject()).await?, &[next])?;
            let found = self.load(rule, token.key().subject()).await?;
            if !found.is_empty() {
                equal(rule, &found, &[token])?;
            }
        }
        Ok(())
    }

    async fn look_ups(&self, report: &mut ContractReport) -> Checked {
        let rule = "a lookup finds the grants that cover exactly this ID, newest first";
        let site = |name: &str| format!("{}-{name}", self.run);
        let first = self.row("lookup 1", 1).with_sites(vec![site("a"), site("b")]);
        let second = self.row("lookup 2", 2).with_sites(vec![site("b"), site("%")]);
        let third = self.row("lookup 3", 3).with_workspaces(vec![site("a")]);
        for token in [&first, &second, &third] {
            self.save(rule, token).await?;
        }
        match self.store.by_site(&site("b")).await {
            Err(StoreError::Unsupported(_)) => report.unsupported.push("by_site"),
            found => {
                equal(rule, &loaded(rule, found)?, &[second.clone(), first.clone()])?;
                equal(
                    rule,
                    &loaded(rule, self.store.by_site(&site("a")).await)?,
                    std::slice::from_ref(&first),
                )?;
                equal(
                    rule,
                    &loaded(rule, self.store.by_site(&site("%")).await)?,
                    std::slice::from_ref(&second),
                )?;
                equal(rule, &loaded(rule, self.store.by_site(&site("A")).await)?, &[])?;
                let moved = self.row("lookup 1", 4).with_sites(vec![site("c")]);
                self.save(rule, &moved).await?;
                equal(rule, &loaded(rule, self.store.by_site(&site("a")).await)?, &[])?;
                equal(
                    rule,
                    &loaded(rule, self.store.by_site(&site("c")).await)?,
                    std::slice::from_ref(&moved),
                )?;
                let learned = self.row("lookup 1", 4).with_sites(vec![site("d")]);
                self.update(rule, &learned).await?;
                equal(rule, &loaded(rule, self.store.by_site(&site("c")).await)?, &[])?;
                equal(rule, &loaded(rule, self.store.by_site(&site("d")).await)?, &[learned])?;
                self.remove(rule, &moved, 4).await?;
                equal(rule, &loaded(rule, self.store.by_site(&site("d")).await)?, &[])?;
                equal(rule, &loaded(rule, self.store.by_site(&site("c")).await)?, &[])?;
            }
        }
        match self.store.by_workspace(&site("a")).await {
            Err(StoreError::Unsupported(_)) => report.unsupported.push("by_workspace"),
            found => equal(rule, &loaded(rule, found)?, &[third])?,
        }
        Ok(())
    }

    async fn pages(&self, report: &mut ContractReport) -> Checked {
        let rule = "pages have every row once, in the order of the keys";
        let first = TokenKey::new(self.subject("page"), GrantId::new(""));
        match self.store.page(Some(&first), 1).await {
            Err(StoreError::Unsupported(_)) => {
                report.unsupported.push("page");
                return Ok(());
            }
            found => equal(rule, &loaded(rule, found.map(|rows| self.mine(rows, "page")))?, &[])?,
        }
        let ids = ["", "a", "a\u{1}", "ab", "b", "B", "-", "_", "~", "0", "\u{e9}", "%", "a,b"];
        let mut expected: Vec<_> = ids
            .iter()
            .flat_map(|id| ["default", "A", "a", "B", "a-", "\u{e9}"].map(|grant| (id, grant)))
            .map(|(id, grant)| {
                let key =
                    TokenKey::new(self.subject(format_args!("page{id}")), GrantId::new(grant));
                SealedToken::new(key, number(1), vec![1], SystemTime::UNIX_EPOCH)
            })
            .collect();
        for row in &expected {
            self.save(rule, row).await?;
        }
        let newer = SealedToken::new(
            expected.swap_remove(0).key().clone(),
            number(2),
            vec![2],
            SystemTime::UNIX_EPOCH,
        );
        self.save(rule, &newer).await?;
        let gone = expected.swap_remove(1);
        self.remove(rule, &gone, 1).await?;
        expected.push(newer);
        expected.sort_by(|a, b| a.key().cmp(b.key()));
        for limit in [1, 7, 1000] {
            let mut found = Vec::new();
            let mut after = Some(first.clone());
            loop {
                let page = loaded(rule, self.store.page(after.as_ref(), limit).await)?;
                if page.len() > limit {
                    return violated(rule, format!("{} rows, not {limit}", page.len()));
                }
                let Some(last) = page.last() else { break };
                after = Some(last.key().clone());
                let there = page.len();
                let mine = self.mine(page, "page");
                let is_over = mine.len() < there;
                found.extend(mine);
                if is_over {
                    break;
                }
            }
            equal(rule, &found, &expected)?;
        }
        let all = loaded(rule, self.store.page(None, 1).await)?;
        if all.len() == 1 { Ok(()) } else { violated(rule, "no first page without a key") }
    }

    /// The rows of this run whose names begin so.
    fn mine(&self, mut rows: Vec<SealedToken>, name: &str) -> Vec<SealedToken> {
        let mine = self.subject(name);
        rows.retain(|row| row.key().subject().as_str().starts_with(mine.as_str()));
        rows
    }

    async fn purge(&self, report: &mut ContractReport) -> Checked {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let rule = "a purge removes older rows and keeps the rest";
        let at = |name, days| {
            let obtained_at = SystemTime::now().checked_sub(DAY * days);
            let key = TokenKey::new(self.subject(name), GrantId::default());
            let obtained_at = obtained_at.unwrap_or(SystemTime::UNIX_EPOCH);
            SealedToken::new(key, number(1), vec![1], obtained_at)
        };
        let (old, young) = (at("old", 2000), at("young", 500));
        self.save(rule, &old).await?;
        self.save(rule, &young).await?;
        match self.store.purge_older_than(DAY * 1000).await {
            Err(StoreError::Unsupported(_)) => report.unsupported.push("purge_older_than"),
            Err(error) => return Err(failed(rule, "purge_older_than", &error)),
            Ok(0) => return violated(rule, "it returned 0"),
            Ok(_) => {
                equal(rule, &self.load(rule, old.key().subject()).await?, &[])?;
                equal(rule, &self.load(rule, young.key().subject()).await?, &[young])?;
            }
        }
        Ok(())
    }

    async fn healthy(&self) -> Checked {
        let rule = "a working store reports that it is healthy";
        self.store.healthy().await.map_err(|error| failed(rule, "healthy", &error))
    }
}

fn row(subject: Subject, version: i64) -> SealedToken {
    let key = TokenKey::new(subject, GrantId::default());
    let sealed = format!("sealed {version}").into_bytes();
    let obtained_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    SealedToken::new(key, number(version), sealed, obtained_at)
}

fn number(version: i64) -> TokenVersion {
    TokenVersion::from_i64(version.max(0)).unwrap_or(TokenVersion::generate(0, 0))
}

fn loaded(
    rule: &'static str,
    found: Result<Vec<SealedToken>, StoreError>,
) -> Result<Vec<SealedToken>, ContractViolation> {
    found.map_err(|error| failed(rule, "a lookup", &error))
}

fn equal(rule: &'static str, found: &[SealedToken], expected: &[SealedToken]) -> Checked {
    if found == expected {
        return Ok(());
    }
    violated(rule, format!("expected {expected:?}, found {found:?}"))
}

fn violated(rule: &'static str, detail: impl Into<String>) -> Checked {
    Err(ContractViolation { rule, detail: detail.into() })
}

fn failed(rule: &'static str, operation: &str, error: &StoreError) -> ContractViolation {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    ContractViolation { rule, detail: format!("{operation} failed: {error}: {cause}") }
}
