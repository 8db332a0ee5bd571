//! The compiler's messages for common mistakes.
//!
//! Each file in `cases` has one mistake. The test lets cargo compile it, and reads the compiler's
//! JSON messages. It compares the crate's own words, not the compiler's layout, notes and line
//! numbers, which change from release to release.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::Command;

use serde_json::Value;

/// An error: its message, the label under the code, and its notes.
#[derive(Debug)]
struct Mistake {
    message: String,
    label: String,
    notes: Vec<String>,
}

/// The features that this test was compiled with, so that cargo need not compile anything else.
fn features() -> String {
    let features = [
        ("axum", cfg!(feature = "axum")),
        ("rustls", cfg!(feature = "rustls")),
        ("native-tls", cfg!(feature = "native-tls")),
        ("sqlite", cfg!(feature = "sqlite")),
        ("postgres", cfg!(feature = "postgres")),
        ("redis", cfg!(feature = "redis")),
        ("redis-cluster", cfg!(feature = "redis-cluster")),
        ("metrics", cfg!(feature = "metrics")),
        ("webhooks", cfg!(feature = "webhooks")),
        ("panels", cfg!(feature = "panels")),
        ("testing", cfg!(feature = "testing")),
        ("_fuzzing", cfg!(feature = "_fuzzing")),
    ];
    let enabled = features.iter().filter(|(_, is_enabled)| *is_enabled).map(|(name, _)| *name);
    enabled.collect::<Vec<_>>().join(",")
}

/// Compiles a case, and returns its errors.
fn compile(case: &str) -> Vec<Mistake> {
    let mut cargo = Command::new(env!("CARGO"));
    // Variables that cargo set for this test would make it compile the dependencies again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["rustc", "--offline", "--message-format=json", "--test", "compile_error_cases"])
        .args(["--no-default-features", "--features", &features()])
        .args(["--", "--cfg", &format!("case=\"{case}\"")])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let messages = lines.filter(|line| line["reason"] == "compiler-message");
    let errors = messages.map(|line| line["message"].clone());
    // The last error only counts the others, and has no span.
    let errors = errors.filter(|it| it["level"] == "error" && it["spans"][0].is_object());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mistakes: Vec<_> = errors
        .map(|error| Mistake {
            message: text(&error["message"]),
            label: text(&error["spans"][0]["label"]),
            notes: error["children"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| text(&it["message"]))
                .collect(),
        })
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), mistakes.is_empty(), "{case}: {stderr}");
    mistakes
}

/// Asserts that the case has exactly one error, with these words.
#[track_caller]
fn explains(case: &str, message: &str, label: &str, remedies: &[&str]) {
    let mistakes = compile(case);
    let [mistake] = mistakes.as_slice() else { panic!("{case}: {mistakes:#?}") };
    assert!(mistake.message.contains(message), "{case}: {mistake:#?}");
    assert!(mistake.label.contains(label), "{case}: {mistake:#?}");
    for remedy in remedies {
        assert!(mistake.notes.iter().any(|note| note.contains(remedy)), "{case}: {mistake:#?}");
    }
}

#[test]
fn the_same_program_without_a_mistake_compiles() {
    assert!(compile("no_mistake").is_empty());
}

#[test]
fn a_store_that_was_not_awaited() {
    let remedies = ["`SqliteStore::open(path).await?`"];
    explains("store_not_awaited", "is not a token store", "not a token store", &remedies);
}

#[test]
fn a_database_pool_in_place_of_a_store() {
    explains(
        "pool_as_store",
        "`Pool<Sqlite>` is not a token store",
        "not a token",
        &["implement `TokenStore`"],
    );
}

#[test]
fn a_closure_in_place_of_a_subject_resolver() {
    let remedies = ["`.subject(|parts| ..)`", "implement `SubjectResolver`"];
    explains("closure_as_resolver", "does not look up subjects", "`SubjectResolver`", &remedies);
}

#[test]
fn compression_inside_the_layer() {
    let message = "cannot be the response body of a service inside `WebflowAuthLayer`";
    let remedies =
        ["outside `WebflowAuthLayer`", "`MapResponseBodyLayer::new(axum::body::Body::new)`"];
    explains("compression_inside", message, "cannot be made from `Bytes`", &remedies);
}

#[test]
fn a_path_of_owned_segments() {
    let remedies = ["an array of `&str`", "\"/v2/sites\""];
    explains("path_of_strings", "is not the path of an API call", "not a path", &remedies);
}
