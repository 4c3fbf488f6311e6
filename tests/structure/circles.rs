//! No modules of a folder depend on each other in a circle. The graph is that of paths in the source (`use` lines and paths
//! within items and macros), followed through re-exports to the module that defines what is named. A module and what lies
//! below it are one node among its siblings.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;
use syn::visit::Visit;
use syn::{Item, ItemUse, Macro, UseTree, Visibility};

use crate::checkout::Checkout;
use crate::finding::Finding;
use crate::syntax;

/// A module's place below the root of its crate: `["http", "routes"]`.
type Path = Vec<String>;

/// How many re-exports a path may lead through.
const MOST_HOPS: usize = 8;

#[derive(Debug, Default)]
struct Module {
    /// What `use` lines bring into the module, by the name that it has there.
    imports: BTreeMap<String, Path>,
    /// What is imported with a `*`.
    globs: Vec<Path>,
    /// Names of the module's own items.
    items: BTreeSet<String>,
    /// Every path that the module's source names, as written.
    named: Vec<Path>,
}

/// One finding for each folder whose modules form a circle.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let crates = checkout.crates();
    let mut findings = Vec::new();
    for (directory, root) in &crates {
        let modules = modules(checkout, directory, root);
        for (folder, edges) in edges(&modules) {
            for circle in circles(&edges) {
                let path = [std::slice::from_ref(directory), folder.as_slice()].concat().join("/");
                findings.push(Finding::new(
                    &path,
                    format!("{} need each other: {}", circle.join(", "), proof(&circle, &edges)),
                ));
            }
        }
    }
    findings
}

fn modules(checkout: &Checkout, directory: &str, root: &str) -> BTreeMap<Path, Module> {
    let mut modules = BTreeMap::new();
    for (file, syntax) in &checkout.sources {
        let Some(name) = file.strip_prefix(directory).and_then(|name| name.strip_prefix('/')) else { continue };
        let path: Path = if name == root {
            Vec::new()
        } else if name == "main.rs" || name.starts_with("bin/") {
            continue;
        } else {
            let name = name.strip_suffix("/mod.rs").or_else(|| name.strip_suffix(".rs")).unwrap_or(name);
            name.split('/').map(str::to_owned).collect()
        };
        let mut module = Module::default();
        for item in &syntax.items {
            module.items.extend(name_of(item));
        }
        module.visit_file(syntax);
        modules.insert(path, module);
    }
    modules
}

