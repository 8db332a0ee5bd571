//! Tables, lists and links of the documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tower_webflow_auth::hooks::FailureKind;

use crate::{files, read, root};

/// Every Markdown file that is part of the documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = files(&root().join("docs"), ".md");
    paths.extend(["README.md", "SECURITY.md", "examples/README.md"].map(|name| root().join(name)));
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The first cells of a table's rows, where they are code.
fn code_cells(page: &str) -> Vec<&str> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(cell, _)| cell).collect()
}

#[test]
fn error_table_has_every_kind_once() {
    let page = read("docs/guide/errors.md");
    let mut kinds = code_cells(&page);
    kinds.sort_unstable();
    let mut all: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
    all.sort_unstable();
    assert_eq!(kinds, all);
}

#[test]
fn log_targets_are_documented_and_nothing_else_is_quoted() {
    let constants = read("src/util/log.rs");
    let quoted = constants.split('"').skip(1).step_by(2);
    let targets: BTreeSet<_> = quoted.filter(|it| it.contains("::")).collect();
    let page = read("docs/observability.md");
    let (_, section) = page.split_once("### Targets").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let documented: BTreeSet<_> = code_cells(section).into_iter().collect();
    assert_eq!(documented, targets);
    let mut lines = 0;
    for (path, page) in pages() {
        for block in page.split("```log\n").skip(1) {
            for line in block.split("```").next().unwrap().lines() {
                let (_, rest) = line.split_once(' ').expect("a level");
                let (target, _) = rest.split_once(": ").expect("a target");
                assert!(targets.contains(target), "{}: {line}", path.display());
                lines += 1;
            }
        }
    }
    assert!(lines >= 20, "{lines} log lines are quoted");
}

#[test]
fn every_example_and_every_feature_is_listed() {
    let list = read("examples/README.md");
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name != "support" && name != "README" {
            // A folder may have another name than its example.
            let names = [format!("`{name}`"), format!("`{}`", name.replace('_', "-"))];
            assert!(names.iter().any(|name| list.contains(name)), "{name} is not listed");
        }
    }
    let readme = read("README.md");
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("[features]").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    for feature in features.lines().filter_map(|line| line.split_once(" = ")) {
        // Features that start with `_` are internal.
        if feature.0 != "default" && !feature.0.starts_with('_') {
            assert!(readme.contains(&format!("| `{}` |", feature.0)), "{}", feature.0);
        }
    }
}

#[test]
fn the_readme_is_short_and_names_both_commands() {
    let readme = read("README.md");
    assert!(readme.lines().count() < 150, "{} lines", readme.lines().count());
    assert!(readme.contains("\ncargo run --example demo --features sqlite,testing "), "the demo");
    assert!(readme.contains("\nscripts/test "), "the tests");
    assert!(read(".ci/run").ends_with("scripts/test\"\n"), "CI runs the same command");
}

#[test]
fn the_picture_is_described_and_follows_the_colour_scheme() {
    let picture = read("docs/img/flow.svg");
    let (_, description) = picture.split_once("<desc id=\"text\">").expect("a description");
    assert!(description.split_once("</desc>").unwrap().0.len() > 200);
    assert!(
        picture.contains("aria-labelledby=\"title text\"")
            && picture.contains("<title id=\"title\">")
    );
    assert!(picture.contains("@media (prefers-color-scheme: dark)"));
    let (_, drawing) = picture.split_once("</style>").unwrap();
    assert!(!drawing.contains("fill=") && !drawing.contains("stroke="), "a fixed colour");
    let readme = read("README.md");
    let (_, image) = readme.split_once("<img src=\"docs/img/flow.svg\"").unwrap();
    assert!(image.split_once('>').unwrap().0.contains("alt=\"The browser requests"));
}

#[test]
fn linked_files_are_packaged() {
    let manifest = read("Cargo.toml");
    let (_, include) = manifest.split_once("\ninclude = [").unwrap();
    let (include, _) = include.split_once(']').unwrap();
    let packaged: Vec<_> = include.split('"').skip(1).step_by(2).collect();
    let is_packaged = |file: &Path| {
        let file = format!("/{}", file.to_string_lossy());
        packaged.iter().any(|pattern| {
            file.starts_with(&format!("{pattern}/"))
                || file == **pattern
                || pattern.strip_suffix('*').is_some_and(|start| file.starts_with(start))
        })
    };
    let mut links = 0;
    for (path, page) in pages() {
        let inline = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined = page.lines().filter_map(|line| {
            line.strip_prefix('[').and_then(|line| line.split_once("]: ")).map(|(_, to)| to)
        });
        for link in inline.chain(defined) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.contains("::") || file.contains(' ')
            {
                continue;
            }
            links += 1;
            let target = path.parent().unwrap().join(file);
            assert!(target.is_file(), "{} links to {link}", path.display());
            let target = target.canonicalize().unwrap();
            let target = target.strip_prefix(root().canonicalize().unwrap()).unwrap();
            assert!(is_packaged(target), "{} links to {link}, not packaged", path.display());
        }
    }
    assert!(links > 30, "{links} links");
}
