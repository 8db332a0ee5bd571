//! Tests that capture the log get exactly their own, whatever other tests do at the same time.

use std::thread;

use crate::support::log::logged;

fn say(what: &str) {
    tracing::debug!("{what}");
}

#[test]
fn callsite_first_reached_by_another_thread_is_captured() {
    let (log, _guard) = logged();
    thread::spawn(|| say("another thread")).join().unwrap();
    say("this thread");
    assert!(log.text().contains("this thread"), "{}", log.text());
    assert!(!log.text().contains("another thread"), "{}", log.text());
}

#[test]
fn ending_one_capture_does_not_silence_another() {
    let (log, _guard) = logged();
    let other = || {
        let (log, guard) = logged();
        tracing::info!("in the other capture");
        drop(guard);
        log.text()
    };
    assert!(thread::spawn(other).join().unwrap().contains("in the other capture"));
    say("after it");
    assert!(log.text().contains("after it"), "{}", log.text());
    assert!(!log.text().contains("in the other capture"), "{}", log.text());
}