fn name_of(item: &Item) -> Option<String> {
    match item {
        Item::Const(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Fn(item) => Some(item.sig.ident.to_string()),
        Item::Static(item) => Some(item.ident.to_string()),
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Trait(item) => Some(item.ident.to_string()),
        Item::Type(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, mut before: Path) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before.clone())),
            UseTree::Glob(_) => {
                self.named.push(before.clone());
                self.globs.push(before);
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.bring(before.last().cloned().unwrap_or_default(), before)
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.bring(name.ident.to_string(), before);
            }
            UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    before.push(rename.ident.to_string());
                }
                self.bring(rename.rename.to_string(), before);
            }
        }
    }

    fn bring(&mut self, name: String, path: Path) {
        self.named.push(path.clone());
        self.imports.insert(name, path);
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.named.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    /// `pub(super)` names a module and depends on nothing in it.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        let mut row = Vec::new();
        syntax::open(call.tokens.clone(), &mut row);
        let mut path = Path::new();
        let mut colons = 0;
        for token in row {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.named.push(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                _ => {
                    self.named.push(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.named.push(path);
        self.named.retain(|path| path.len() > 1);
    }
}

/// The place of a path as written in `module`, from the crate's root; `None` for another crate's.
fn absolute(modules: &BTreeMap<Path, Module>, module: &Path, written: &[String]) -> Option<Path> {
    let first = written.first()?;
    let mut place = module.clone();
    let mut rest = written;
    match first.as_str() {
        "crate" => {
            place.clear();
            rest = &written[1..];
        }
        "self" => rest = &written[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                place.pop()?;
                rest = &rest[1..];
            }
        }
        _ => {
            let child = [module.as_slice(), std::slice::from_ref(first)].concat();
            let imported = modules.get(module)?.imports.get(first);
            // `use x::y` of the other crate x must not lead to itself.
            if !modules.contains_key(&child) && imported.is_none_or(|path| path.first() == Some(first)) {
                return None;
            }
        }
    }
    Some([place.as_slice(), rest].concat())
}

/// The module that defines what a path from the crate's root names.
fn definition(modules: &BTreeMap<Path, Module>, path: &[String], hops: usize) -> Option<Path> {
    let mut place = Path::new();
    for (at, segment) in path.iter().enumerate() {
        let child = [place.as_slice(), std::slice::from_ref(segment)].concat();
        if modules.contains_key(&child) {
            place = child;
            continue;
        }
        let module = modules.get(&place)?;
        if let Some(import) = module.imports.get(segment) {
            if hops == 0 {
                return None;
            }
            let target = absolute(modules, &place, import)?;
            return definition(modules, &[target.as_slice(), &path[at + 1..]].concat(), hops - 1);
        }
        if !module.items.contains(segment) {
            let targets = module.globs.iter().filter_map(|glob| absolute(modules, &place, glob));
            let mut homes = targets.filter_map(|glob| definition(modules, &glob, hops.checked_sub(1)?));
            if let Some(home) = homes.find(|home| modules.get(home).is_some_and(|home| home.items.contains(segment))) {
                return Some(home);
            }
        }
        break;
    }
    Some(place)
}

type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// For each folder, which of its modules needs which, with one example as proof.
fn edges(modules: &BTreeMap<Path, Module>) -> BTreeMap<Path, Edges> {
    let mut folders: BTreeMap<Path, Edges> = BTreeMap::new();
    for (from, module) in modules {
        for written in &module.named {
            let target = absolute(modules, from, written);
            let Some(to) = target.and_then(|path| definition(modules, &path, MOST_HOPS)) else { continue };
            let common = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
            if let (Some(left), Some(right)) = (from.get(common), to.get(common)) {
                let edges = folders.entry(from[..common].to_vec()).or_default();
                let example = format!("{} names {}", from.join("::"), written.join("::"));
                edges.entry(left.clone()).or_default().entry(right.clone()).or_insert(example);
            }
        }
    }
    folders
}

/// Groups of modules each of which reaches all the others of its group.
fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let reach = |start: &String| {
        let mut seen = BTreeSet::new();
        let mut next = vec![start];
        while let Some(module) = next.pop() {
            next.extend(edges.get(module).into_iter().flat_map(BTreeMap::keys).filter(|to| seen.insert((*to).clone())));
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|module| (module, reach(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, far) in &reached {
        if far.contains(*module) {
            let circle: Vec<String> = far
                .iter()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(*module)))
                .cloned()
                .collect();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// Every edge within a circle.
fn proof(circle: &[String], edges: &Edges) -> String {
    let within = circle.iter().filter_map(|module| edges.get(module)).flatten().filter(|(to, _)| circle.contains(to));
    within.map(|(_, example)| example.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        find(&Checkout::of(files)).into_iter().map(|finding| format!("{}: {}", finding.path, finding.problem)).collect()
    }

    #[test]
    fn two_modules_that_name_each_other() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b;"),
            ("x/src/a.rs", "use crate::b::B; pub struct A;"),
            ("x/src/b.rs", "pub struct B; fn f() -> crate::a::A { todo!() }"),
        ];
        assert_eq!(found(&files), ["x/src: a, b need each other: a names crate::b::B; b names crate::a::A"]);
    }

    #[test]
    fn siblings_in_a_folder_through_its_re_exports() {
        let files = [
            ("x/src/lib.rs", "mod f;"),
            ("x/src/f/mod.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
            ("x/src/f/a.rs", "use super::B; pub struct A;"),
            ("x/src/f/b.rs", "use super::A; pub struct B;"),
        ];
        assert_eq!(found(&files), ["x/src/f: a, b need each other: f::a names super::B; f::b names super::A"]);
    }

    #[test]
    fn a_path_within_a_macro_and_a_longer_circle() {
        let files = [
            ("x/src/main.rs", "mod a; mod b; mod c;"),
            ("x/src/a.rs", "pub fn a() { println!(\"{}\", crate::b::b()); }"),
            ("x/src/b.rs", "use crate::c; pub fn b() { c::c() }"),
            ("x/src/c.rs", "pub fn c() { crate::a::a() }"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn no_circle_where_dependencies_go_one_way_or_only_tests_go_back() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b; mod f; pub use a::A;"),
            ("x/src/a.rs", "use crate::b::B; use std::fmt; use serde::a; pub struct A; impl fmt::Debug for A {}"),
            ("x/src/b.rs", "pub(in crate::a) struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
            ("x/src/f/mod.rs", "mod c; #[cfg(test)] mod tests; mod d; pub use c::C;"),
            ("x/src/f/c.rs", "use super::d; pub struct C; fn c() { d::f() }"),
            ("x/src/f/d.rs", "pub fn f() {}"),
            ("x/src/f/tests.rs", "use super::c::C; use super::d;"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
