//! Every case of docs/threat-model.md has a row and a test, and every numbered test has a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The cases, by their groups: state and flow, redirects and headers, cookies, keys and storage,
/// network, other doors, webhooks.
const GROUPS: [(char, usize); 7] =
    [('S', 17), ('R', 7), ('C', 6), ('K', 6), ('N', 14), ('O', 7), ('H', 11)];

fn cases() -> BTreeSet<String> {
    let cases = |(group, last)| (1..=last).map(move |number| format!("{group}{number}"));
    GROUPS.into_iter().flat_map(cases).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The numbers at the start of a module's or test's name: `k5_and_k6_similar_names` has two.
fn numbers(name: &str) -> BTreeSet<String> {
    let is_number = |part: &str| {
        let (group, number) = part.split_at_checked(1).unwrap_or_default();
        "srcknoh".contains(group) && !group.is_empty() && number.parse::<usize>().is_ok()
    };
    name.split('_')
        .take_while(|part| is_number(part) || *part == "and")
        .filter(|part| is_number(part))
        .map(str::to_uppercase)
        .collect()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name that an item's line declares.
fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let item = line.trim_start();
    let item = item.strip_prefix("async ").unwrap_or(item);
    item.strip_prefix(keyword)?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The numbers of the tests in a source file, by their own name or that of a module around them.
/// The file must be formatted.
fn tested(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut modules: Vec<(usize, &str)> = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        if let Some(name) = declared(line, "mod ").or_else(|| declared(line, "fn ")) {
            modules.retain(|(outer, _)| *outer < indent(line));
            if declared(line, "mod ").is_some() {
                modules.push((indent(line), name));
            } else if is_test {
                found.extend(numbers(name));
                found.extend(modules.iter().flat_map(|(_, module)| numbers(module)));
            }
            is_test = false;
        }
        is_test |= ["#[test]", "#[tokio::test"].iter().any(|it| line.trim_start().starts_with(it));
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_case_has_one_row() {
    let document = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let first_cells =
        document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let mut rows: Vec<_> =
        first_cells.map(|(cell, _)| cell).filter(|cell| cases().contains(*cell)).collect();
    rows.sort_unstable();
    assert_eq!(rows, cases().iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn every_case_has_a_test_and_every_numbered_test_a_case() {
    let files = ["src", "tests"].iter().flat_map(|folder| sources(&root().join(folder)));
    let tested: BTreeSet<_> =
        files.flat_map(|file| tested(&fs::read_to_string(file).unwrap())).collect();
    assert_eq!(tested, cases());
}

#[test]
fn a_number_counts_only_on_a_test() {
    let source = "\
mod s1 {
    #[tokio::test(flavor = \"multi_thread\")]
    async fn a_test() {}

    fn s2_helper() {}
}

#[test]
#[ignore = \"slow\"]
fn k5_and_k6_names() {}

// s3_mentioned
mod o7 {}
";
    assert_eq!(tested(source), BTreeSet::from(["S1", "K5", "K6"].map(str::to_owned)));
}
