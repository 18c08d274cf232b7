//! Plugins built for other minors of the ABI, and a host of the next one.
//!
//! `newer` is what the next minor may look like, in the next version of the SDK; `broken`
//! is what none may. Which of them the library is can be chosen in the built file, by the
//! text in `HOTBAY_TEST_MINOR`.
#![expect(unsafe_code, reason = "exports the header by hand, and loads others")]

mod host;
mod plugin;

pub use host::OlderPlugin;

use abi_stable::{
    StableAbi,
    library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult},
    prefix_type::PrefixTypeTrait,
    type_layout::TypeLayout,
};

/// The ABI with more at the end.
#[expect(
    non_local_definitions,
    unused_qualifications,
    unreachable_pub,
    unused_imports,
    dead_code,
    reason = "derived from the SDK's source"
)]
mod newer {
    include!(concat!(env!("OUT_DIR"), "/newer.rs"));
}

/// The ABI with something inserted.
#[expect(
    non_local_definitions,
    unused_qualifications,
    unreachable_pub,
    unused_imports,
    dead_code,
    reason = "derived from the SDK's source"
)]
mod broken {
    include!(concat!(env!("OUT_DIR"), "/broken.rs"));
}

/// Returns the layout of the newer root module.
#[must_use]
pub fn newer_layout() -> &'static TypeLayout {
    <newer::RootRef as StableAbi>::LAYOUT
}

/// Returns the layout of the broken root module.
#[must_use]
pub fn broken_layout() -> &'static TypeLayout {
    <broken::RootRef as StableAbi>::LAYOUT
}

/// Returns a layout of the newer ABI that is of its own crate; those above are of `abi_stable`, around such.
#[must_use]
pub fn newer_reply_layout() -> &'static TypeLayout {
    <newer::Reply as StableAbi>::LAYOUT
}

/// Starts with a marker, goes on with the version to be.
#[used]
#[unsafe(no_mangle)]
pub static HOTBAY_TEST_MINOR: [u8; 32] = *b"HOTBAY-TEST-MINOR:newer         ";

extern "C" fn construct() -> RootModuleResult {
    __call_root_module_loader(|| {
        newer::Root { abi_minor: 1, manifest: plugin::manifest, open: plugin::open, later: plugin::later }
            .leak_into_prefix()
    })
}

/// The header the host looks for.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
pub static mut HEADER: LibHeader = {
    // SAFETY: `construct` returns a `newer::RootRef` made by `leak_into_prefix`.
    unsafe { LibHeader::from_constructor::<newer::RootRef>(construct, CheckTypeLayout::Yes) }
};

/// Runs when the library is loaded, before anybody looks at the header.
extern "C" fn choose() {
    // SAFETY: the static is alive and initialised. Read as volatile, because the file's bytes may
    // have been replaced after the compiler had seen them.
    let version = unsafe { std::ptr::read_volatile(&raw const HOTBAY_TEST_MINOR) };
    if version.ends_with(b":broken        ") {
        // SAFETY: the constructor is never called, since no host accepts this layout.
        let header = unsafe { LibHeader::from_constructor::<broken::RootRef>(construct, CheckTypeLayout::Yes) };
        // SAFETY: constructors of a library run on one thread, before its symbols are found.
        unsafe { HEADER = header };
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static CHOOSE: extern "C" fn() = choose;
