use tower_webflow_auth::config::WebflowAuthBuilder;

fn with_store(builder: WebflowAuthBuilder, pool: sqlx::SqlitePool) -> WebflowAuthBuilder {
    builder.store(pool)
}
