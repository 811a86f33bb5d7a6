//! The wall around the architecture: ranks, heads, lengths. Each rule also fails a snippet that breaks it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::TokenTree;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 80;

/// The ranks, as the crate's documentation writes them: `main > cli > app > config`, then numbered lines of siblings.
type Ranks = BTreeMap<String, usize>;

/// Reads the ranks from the fenced text in the crate's documentation. Names joined by `>` are above all numbered lines.
fn ranks(lib: &str) -> Ranks {
    let doc = lib.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let fenced = doc.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```");
    let lines: Vec<&str> = fenced.flat_map(|line| line.split('|')).map(str::trim).collect();
    let mut ranks = Ranks::new();
    for line in &lines {
        let mut words = line.split_whitespace();
        if line.contains('>') {
            for (above, name) in line.split('>').rev().enumerate() {
                ranks.insert(name.trim().to_owned(), 100 + above);
            }
        } else if let Some(rank) = words.next() {
            let rank = rank.parse().unwrap_or_else(|_| panic!("`{line}` begins with no rank"));
            ranks.extend(words.map(|name| (name.to_owned(), rank)));
        }
    }
    ranks
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    line: usize,
    rule: &'static str,
    what: String,
}

/// Judges one file of the top-level module `module`.
fn judge(module: &str, ranks: &Ranks, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line, rule, what: String| breaches.push(Breach { line, rule, what });
    if !text.starts_with("//! ") {
        breach(1, "head", "no `//!` head".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        breach(lines, "file", format!("{lines} lines"));
    }
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{module}: {error}"));
    let mut walk = Walk { found: Vec::new(), long: Vec::new() };
    walk.visit_file(&file);
    for (line, what) in walk.long {
        breach(line, "function", what);
    }
    // `lib.rs` only declares.
    if module == "lib" {
        return breaches;
    }
    let Some(own) = ranks.get(module) else {
        breach(1, "rank", format!("`{module}` has no rank"));
        return breaches;
    };
    for (line, other) in walk.found {
        match ranks.get(&other) {
            _ if other == module => {}
            None => breach(line, "rank", format!("`{other}` has no rank")),
            Some(rank) if rank < own => {}
            Some(rank) if rank == own => breach(line, "import", format!("`{module}` imports its sibling `{other}`")),
            Some(_) => breach(line, "import", format!("`{module}` imports `{other}` from above")),
        }
    }
    breaches
}

/// Finds `crate::NAME` in every path, import and macro, and functions that are too long. Tests are passed over.
struct Walk {
    found: Vec<(usize, String)>,
    long: Vec<(usize, String)>,
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test"))
    })
}

