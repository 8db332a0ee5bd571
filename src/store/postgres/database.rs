//! The tables: created at the first use, and reached through [`Connections`].

use sqlx::Error;
use sqlx::postgres::PgRow;
use tokio::sync::OnceCell;

use super::connections::{BoundQuery, Connections, Ran};
use super::names::Names;
use super::{fault, rights, schema};
use crate::store::StoreError;

pub struct Database {
    pub connections: Connections,
    pub names: Names,
    /// Set once the tables are known to exist.
    ready: OnceCell<()>,
}

impl Database {
    pub fn new(connections: Connections, names: Names) -> Self {
        Self { connections, names, ready: OnceCell::new() }
    }

    /// Runs the statements in one transaction and returns the rows of the last one.
    pub async fn execute<'q>(
        &self,
        statements: impl Fn() -> Vec<BoundQuery<'q>> + Send + Sync,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.run(statements).await.map(|ran| ran.rows)
    }

    /// Runs the statements in one transaction.
    pub async fn run<'q>(
        &self,
        statements: impl Fn() -> Vec<BoundQuery<'q>> + Send + Sync,
    ) -> Result<Ran, StoreError> {
        self.ready.get_or_try_init(|| self.migrate()).await?;
        match self.connections.run(statements).await {
            Ok(ran) => Ok(ran),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        match self.connections.migrate(&self.names).await {
            Ok(found) if found > schema::KNOWN => {
                Err(StoreError::SchemaTooNew { found, known: schema::KNOWN })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn explain(&self, error: Error) -> StoreError {
        if !fault::is_missing_right(&error) {
            return fault::store_error(error);
        }
        match rights::explain(&self.connections.options(), &self.names, error).await {
            Ok(missing) => StoreError::unavailable(missing),
            Err(error) => fault::store_error(error),
        }
    }
}
