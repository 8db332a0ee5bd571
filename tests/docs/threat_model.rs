//! Every case of docs/threat-model.md has a test with its number, and every numbered test a case.

use std::collections::BTreeSet;

use crate::{files, read, root};

/// Faults of the core that were found later share the letter C with the cases about cookies.
const FAULTS: (char, std::ops::RangeInclusive<u32>) = ('C', 1..=27);

/// The letter and number of `S9`, or of a name such as `s9` or `s9_parallel_callbacks`.
fn case(name: &str) -> Option<(char, u32)> {
    let mut characters = name.chars();
    let letter = characters.next().filter(char::is_ascii_alphabetic)?.to_ascii_uppercase();
    let digits = characters.as_str().split('_').next()?;
    Some((letter, digits.parse().ok()?))
}

fn rows() -> Vec<(char, u32)> {
    let page = read("docs/threat-model.md");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    cells.filter_map(|(cell, _)| case(cell)).collect()
}

/// The numbers of the modules and functions that a source file declares.
fn numbered(source: &str) -> BTreeSet<(char, u32)> {
    let declared = source.lines().filter_map(|line| {
        let item = line.trim_start();
        let item = item.strip_prefix("async ").unwrap_or(item);
        let name = item.strip_prefix("mod ").or_else(|| item.strip_prefix("fn "))?;
        name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    });
    let mut found = BTreeSet::new();
    for name in declared {
        // `k5_and_k6_similar_names` has two numbers.
        let mut parts = name.split('_');
        let both = [parts.next(), parts.next().filter(|and| *and == "and").and(parts.next())];
        found.extend(both.into_iter().flatten().filter_map(case));
    }
    found
}

#[test]
fn every_case_has_one_row() {
    let rows = rows();
    let cases: BTreeSet<_> = rows.iter().copied().collect();
    assert_eq!(rows.len(), cases.len(), "{rows:?}");
    assert!(cases.len() >= 56, "{} cases", cases.len());
}

#[test]
fn every_case_has_a_test_and_every_numbered_test_a_case() {
    let rows: BTreeSet<_> = rows().into_iter().collect();
    let files = ["src", "tests"].iter().flat_map(|folder| files(&root().join(folder), ".rs"));
    let tested: BTreeSet<_> =
        files.flat_map(|file| numbered(&std::fs::read_to_string(file).unwrap())).collect();
    let untested: Vec<_> = rows.difference(&tested).collect();
    assert!(untested.is_empty(), "no test has the number of {untested:?}");
    let groups: BTreeSet<_> = rows.iter().map(|(group, _)| group).collect();
    let is_fault = |(group, number): &(char, u32)| *group == FAULTS.0 && FAULTS.1.contains(number);
    let unknown: Vec<_> = tested
        .difference(&rows)
        .filter(|case| groups.contains(&case.0) && !is_fault(case))
        .collect();
    assert!(unknown.is_empty(), "docs/threat-model.md has no row for {unknown:?}");
}

#[test]
fn numbers_are_read_from_names() {
    let source = "\
mod s1 {
    #[tokio::test]
    async fn a_test() {}
    fn r2_helper() {}
}
fn k5_and_k6_names() {}
// mod o7 {}
fn sha256() {}
fn s3x() {}
";
    let expected = [('K', 5), ('K', 6), ('R', 2), ('S', 1)];
    assert_eq!(numbered(source), BTreeSet::from(expected));
}
