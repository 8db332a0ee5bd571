//! What the documentation says of the code is so: log lines, kinds of answers, modules, examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Every Markdown file that is part of the documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = files(&root().join("docs"), ".md");
    paths.extend(["README.md", "SECURITY.md"].map(|name| root().join(name)));
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// One `tracing::level!(..)` of the source, its text in one line.
#[derive(Debug)]
struct Event {
    target: String,
    level: String,
    text: String,
}

/// Source without comments' and strings' line ends: a string goes on after a backslash.
fn in_one_line(source: &str) -> String {
    let mut line = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("\\\n") {
        line.push_str(before);
        rest = after.trim_start();
    }
    line + rest
}

impl Event {
    /// Whether it has a field of that name; where its value is in the source, it must be that one.
    fn has_field(&self, name: &str, value: &str) -> bool {
        let literal = format!("{name} = \"");
        if self.text.contains(&literal) {
            return self.text.contains(&format!("{literal}{value}\""));
        }
        let forms =
            [format!("{name} ="), format!("{name},"), format!("?{name}"), format!("%{name}")];
        // The subscriber adds what led to an error.
        name == "error.sources" || forms.iter().any(|form| self.text.contains(form))
    }
}

fn events() -> Vec<Event> {
    let src = root().join("src");
    let mut events = Vec::new();
    for path in files(&src, ".rs") {
        let source = in_one_line(&fs::read_to_string(&path).unwrap());
        let module = path.strip_prefix(&src).unwrap().with_extension("");
        let module = module.to_string_lossy().replace('/', "::");
        let module = module.trim_end_matches("::mod");
        for call in source.split("tracing::").skip(1) {
            let Some((level, rest)) = call.split_once("!(") else { continue };
            if !["error", "warn", "info", "debug", "trace"].contains(&level) {
                continue;
            }
            let (text, _) = rest.split_once(");").or_else(|| rest.split_once("),")).unwrap();
            events.push(Event {
                target: format!("tower_webflow_auth::{module}"),
                level: level.to_uppercase(),
                text: text.to_owned(),
            });
        }
    }
    assert!(events.len() > 30, "{events:#?}");
    events
}

/// A line such as `WARN target: message flow="a" reason="b c"`, taken apart.
fn quoted(line: &str) -> (&str, &str, String, Vec<(String, String)>) {
    let (level, rest) = line.trim().split_once(' ').expect("a level");
    let (target, rest) = rest.split_once(": ").expect("a target");
    let mut message = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for word in rest.split(' ') {
        let field = word
            .split_once('=')
            .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'));
        match (field, fields.last_mut()) {
            (Some((name, value)), _) => fields.push((name.to_owned(), value.to_owned())),
            (None, None) => message.push(word),
            // A value may have blanks.
            (None, Some((_, value))) => *value = format!("{value} {word}"),
        }
    }
    for (_, value) in &mut fields {
        *value = value.trim_matches('"').to_owned();
    }
    (level, target, message.join(" "), fields)
}

#[test]
fn quoted_log_lines_are_in_the_source() {
    let events = events();
    let mut lines = 0;
    for (path, page) in pages() {
        for block in page.split("```log\n").skip(1) {
            for line in block.split("```").next().unwrap().lines() {
                lines += 1;
                let (level, target, message, fields) = quoted(line);
                let is_it = |event: &&Event| {
                    event.level == level
                        && event.target == target
                        && (event.text.contains(&format!("\"{message}\""))
                            // The extractor's own words are its rejection's.
                            || event.text.contains("{rejection}")
                                && in_one_line(&read("src/extract/rejection.rs"))
                                    .contains(message.rsplit_once(": add").unwrap().0))
                        && fields.iter().all(|(name, value)| event.has_field(name, value))
                };
                assert!(
                    events.iter().any(|event| is_it(&event)),
                    "{}: no such event: {line}\nthose of the module: {:#?}",
                    path.display(),
                    events.iter().filter(|event| event.target == target).collect::<Vec<_>>()
                );
            }
        }
    }
    assert!(lines >= 20, "{lines} log lines are quoted");
}

#[test]
fn log_table_matches_the_source() {
    let events = events();
    let page = read("docs/observability.md");
    let (table, _) = page.split_once("## Metrics").unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 10);
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let message = cells[1].trim_matches('`');
        // `..` stands for words that are left out.
        let begin = if message.starts_with("..") { "" } else { "\"" };
        let message = message.trim_matches('.').trim().trim_end_matches(':');
        let level = cells[2].to_uppercase();
        assert!(
            events
                .iter()
                .any(|event| event.level == level
                    && event.text.contains(&format!("{begin}{message}"))),
            "no such event: {row}"
        );
    }
}

/// The kinds of problems that the source makes.
fn kinds_in_the_source() -> BTreeSet<String> {
    let is_kind = |text: &str| {
        text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let mut kinds = BTreeSet::new();
    for path in files(&root().join("src"), ".rs") {
        // What fuzzers drive by it reaches nobody.
        if path.ends_with("fuzzing.rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        // Unit tests at the end of a file make problems of their own.
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        for call in source.split("Problem::new(").skip(1) {
            let second = call.split(',').nth(1).unwrap().trim();
            // What is not quoted is a variable.
            let quoted = second.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            kinds.extend(quoted.filter(|it| is_kind(it)).map(str::to_owned));
        }
    }
    let errors = read("src/api/error.rs");
    let (_, slugs) = errors.split_once("fn slug").unwrap();
    let (slugs, _) = slugs.split_once("\n    }\n").unwrap();
    kinds.extend(slugs.split('"').skip(1).step_by(2).map(str::to_owned));
    kinds
}

#[test]
fn error_table_has_every_kind() {
    let page = read("docs/guide/errors.md");
    let kinds: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(kind, _)| kind.to_owned())
        .collect();
    assert_eq!(kinds, kinds_in_the_source());
}

#[test]
fn the_architecture_names_every_module() {
    let page = read("docs/architecture.md");
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !["lib", "guide", "links"].contains(&name.as_str()) {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/architecture.md");
        }
    }
}

#[test]
fn the_readme_lists_every_example_and_every_feature() {
    let readme = read("README.md");
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name != "support" {
            assert!(readme.contains(&format!("`{name}`")), "the example {name} is not listed");
        }
    }
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("[features]").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    for feature in features.lines().filter_map(|line| line.split_once(" = ")) {
        // One that begins with `_` is the project's own.
        if feature.0 != "default" && !feature.0.starts_with('_') {
            assert!(readme.contains(&format!("| `{}` |", feature.0)), "{}", feature.0);
        }
    }
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
