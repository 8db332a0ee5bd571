use tower_webflow_auth::WebflowAuthBuilder;
use tower_webflow_auth::store::SqliteStore;

fn with_store(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.store(SqliteStore::open("webflow.db"))
}
