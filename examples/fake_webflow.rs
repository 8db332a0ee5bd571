//! A fake Webflow alone, for your own application.
//!
//! It prints the environment variables of an app that is registered with it. Your application reads
//! them with `WebflowAuthLayer::from_env`. `FAKE_ADDR` is the address to listen on (default
//! 127.0.0.1:4000), `WEBFLOW_REDIRECT_URI` and `WEBFLOW_SCOPES` are the app's registration.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use support::variable;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scopes};

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let address = variable(&["FAKE_ADDR"], "127.0.0.1:4000");
    let redirect_uri =
        variable(&["WEBFLOW_REDIRECT_URI"], "http://127.0.0.1:3000/auth/webflow/callback");
    let scopes: Scopes = variable(&["WEBFLOW_SCOPES"], "sites:read").parse()?;
    let fake = FakeWebflow::builder()
        .addr(address.parse()?)
        .redirect_uri(&redirect_uri)
        .start()
        .await
        .map_err(|error| format!("cannot listen on {address} ({error}): set FAKE_ADDR"))?;
    println!(
        "# A fake Webflow runs until you press Ctrl-C. It has registered one app, with new secrets"
    );
    println!("# at every start. Paste this where you start your application:");
    println!("export WEBFLOW_BASE_URL={}", fake.base_url());
    println!("export WEBFLOW_CLIENT_ID={}", fake.client_id());
    println!("export WEBFLOW_CLIENT_SECRET={}", fake.client_secret());
    println!("export WEBFLOW_APP_ID={}", fake.application_id());
    println!("export WEBFLOW_REDIRECT_URI={redirect_uri}");
    println!("export WEBFLOW_SCOPES={}", scopes.to_string().replace(' ', ","));
    println!("export WEBFLOW_AUTH_KEY={}", Keyring::generate_base64());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
