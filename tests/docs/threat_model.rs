//! docs/threat-model.md keeps its word: every case has a row, and every row has tests that exist
//! and carry the case's number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The cases, by their groups: state and flow, redirects and headers, cookies, keys and storage,
/// network, other doors, webhooks.
const GROUPS: [(char, usize); 7] =
    [('S', 17), ('R', 7), ('C', 6), ('K', 6), ('N', 14), ('O', 7), ('H', 11)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap()
}

/// The numbers at the head of a test's name: `k5_and_k6_no_name_is` has two.
fn numbers(test: &str) -> BTreeSet<String> {
    let is_number = |part: &str| {
        let (group, number) = part.split_at_checked(1).unwrap_or_default();
        "srcknoh".contains(group) && !group.is_empty() && number.parse::<usize>().is_ok()
    };
    test.split('_')
        .take_while(|part| is_number(part) || *part == "and")
        .filter(|part| is_number(part))
        .map(str::to_uppercase)
        .collect()
}

/// The rows of the table: a case's number, and the tests that are linked, with their files.
fn rows() -> BTreeMap<String, Vec<(String, String)>> {
    let mut rows = BTreeMap::new();
    for line in document().lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        let [number, _, tests] = cells[..] else { continue };
        let Some(number) = number.strip_prefix("| ") else { continue };
        if numbers(&number.to_lowercase()).is_empty() {
            continue;
        }
        let links = tests.split('[').skip(1).map(|link| {
            let (name, rest) = link.split_once("](../").unwrap();
            (name.to_owned(), rest.split(')').next().unwrap().to_owned())
        });
        let twice = rows.insert(number.to_owned(), links.collect());
        assert!(twice.is_none(), "{number} has two rows");
    }
    rows
}

#[test]
fn every_case_has_a_row_and_every_row_a_test_that_carries_its_number() {
    let rows = rows();
    let expected: BTreeSet<String> = GROUPS
        .iter()
        .flat_map(|(group, last)| (1..=*last).map(move |n| format!("{group}{n}")))
        .collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (number, tests) in &rows {
        assert!(!tests.is_empty(), "{number} has no test");
        for (name, file) in tests {
            assert!(numbers(name).contains(number), "{number}: {name} has another number");
            let source = std::fs::read_to_string(root().join(file));
            let source = source.unwrap_or_else(|_| panic!("{number}: no {file}"));
            let (before, _) = source
                .split_once(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("{number}: {file} has no {name}"));
            let attributes = before.rsplit("\n\n").next().unwrap();
            // Where a test runs for each engine, it is a function that the engines' tests call.
            let called = source.matches(name.as_str()).count() > 1;
            assert!(attributes.contains("test") || called, "{number}: {name} is no test");
        }
    }
}

/// A test of a number that is not in the table would prove something that nobody claims.
#[test]
fn every_numbered_test_belongs_to_a_case() {
    let rows = rows();
    let mut found = 0;
    let mut folders = vec![root().join("tests"), root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for name in source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()) {
                for number in numbers(name) {
                    found += 1;
                    assert!(rows.contains_key(&number), "{}: {name}", path.display());
                }
            }
        }
    }
    assert!(found > 150, "{found}");
}
