//! Derives other versions of the ABI from the present one's source.
#![expect(clippy::disallowed_methods, reason = "cargo tells a build script where things are this way")]

use std::{env, fs, path::Path};

/// What the next minor may do: append a root field, append methods with default bodies on either side.
const NEWER: [(&str, &str, &str); 3] = [
    (
        "root.rs",
        "    pub open: extern \"C\" fn(HostArc, RVec<u8>) -> AbiResult<PluginBox>,\n",
        "    pub later: extern \"C\" fn() -> u32,\n",
    ),
    (
        "capability.rs",
        "    fn call(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;\n",
        "    fn cost_hint(&self) -> u64 {\n        77\n    }\n",
    ),
    ("host.rs", "    ) -> FfiFuture<AbiResult<RVec<u8>>>;\n", "    fn later(&self) -> u64 {\n        78\n    }\n"),
];

/// What no minor may do.
const BROKEN: [(&str, &str, &str); 1] = [("root.rs", "    pub abi_minor: u32,\n", "    pub inserted: u64,\n")];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let abi = Path::new(&root).join("../../../plugin-api/src/abi");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("newer.rs"), derive(&abi, &NEWER)).expect("writable");
    fs::write(Path::new(&out).join("broken.rs"), derive(&abi, &BROKEN)).expect("writable");
    println!("cargo:rerun-if-changed={}", abi.display());
    println!("cargo:rerun-if-changed=build.rs");
    // Layouts carry the crate they come from and its version; these stand for the SDK's next minor.
    println!("cargo:rustc-env=CARGO_PKG_NAME=hotbay-plugin");
    println!("cargo:rustc-env=CARGO_PKG_VERSION={}", next_minor(&abi.join("../../Cargo.toml")));
}

/// Returns the version that follows the one in a manifest.
fn next_minor(manifest: &Path) -> String {
    println!("cargo:rerun-if-changed={}", manifest.display());
    let text = fs::read_to_string(manifest).expect("the SDK's manifest is there");
    let version = text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let version = version.expect("the SDK has a version of its own");
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().expect("versions are numbers"));
    let mut next = || numbers.next().expect("versions have three numbers");
    format!("{}.{}.0", next(), next() + 1)
}

/// Returns the ABI as one file, with text added after given lines.
fn derive(abi: &Path, additions: &[(&str, &str, &str)]) -> String {
    let read = |name: &str| {
        let mut text = fs::read_to_string(abi.join(name)).expect("the ABI's source is there");
        for (file, after, added) in additions {
            if *file == name {
                assert!(text.contains(after), "{name} has changed: it has no line {after:?}");
                text = text.replacen(after, &format!("{after}{added}"), 1);
            }
        }
        // Docs and attributes of a module cannot stand in the middle of a file.
        let is_code = |line: &&str| !line.trim_start().starts_with("//") && !line.starts_with("#![");
        let code: Vec<&str> = text.lines().filter(is_code).collect();
        code.join("\n")
    };
    let mut all = read("mod.rs");
    for module in ["capability", "host", "root"] {
        all =
            all.replace(&format!("mod {module};"), &format!("mod {module} {{\n{}\n}}", read(&format!("{module}.rs"))));
    }
    all
}
