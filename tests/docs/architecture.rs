//! The modules import in the direction that docs/architecture.md states.

use std::collections::BTreeSet;

use crate::{files, read, root};

/// Imports against the direction: the file, the module that it imports, and why it stays.
const EXCEPTIONS: [(&str, &str, &str); 10] = [
    ("src/grant/token.rs", "api", "a token carries the client for its API calls"),
    (
        "src/grant/site_listings.rs",
        "api",
        "callers that share a listing share the error of its call",
    ),
    ("src/store/invalidation.rs", "vault", "a change reported by a store invalidates the cache"),
    ("src/identity/mod.rs", "problem", "a failed subject lookup is a problem for the user"),
    ("src/flow/callback.rs", "gate", "an install that a script follows gets the challenge's 401"),
    ("src/flow/login.rs", "gate", "a login link that a script follows gets the challenge's 401"),
    ("src/vault/cache.rs", "config", "its settings are declared there"),
    ("src/crypto/keyring.rs", "config", "an invalid key is a configuration error"),
    ("src/grant/scope.rs", "config", "an invalid scope is a configuration error"),
    ("src/webflow/endpoints.rs", "config", "an invalid endpoint is a configuration error"),
];

/// The crate's root, and the module that only holds documentation.
const NOT_MODULES: [&str; 2] = ["lib", "guide"];

/// The modules in the order of the page's table, top to bottom.
fn order() -> Vec<String> {
    let page = read("docs/architecture.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(module, _)| module.to_owned()).collect()
}

/// The source files, each with its path from the root and its top-level module.
fn sources() -> Vec<(String, String, String)> {
    let mut sources = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let module = path.split('/').nth(1).unwrap().trim_end_matches(".rs").to_owned();
        if !NOT_MODULES.contains(&module.as_str()) {
            let source = code(&read(&path));
            sources.push((path, module, source));
        }
    }
    sources
}

/// The source without comments and unit tests. The file must be formatted.
fn code(source: &str) -> String {
    let (code, _) = source.split_once("\n#[cfg(test)]\n").unwrap_or((source, ""));
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

/// The first segment of every path that begins with `crate::`. It is empty for `crate::{..}`.
fn imports(code: &str) -> BTreeSet<&str> {
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    let paths = code.split("crate::").skip(1);
    paths.map(|path| path.split(is_end).next().unwrap()).collect()
}

#[test]
fn the_page_lists_every_module_once() {
    let mut listed = order();
    listed.sort_unstable();
    let modules: BTreeSet<_> = sources().into_iter().map(|(_, module, _)| module).collect();
    assert_eq!(listed, modules.into_iter().collect::<Vec<_>>());
}

/// The order is total, so imports that follow it form no circle.
#[test]
fn modules_import_downwards() {
    let order = order();
    let place = |module: &str| order.iter().position(|listed| listed == module);
    let mut needed = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, module, code) in &sources() {
        for import in imports(code) {
            let down = place(import).is_some_and(|to| Some(to) >= place(module));
            if EXCEPTIONS.iter().any(|(file, to, _)| file == path && *to == import) {
                needed.insert((path.clone(), import.to_owned()));
            } else if !down {
                wrong.push(format!("{path} imports `{import}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of docs/architecture.md: {wrong:#?}");
    for (file, to, _) in EXCEPTIONS {
        let is_needed = needed.contains(&(file.to_owned(), to.to_owned()));
        assert!(is_needed, "{file} no longer imports `{to}`: remove the exception");
    }
}

/// An event without a target is logged under its module's path, which changes with the layout.
#[test]
fn every_event_has_a_documented_target() {
    let mut events = 0;
    for (path, _, code) in sources() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for event in code.split(&format!("tracing::{level}!(")).skip(1) {
                events += 1;
                assert!(event.trim_start().starts_with("target: log::"), "{path}: {event:.80}");
            }
        }
    }
    assert!(events > 30, "{events} events");
}

#[test]
fn imports_are_read_from_code() {
    let source = "\
use crate::store::{StoreError, TokenKey};
use crate::{api, grant};
// use crate::flow;
fn f() -> crate::util::Clock {}

#[cfg(test)]
mod tests {
    use crate::vault;
}
";
    assert_eq!(imports(&code(source)), BTreeSet::from(["", "store", "util"]));
}
