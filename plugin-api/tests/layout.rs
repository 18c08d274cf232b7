//! Fails when a layout that crosses the boundary changes.
//!
//! The snapshot `layout.txt` lists every type reachable from the root module. It may
//! only grow, and only in the ways the append-only rule allows.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::HashMap, fmt::Write, path::Path};

use hotbay_plugin::abi::{
    ABI_MAJOR, ABI_MINOR, RootRef,
    abi_stable::{
        StableAbi,
        library::RootModule,
        std_types::UTypeId,
        type_layout::{TLData, TLFields, TypeLayout},
    },
};

const EXPLANATION: &str =
    "A layout of the ABI has changed. Plugins built before the change meet it in hosts built after it.

Allowed within a major version: a field after the last one of `Root`; a method after the last one of a
trait, with a default body; a type that nothing older mentions. Then raise `ABI_MINOR` and the crate's minor, add a line to
plugin-api/CHANGELOG.md and write the new snapshot with

    HOTBAY_WRITE_LAYOUT=1 cargo test -p hotbay-plugin --test layout

Anything else (another type, order, size or name; a change to a `#[repr(C)]` struct) breaks plugins that
are already built: put the new thing into the JSON that crosses, or name it by a new `op`.

The first lines that differ:
";

#[test]
fn layouts_are_as_the_snapshot_says() {
    let found = dump(<RootRef as StableAbi>::LAYOUT);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout.txt");
    #[expect(clippy::disallowed_methods, reason = "how a test is told to write its snapshot")]
    if std::env::var_os("HOTBAY_WRITE_LAYOUT").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    if found == expected {
        return;
    }
    let lines = expected.lines().zip(found.lines()).filter(|(expected, found)| expected != found);
    let mut message = EXPLANATION.to_owned();
    for (expected, found) in lines.take(8) {
        write!(message, "- {expected}\n+ {found}\n").unwrap();
    }
    let (before, now) = (expected.lines().count(), found.lines().count());
    panic!("{message}({before} lines in the snapshot, {now} now)");
}

#[test]
fn versions_of_crate_and_abi_belong_together() {
    let major = env!("CARGO_PKG_VERSION_MAJOR").parse();
    assert_eq!(major, Ok(ABI_MAJOR), "layouts carry the crate's version: another major refuses every plugin");
    let minor: u32 = env!("CARGO_PKG_VERSION_MINOR").parse().unwrap();
    assert!((ABI_MINOR..).contains(&minor), "each new minor of the ABI is released with one of the crate");
    let header = <RootRef as RootModule>::VERSION_STRINGS;
    assert_eq!(header.version.as_str(), format!("{ABI_MAJOR}.{ABI_MINOR}.0"));
}

#[test]
fn snapshot_reaches_every_capability() {
    let found = dump(<RootRef as StableAbi>::LAYOUT);
    for (trait_name, method) in [
        ("Plugin", "shutdown"),
        ("Tool", "call"),
        ("Agent", "run"),
        ("Workflow", "call"),
        ("VectorStore", "call"),
        ("Model", "chat"),
        ("Embedder", "embed"),
        ("Service", "call"),
        ("HostApi", "request"),
        ("ChunkSink", "ready"),
    ] {
        let has_method = found.split("\n\n").any(|entry| {
            let is_table = entry.starts_with("type ") && entry.contains(&format!("::{trait_name}_trait::VTable #"));
            is_table && entry.lines().any(|line| line.starts_with(&format!("  {method}:")))
        });
        assert!(has_method, "no table of `{trait_name}` with `{method}`");
    }
}

/// Writes every type reachable from `root`, in the order they are met.
fn dump(root: &'static TypeLayout) -> String {
    let mut dump = Dump::default();
    dump.visit(root);
    dump.entries.join("\n")
}

/// Types have numbers: many share a name, and a layout does not tell its type parameters.
#[derive(Default)]
struct Dump {
    numbers: HashMap<UTypeId, usize>,
    entries: Vec<String>,
}

impl Dump {
    /// Returns the name of a type, writing its entry if it is new.
    fn visit(&mut self, layout: &'static TypeLayout) -> String {
        let next = self.numbers.len();
        let number = *self.numbers.entry(layout.get_utypeid()).or_insert(next);
        let name = format!("{}::{} #{number}", layout.mod_path(), layout.name());
        if number < next {
            return name;
        }
        // The place is taken before the fields are visited: types may contain themselves.
        self.entries.push(String::new());
        let mut text = format!("type {name}\n  size {} align {}\n", layout.size(), layout.alignment());
        match layout.data() {
            TLData::Primitive(_) => text.push_str("  primitive\n"),
            TLData::Opaque => text.push_str("  opaque\n"),
            TLData::Struct { fields } | TLData::Union { fields } => self.fields(fields, &mut text),
            TLData::Enum(choice) => {
                writeln!(text, "  variants {}", choice.variant_names.as_str()).unwrap();
                self.fields(choice.fields, &mut text);
            }
            TLData::PrefixType(prefix) => {
                writeln!(text, "  fields from {} on may be missing", prefix.first_suffix_field).unwrap();
                self.fields(prefix.fields, &mut text);
            }
        }
        for parameter in layout.generics().type_params() {
            let parameter = self.visit(parameter());
            writeln!(text, "  of {parameter}").unwrap();
        }
        for field in layout.phantom_fields().iter() {
            let phantom = self.visit(field.layout());
            writeln!(text, "  as if it held {phantom}").unwrap();
        }
        self.entries[number] = text;
        name
    }

    fn fields(&mut self, fields: TLFields, text: &mut String) {
        for field in fields.iter() {
            let held = self.visit(field.layout());
            writeln!(text, "  {}: {held}", field.name()).unwrap();
            for function in field.function_range().iter() {
                for parameter in function.param_type_layouts.iter() {
                    let taken = self.visit(parameter());
                    writeln!(text, "    takes {taken}").unwrap();
                }
                if let Some(returned) = function.return_type_layout() {
                    let given = self.visit(returned());
                    writeln!(text, "    gives {given}").unwrap();
                }
            }
        }
    }
}
