//! Replays the seeds and the corpus of the fuzz targets as regression tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tower_webflow_auth::fuzzing::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Seeds named `good-*` must be accepted, and those named `bad-*` rejected. The good ones that are
/// sealed or signed come from an earlier version, with a key that is in `src/fuzzing.rs`.
#[test]
fn seeds_are_accepted_or_refused_as_named() {
    for (target, run) in TARGETS {
        let seeds = files(&folder("seeds").join(target));
        for (name, bytes) in &seeds {
            let expected = match name.split_once('-').unwrap().0 {
                "good" => true,
                "bad" => false,
                _ => panic!("{target}/{name}: neither good nor bad"),
            };
            assert_eq!(run(bytes), expected, "{target}/{name}");
        }
        for kind in ["good-", "bad-"] {
            assert!(seeds.iter().any(|(name, _)| name.starts_with(kind)), "{target}: no {kind}");
        }
    }
}

#[test]
fn corpus_passes_every_target() {
    for (target, run) in TARGETS {
        let corpus = files(&folder("corpus").join(target));
        assert!(corpus.len() >= 3, "{target}: the corpus is not there");
        for (name, bytes) in corpus {
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "{target}/{name}");
        }
    }
}

fn target(name: &str) -> fn(&[u8]) -> bool {
    TARGETS.iter().find(|(found, _)| *found == name).unwrap().1
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder("seeds").join(target).join(name)).unwrap()
}

mod s7 {
    use super::*;

    #[test]
    fn no_bit_of_an_earlier_cookie_can_be_changed() {
        // The session's value follows the time, which has eight bytes.
        for (name, file, start) in [
            ("session_cookie", "good-one-now", 8),
            ("cookie_header", "good-one-session", 0),
            ("cookie_header", "good-one-flow", 0),
        ] {
            let (run, bytes) = (target(name), seed(name, file));
            assert!(run(&bytes));
            for bit in start * 8..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!run(&changed), "{name}/{file}, bit {bit}");
            }
        }
    }
}

mod k2 {
    use super::*;

    #[test]
    fn no_bit_of_an_earlier_row_can_be_changed() {
        let run = target("sealed_row");
        let row: serde_json::Value =
            serde_json::from_slice(&seed("sealed_row", "good-row")).unwrap();
        assert!(run(row.to_string().as_bytes()));
        let sealed = row["sealed"].as_array().unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = row.clone();
            let byte = sealed[bit / 8].as_u64().unwrap() ^ (1 << (bit % 8));
            changed["sealed"][bit / 8] = byte.into();
            assert!(!run(changed.to_string().as_bytes()), "bit {bit}");
        }
        let version = row["version"].as_i64().unwrap();
        for bit in 0..63 {
            let mut changed = row.clone();
            changed["version"] = (version ^ (1 << bit)).into();
            assert!(!run(changed.to_string().as_bytes()), "bit {bit} of the version");
        }
        for (field, value) in
            [("subject", "user:6"), ("subject", "session:7"), ("grant", "defaulu")]
        {
            let mut changed = row.clone();
            changed["key"][field] = value.into();
            assert!(!run(changed.to_string().as_bytes()), "{field} {value}");
        }
    }
}

#[test]
fn every_target_has_a_program_seeds_and_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let programs = files(&folder("fuzz_targets"));
    let programs: BTreeSet<_> =
        programs.iter().map(|(name, _)| name.strip_suffix(".rs").unwrap().to_owned()).collect();
    assert_eq!(programs, known);
    for kind in ["seeds", "corpus"] {
        let folders = std::fs::read_dir(folder(kind)).unwrap();
        let folders: BTreeSet<_> =
            folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(folders, known, "{kind}");
    }
}