impl Walk {
    fn import(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.found.push((path.ident.span().start().line, path.ident.to_string())),
            syn::UseTree::Name(name) => self.found.push((name.ident.span().start().line, name.ident.to_string())),
            syn::UseTree::Rename(name) => self.found.push((name.ident.span().start().line, name.ident.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree)),
            syn::UseTree::Glob(glob) => self.found.push((glob.span().start().line, "*".to_owned())),
        }
    }

    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        let (first, last) = (name.span().start().line, block.brace_token.span.close().end().line);
        if last + 1 - first > LONGEST_FUNCTION {
            self.long.push((first, format!("`{name}` has {} lines", last + 1 - first)));
        }
    }

    /// `crate :: NAME` among a macro's tokens.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            match (tree, trees.get(at + 1), trees.get(at + 2), trees.get(at + 3)) {
                (TokenTree::Group(group), ..) => self.tokens(group.stream()),
                (TokenTree::Ident(root), Some(TokenTree::Punct(colon)), Some(_), Some(TokenTree::Ident(name)))
                    if root == "crate" && colon.as_char() == ':' =>
                {
                    self.found.push((name.span().start().line, name.to_string()));
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
            && !is_for_tests(&item.attrs)
        {
            self.import(&path.tree);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.measure(&item.sig.ident, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.measure(&item.sig.ident, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if let (Some(root), Some(name)) = (segments.next(), segments.next())
            && root.ident == "crate"
        {
            self.found.push((name.ident.span().start().line, name.ident.to_string()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Modules that are compiled for tests alone: `tests`, and what is declared under `#[cfg(test)] mod NAME;`.
fn test_modules(all: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in all {
        let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
        let stem = path.file_stem().unwrap();
        let below = if stem == "mod" || stem == "lib" { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        for item in file.items {
            if let syn::Item::Mod(module) = item
                && module.content.is_none()
                && is_for_tests(&module.attrs)
            {
                found.push(below.join(module.ident.to_string()));
            }
        }
    }
    found
}

#[test]
fn every_file_keeps_to_its_rank_and_its_length() {
    let ranks = ranks(&std::fs::read_to_string(source().join("lib.rs")).unwrap());
    let all = files(&source());
    let tests = test_modules(&all);
    let mut told = Vec::new();
    for path in &all {
        let name = path.strip_prefix(source()).unwrap();
        let module = name.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let for_tests = tests.iter().any(|test| path.starts_with(test) || path.with_extension("") == *test);
        for breach in judge(module, &ranks, &std::fs::read_to_string(path).unwrap()) {
            if !(for_tests && matches!(breach.rule, "import" | "rank")) {
                told.push(format!("src/{}:{}: {} ({})", name.display(), breach.line, breach.what, breach.rule));
            }
        }
    }
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

#[test]
fn tests_keep_to_the_length_of_files_too() {
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! ") && text.lines().count() <= LONGEST_FILE, "{}", path.display());
    }
}

#[test]
fn every_room_has_a_rank_and_every_rank_a_room() {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared = syn::parse_file(&lib).unwrap().items.into_iter().filter_map(|item| match item {
        syn::Item::Mod(module) if !is_for_tests(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    });
    let mut rooms: Vec<String> = declared.chain(["main".to_owned()]).collect();
    rooms.sort();
    assert_eq!(rooms, ranks(&lib).into_keys().collect::<Vec<_>>());
}

const HOUSE: &str = "//! House.\n//!\n//! ```text\n//! main > cli\n//! 2 share | 1 ledger policy\n//! 0 sys\n//! ```\n";

fn rules_broken(module: &str, text: &str) -> Vec<&'static str> {
    judge(module, &ranks(HOUSE), text).into_iter().map(|breach| breach.rule).collect()
}

#[test]
fn the_ranks_are_read_from_the_documentation() {
    let ranks = ranks(HOUSE);
    assert!(ranks["main"] > ranks["cli"] && ranks["cli"] > ranks["share"] && ranks["share"] > ranks["ledger"]);
    assert_eq!((ranks["ledger"], ranks["policy"], ranks["sys"]), (1, 1, 0));
}

#[test]
fn an_import_from_below_is_free() {
    let text = "//! x\nuse crate::sys;\nuse crate::{ledger::Entry, policy};\nuse crate::share::nested;\nfn f() { crate::sys::now(); }\n";
    assert_eq!(rules_broken("share", text), [""; 0]);
}

#[test]
fn an_import_from_above_fails_wherever_it_is_written() {
    for text in [
        "use crate::share::Receipt;",
        "use crate::{sys, share};",
        "use crate::share as s;",
        "fn f() { crate::share::f(); }",
        "fn f(_: crate::share::Receipt) {}",
        "fn f() { println!(\"{}\", crate::share::f()); }",
        "mod inner { use crate::cli; }",
    ] {
        assert_eq!(rules_broken("ledger", &format!("//! x\n{text}\n")), ["import"], "{text}");
    }
}

#[test]
fn a_sibling_a_stranger_and_a_missing_head_fail() {
    assert_eq!(rules_broken("ledger", "//! x\nuse crate::policy::Permit;\n"), ["import"]);
    assert_eq!(rules_broken("ledger", "//! x\nuse crate::utils::Permit;\n"), ["rank"]);
    assert_eq!(rules_broken("utils", "//! x\n"), ["rank"]);
    assert_eq!(rules_broken("ledger", "use std::fmt;\n"), ["head"]);
}

#[test]
fn tests_may_import_what_they_test_with() {
    assert_eq!(rules_broken("ledger", "//! x\n#[cfg(test)]\nmod tests { use crate::share::f; }\n"), [""; 0]);
}

#[test]
fn a_long_file_and_a_long_function_fail() {
    let long = |lines: usize| format!("//! x\nfn f() {{\n{}}}\n", "    f();\n".repeat(lines));
    assert_eq!(rules_broken("sys", &long(LONGEST_FUNCTION - 2)), [""; 0]);
    assert_eq!(rules_broken("sys", &long(LONGEST_FUNCTION - 1)), ["function"]);
    assert_eq!(rules_broken("sys", &format!("//! x\nstruct S;\nimpl S {{ {} }}\n", &long(90)[6..])), ["function"]);
    assert_eq!(rules_broken("sys", &format!("//! x\n{}", "const _: u8 = 0;\n".repeat(LONGEST_FILE))), ["file"]);
}
