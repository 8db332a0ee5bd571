//! Captures the log of one test while others run in parallel.
//!
//! `tracing` caches for the whole process whether anybody is interested in a callsite. With one
//! subscriber per thread, a test that reaches a callsite without a subscriber can silence it for a
//! test that captures. So there is one subscriber per process, interested in everything, which
//! writes to the capture of the current thread.

use std::cell::RefCell;
use std::io::{Result, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::subscriber::set_global_default;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// A log in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

thread_local! {
    static CAPTURE: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the capture when dropped.
#[must_use]
pub struct Capture(PhantomData<*const ()>);

impl Drop for Capture {
    fn drop(&mut self) {
        CAPTURE.set(None);
    }
}

/// The log of the current thread, at TRACE, until the guard is dropped. For a test on a
/// single-threaded runtime (`#[tokio::test]`) this includes the tasks that it spawns.
pub fn logged() -> (Log, Capture) {
    assert!(install(), "another subscriber is global in this process");
    let log = Log::default();
    let former = CAPTURE.replace(Some(log.clone()));
    assert!(former.is_none(), "this thread already has a capture");
    (log, Capture(PhantomData))
}

/// Installs the process's subscriber. Harnesses call it before they build a layer, so that no
/// callsite is reached without it. Returns whether it is the global subscriber; it is not where a
/// test binary has installed its own.
pub fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        // Asked for each event: a filter that could be cached would silence other threads.
        let captured = dynamic_filter_fn(|_, _| CAPTURE.with_borrow(Option::is_some));
        let writer = || CAPTURE.with_borrow(Clone::clone).unwrap_or_default();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(captured));
        let installed = set_global_default(subscriber).is_ok();
        // For callsites that were reached between the subscriber's creation and its installation.
        tracing::callsite::rebuild_interest_cache();
        installed
    })
}
