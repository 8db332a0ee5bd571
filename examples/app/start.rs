//! Reads the settings, opens the database, and builds the layer.

use std::error::Error;
use std::sync::Arc;

use sqlx::AnyPool;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower_webflow_auth::config::WebflowAuthBuilder;
use tower_webflow_auth::{Subject, WebflowAuthLayer};

use crate::password::Passwords;
use crate::sessions::Sessions;
use crate::settings::{self, Settings};
use crate::{db, layer};

/// How many users may wait for [`jobs::synchronize`](crate::jobs::synchronize).
const QUEUE: usize = 1000;

/// What the handlers and jobs share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) auth: WebflowAuthLayer,
    pub(crate) db: AnyPool,
    pub(crate) passwords: Passwords,
    pub(crate) sessions: Sessions,
    /// Users whose sites and webhooks have to be synchronized.
    pub(crate) queue: mpsc::Sender<Subject>,
    #[cfg(feature = "testing")]
    pub(crate) fake: Option<tower_webflow_auth::testing::FakeWebflow>,
}

pub(crate) type App = Arc<Shared>;

pub(crate) struct Started {
    pub(crate) app: App,
    pub(crate) listener: TcpListener,
    pub(crate) queue: mpsc::Receiver<Subject>,
}

pub(crate) async fn start() -> Result<Started, Box<dyn Error>> {
    let mut settings = Settings::read()?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| format!("cannot listen on LISTEN={}: {error}", settings.listen))?;
    settings.listen = listener.local_addr()?;
    #[cfg(feature = "testing")]
    let (builder, fake) = if settings::has_webflow() {
        (settings::webflow()?, None)
    } else {
        let (builder, fake) = crate::fake::start(&mut settings).await?;
        (builder, Some(fake))
    };
    #[cfg(not(feature = "testing"))]
    let builder = settings::webflow()?;

    let (auth, db, queue, waiting) = open(builder, &settings).await?;
    println!("app: visit {}/", settings.origin);
    println!("app: the database is {}", db::described(&settings.database_url));
    #[cfg(feature = "testing")]
    match &fake {
        Some(fake) => crate::fake::introduce(fake, &settings),
        None => println!("app: Webflow is at {}, by the variables WEBFLOW_..", settings.webflow),
    }
    let app = Arc::new(Shared {
        sessions: Sessions::new(db.clone(), settings.origin.starts_with("https:")),
        passwords: Passwords::new()?,
        settings,
        auth,
        db,
        queue,
        #[cfg(feature = "testing")]
        fake,
    });
    Ok(Started { app, listener, queue: waiting })
}

/// The layer as the running application has it, for `app check`.
pub(crate) async fn configured() -> Result<WebflowAuthLayer, Box<dyn Error>> {
    if !settings::has_webflow() {
        return Err("there is nothing to check: set the variables of .env.example".into());
    }
    let settings = Settings::read()?;
    Ok(open(settings::webflow()?, &settings).await?.0)
}

type Opened = (WebflowAuthLayer, AnyPool, mpsc::Sender<Subject>, mpsc::Receiver<Subject>);

async fn open(builder: WebflowAuthBuilder, settings: &Settings) -> Result<Opened, Box<dyn Error>> {
    let (queue, waiting) = mpsc::channel(QUEUE);
    // First, because it creates the file of an SQLite database so that only its owner can read it.
    let builder = layer::with_store(builder, &settings.database_url).await?;
    let db = db::open(&settings.database_url).await?;
    let builder = layer::with_users(builder, settings);
    let auth = layer::with_hooks(builder, &db, &queue).build()?;
    Ok((auth, db, queue, waiting))
}
