//! The layout that ARCHITECTURE.md promises, read from the sources: which room needs which, and what a room may not touch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders that hold rooms: the root package's sources and those of the member crates.
fn bases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![root.join("src")];
    let crates = fs::read_dir(root.join("crates")).unwrap();
    all.extend(crates.map(|entry| entry.unwrap().path().join("src")).filter(|path| path.is_dir()));
    all.sort();
    all
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            found.push(path);
        }
    }
}

/// The code of a file that is no comment and no test.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first words after each `crate::` of a text, those of a braced list included.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + 7..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && depth == 0 && !c.is_whitespace() => {
                    found.insert(word(&list[i..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// For each room the rooms that it needs, with a file that says so.
fn needs() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut files = Vec::new();
    let mut rooms = BTreeSet::new();
    for base in bases() {
        let mut own = Vec::new();
        sources(&base, &mut own);
        for path in own {
            let inside = path.strip_prefix(&base).unwrap();
            let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
            if room != "lib" && room != "main" {
                rooms.insert(room.clone());
                files.push((room, path));
            }
        }
    }
    let mut needs: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for (room, path) in files {
        for other in named_rooms(&code(&path)) {
            if other != room && rooms.contains(&other) {
                needs.entry(room.clone()).or_default().entry(other).or_insert_with(|| path.clone());
            }
        }
    }
    needs
}

#[test]
fn no_two_rooms_need_each_other() {
    let needs = needs();
    assert!(needs.len() > 15 && needs["analysis"].contains_key("refine"), "the sources were not read: {needs:?}");
    let reaches = |from: &str, to: &str| {
        let (mut waiting, mut seen) = (vec![from.to_string()], BTreeSet::new());
        while let Some(room) = waiting.pop() {
            if room == to {
                return true;
            }
            if seen.insert(room.clone()) {
                waiting.extend(needs.get(&room).into_iter().flat_map(|others| others.keys().cloned()));
            }
        }
        false
    };
    for (room, others) in &needs {
        for (other, file) in others {
            assert!(!reaches(other, room), "{room} and {other} need each other: {}", file.display());
        }
    }
}

#[test]
fn rooms_keep_to_what_is_below_them() {
    let needs = needs();
    let order = ["cli", "run", "report", "analysis", "result"];
    for (at, room) in order.iter().enumerate() {
        for above in &order[..at] {
            let file = needs.get(*room).and_then(|others| others.get(*above));
            assert_eq!(file, None, "{room} needs {above}, which is above it");
        }
    }
    for (room, below) in [
        ("kernels", vec!["device", "numerics"]),
        ("device", vec![]),
        ("numerics", vec![]),
        ("kerr", vec![]),
        ("fits", vec!["bounded", "replacement"]),
    ] {
        let found: Vec<&str> = needs.get(room).map_or(Vec::new(), |others| others.keys().map(String::as_str).collect());
        assert_eq!(found, below, "{room}");
    }
}

#[test]
fn the_science_touches_no_file_terminal_environment_or_run_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stages = ["infer", "refine", "simulate", "reference", "summarize", "nn", "result"];
    let mut folders: Vec<PathBuf> = stages.iter().map(|s| root.join("crates/rontgen-infer/src").join(s)).collect();
    folders.push(root.join("src/analysis"));
    let forbidden = [
        "println!",
        "print!(",
        "std::fs",
        "fs::",
        "std::env",
        "std::io::",
        "run_file",
        "crate::report",
        "crate::run",
        "crate::cli",
    ];
    for folder in folders {
        let mut files = Vec::new();
        sources(&folder, &mut files);
        assert!(!files.is_empty(), "{}", folder.display());
        for path in files {
            let code = code(&path);
            for word in forbidden {
                // An I/O error is a value that results can hold.
                let code = code.replace("std::io::Error", "");
                assert!(!code.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

/// The parameters of the function whose name ends at the start of `text`, in source order, without generics' or types' commas.
fn parameters(text: &str) -> Vec<String> {
    // Generic parameters stand before the list's parenthesis, and may hold parentheses themselves.
    let (mut angles, mut before, mut opened) = (0, ' ', 0);
    for (i, c) in text.char_indices() {
        match c {
            '<' => angles += 1,
            '>' if before != '-' => angles -= 1,
            '(' if angles == 0 => {
                opened = i + 1;
                break;
            }
            _ => {}
        }
        before = c;
    }
    let (mut all, mut depth, mut before) = (vec![String::new()], 0, ' ');
    for c in text[opened..].chars() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        before = c;
        match (c, depth, all.last_mut()) {
            (',', 0, _) => all.push(String::new()),
            (_, _, Some(last)) => last.push(c),
            _ => {}
        }
    }
    all.iter().map(|parameter| parameter.trim().to_string()).filter(|parameter| !parameter.is_empty()).collect()
}

/// What stands before the type of a parameter names it: `(x, y): (f64, f64)` says less than two parameters or a struct with documented
/// fields, and documentation shows such a parameter as `_`.
#[test]
fn public_functions_name_their_parameters() {
    assert_eq!(
        parameters("<F: Fn(f64) -> f64>(&self, [a, b]: [u8; 2], f: &F) {"),
        ["&self", "[a, b]: [u8; 2]", "f: &F"]
    );
    let mut files = Vec::new();
    bases().iter().for_each(|base| sources(base, &mut files));
    let (mut seen, mut found) = (0, Vec::new());
    for path in files {
        let text = code(&path);
        for (at, start) in text.match_indices("pub ") {
            let words = text[at + start.len()..].split_once("fn ").filter(|(before, _)| {
                before.split_whitespace().all(|word| ["const", "async", "unsafe"].contains(&word))
            });
            let Some((_, rest)) = words else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            seen += 1;
            for parameter in parameters(&rest[name.len()..]) {
                let pattern = parameter.split_once(':').map_or("", |(pattern, _)| pattern);
                if pattern.contains(['(', '[']) {
                    found.push(format!("{}: {name}: {parameter}", path.display()));
                }
            }
        }
    }
    assert!(seen > 1000, "the sources were not read: {seen} functions");
    assert!(found.is_empty(), "{} parameters without a name:\n{}", found.len(), found.join("\n"));
}

/// A family of kernels that is not in the list would be translated for no other system.
#[test]
fn every_family_of_kernels_is_checked_for_portability() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/rontgen-kernels/src/kernels");
    let list = code(&folder.join("mod.rs"));
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut families = 0;
    for path in files.iter().filter(|path| code(path).contains("pub fn kernels() -> Vec<Kernel>")) {
        let inside = path.strip_prefix(&folder).unwrap();
        let family = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        // Chosen by what an adapter has: they have a check of their own.
        if family != "gemm_half" {
            assert!(list.contains(&format!(" {family}::kernels(),")), "{family} is not in every_kernel()");
            families += 1;
        }
    }
    assert!(families > 20, "the sources were not read");
}

/// The environment is the command line's to read (and that of `permission`, which asks where the user keeps what may be started); the
/// one switch below is that of matrix units that no product code uses yet.
#[test]
fn the_environment_is_read_at_the_top() {
    let mut readers = BTreeSet::new();
    for base in bases() {
        let mut files = Vec::new();
        sources(&base, &mut files);
        for path in files {
            if ["std::env::var", "env::var_os", "env::set_var"].iter().any(|word| code(&path).contains(word)) {
                let room = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
                readers.insert(room);
            }
        }
    }
    let below: Vec<&String> =
        readers.iter().filter(|path| !path.starts_with("src/cli/") && *path != "src/main.rs").collect();
    assert_eq!(below, ["crates/rontgen-device/src/device/cooperative.rs", "src/run/permission.rs"]);
}

/// Standard output may be full or closed: one function writes to it, and tells at the end what was lost.
#[test]
fn one_function_prints() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100, "the sources were not read");
    for path in files {
        let code = code(&path);
        for word in ["println!", "print!", "stdout()"] {
            let own = path.ends_with("cli/output.rs") && word == "stdout()";
            assert!(own || !code.contains(word), "{}: {word}", path.display());
        }
    }
}

/// What a public item is stands beside it: the compiler looks for that where a library asks it to, and clippy's run makes an error of it.
#[test]
fn every_library_asks_for_documentation() {
    let libraries: Vec<PathBuf> = bases().iter().map(|base| base.join("lib.rs")).collect();
    assert!(libraries.len() > 5, "the sources were not read: {libraries:?}");
    for path in libraries {
        assert!(code(&path).contains("#![warn(missing_docs)]"), "{} lacks #![warn(missing_docs)]", path.display());
    }
}
