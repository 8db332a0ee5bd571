use tower_webflow_auth::config::WebflowAuthBuilder;
use tower_webflow_auth::store::SqliteStore;

fn with_store(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.store(SqliteStore::open("webflow.db"))
}
