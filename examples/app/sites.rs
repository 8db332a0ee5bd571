//! The sites that users have connected, by name: the application's own data, which comes and goes
//! with the grants.

use std::collections::HashMap;

use sqlx::AnyPool;
use tower_webflow_auth::NewGrant;
use tower_webflow_auth::api::SiteInfo;

/// Creates what the application needs for a new grant, before the browser goes on.
pub(crate) async fn provision(db: &AnyPool, new: &NewGrant) -> Result<(), sqlx::Error> {
    let user_id = new.subject().id();
    if let Some(former) = new.former() {
        forget(db, user_id, former.sites()).await?;
    }
    // If this call fails, the sites are listed later, by `jobs::synchronize`.
    let sites = new.token().api().sites().await.unwrap_or_default();
    remember(db, user_id, &sites).await?;
    // The newest grant is the one to show.
    sqlx::query("UPDATE sessions SET chosen = '' WHERE user_id = $1")
        .bind(user_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Adds the sites, or corrects their names.
pub(crate) async fn remember(
    db: &AnyPool,
    user_id: &str,
    sites: &[SiteInfo],
) -> Result<(), sqlx::Error> {
    for site in sites {
        sqlx::query(
            "INSERT INTO sites (user_id, id, name) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, id) DO UPDATE SET name = excluded.name",
        )
        .bind(user_id)
        .bind(&site.id)
        .bind(&site.display_name)
        .execute(db)
        .await?;
    }
    Ok(())
}

pub(crate) async fn forget(
    db: &AnyPool,
    user_id: &str,
    site_ids: &[String],
) -> Result<(), sqlx::Error> {
    for id in site_ids {
        sqlx::query("DELETE FROM sites WHERE user_id = $1 AND id = $2")
            .bind(user_id)
            .bind(id)
            .execute(db)
            .await?;
    }
    Ok(())
}

/// The names of the user's sites, by ID.
pub(crate) async fn names(
    db: &AnyPool,
    user_id: &str,
) -> Result<HashMap<String, String>, sqlx::Error> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT id, name FROM sites WHERE user_id = $1")
            .bind(user_id)
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().collect())
}
