//! The files around the program: what they name exists, and versions match.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines `name = ..` of a manifest's dependencies: the name and the version.
fn versions(manifest: &str, section: &str) -> Vec<(String, String)> {
    let (_, rest) = manifest.split_once(&format!("[{section}]\n")).unwrap();
    let rest = rest.split("\n[").next().unwrap();
    let lines = rest.lines().filter_map(|line| line.split_once(" = "));
    lines
        .map(|(name, value)| {
            let value = value.split("version = ").last().unwrap();
            (name.to_owned(), value.split('"').nth(1).unwrap().to_owned())
        })
        .collect()
}

#[test]
fn manifest_to_copy_has_the_versions_that_are_tested() {
    let own = read("Cargo.toml");
    let mut tested = versions(&own, "dev-dependencies");
    tested.extend(versions(&own, "dependencies"));
    let to_copy = versions(&read("examples/app/Cargo.toml.example"), "dependencies");
    assert!(to_copy.len() > 15, "{to_copy:?}");
    for (name, version) in to_copy {
        if name == "tower-webflow-auth" {
            continue;
        }
        let known: Vec<_> = tested.iter().filter(|(it, _)| *it == name).collect();
        let is_tested = |(_, it): &&(String, String)| it.starts_with(&version);
        assert!(known.iter().any(is_tested), "{name} {version}: {known:?}");
    }
}

#[test]
fn cargo_app_enables_what_the_example_requires() {
    let manifest = read("Cargo.toml");
    let (_, entry) = manifest.split_once("name = \"app\"\nrequired-features = [").unwrap();
    let required: Vec<_> = entry.split(']').next().unwrap().split('"').skip(1).step_by(2).collect();
    let alias = format!("app = \"run --example app --features {}\"\n", required.join(","));
    assert!(read(".cargo/config.toml").contains(&alias), "{alias}");
}

#[test]
fn every_setting_is_described() {
    let described = read("examples/app/.env.example");
    let names: BTreeSet<_> = described
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .collect();
    let settings = read("examples/app/settings.rs");
    for name in settings.split('"').skip(1).step_by(2) {
        let is_setting = name.len() > 3 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if is_setting && !name.ends_with("_FILE") {
            assert!(names.contains(name), "{name} is not in .env.example");
        }
    }
    for name in ["WEBFLOW_SCOPES", "WEBFLOW_AUTH_KEY", "RUST_LOG"] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn every_file_is_short_and_the_readme_names_it() {
    let readme = read("examples/app/README.md");
    assert!(readme.lines().count() < 80);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/app");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|it| it == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines < 150, "{name} has {lines} lines");
            assert!(name == "main.rs" || readme.contains(&format!("`{name}`")), "{name}");
        }
    }
}
