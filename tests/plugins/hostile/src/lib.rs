//! A plugin written against the bare ABI, so that it can do what the SDK prevents.
//!
//! Tests choose what it does: a tool's id names its behaviour, the configuration says how
//! `open` and `shutdown` go, and the bytes of `OVERRIDES` can be replaced in the built
//! file, which makes another build of the plugin without another compilation.
#![expect(unsafe_code, reason = "exports the header by hand")]

mod behaviour;
mod fault;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use behaviour::Behaviour;
use hotbay_plugin::{
    Error,
    abi::{
        AbiResult, AgentBox, CallCtx, EmbedderBox, HostArc, ModelBox, Plugin, Plugin_TO, PluginBox, Reply, Root,
        RootRef, ServiceBox, Tool, Tool_TO, ToolBox, VectorStoreBox, WorkflowBox,
        abi_stable::{
            library::{__call_root_module_loader, LibHeader, RootModuleResult},
            prefix_type::PrefixTypeTrait,
            sabi_trait::TD_Opaque,
            std_types::{RResult, RStr, RVec},
            type_layout::TypeLayout,
        },
        async_ffi::{FfiFuture, FutureExt},
    },
    error::code,
};
use serde_json::{Value, json};

/// Starts with a marker, goes on with a JSON object, padded with spaces.
#[used]
#[unsafe(no_mangle)]
pub static HOTBAY_TEST_OVERRIDES: [u8; 512] = {
    let marker = *b"HOTBAY-TEST-OVERRIDES:{}";
    let mut bytes = [b' '; 512];
    let mut index = 0;
    while index < marker.len() {
        bytes[index] = marker[index];
        index += 1;
    }
    bytes
};

/// Length of the marker before the JSON.
const MARKER: usize = "HOTBAY-TEST-OVERRIDES:".len();

/// The behaviours that are offered as tools.
const TOOLS: [&str; 14] = [
    "echo",
    "sleep",
    "block",
    "forever",
    "panic_call",
    "panic_poll",
    "panic_drop",
    "fail",
    "stream",
    "ask",
    "log",
    "log_bytes",
    "pending",
    "suspend",
];

/// Those that end the process or try to, offered where the overrides ask for `faults`.
const FAULTS: [&str; 20] = [
    "segv",
    "bus",
    "abort",
    "exit",
    "overflow",
    "oom",
    "fork_bomb",
    "leave_child",
    "spawn",
    "leak_files",
    "spin",
    "huge",
    "garbage",
    "oversize",
    "forge",
    "flood",
    "hang_up",
    "print",
    "surroundings",
    "who",
];

fn overrides() -> Value {
    // SAFETY: the static is alive and initialised. Read as volatile, because the file's bytes were
    // replaced after the compiler had seen them.
    let bytes = unsafe { std::ptr::read_volatile(&raw const HOTBAY_TEST_OVERRIDES) };
    serde_json::from_slice(bytes.get(MARKER..).unwrap_or_default()).unwrap_or(Value::Null)
}

fn text<'a>(value: &'a Value, key: &str, default: &'a str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or(default)
}

extern "C" fn manifest() -> RVec<u8> {
    let overrides = overrides();
    if let Some(raw) = overrides.get("manifest") {
        return raw.as_str().map_or_else(|| raw.to_string(), str::to_owned).into_bytes().into();
    }
    let prefix = text(&overrides, "prefix", "");
    let faults = if overrides.get("faults").is_some() { FAULTS.as_slice() } else { &[] };
    let tools: Vec<Value> = TOOLS
        .iter()
        .chain(faults)
        .map(|behaviour| {
            let mut tool = json!({"id": format!("{prefix}{behaviour}"), "description": behaviour, "inputSchema": {}});
            if let Some(idempotent) = overrides.get("idempotent") {
                tool["idempotent"] = idempotent.clone();
            }
            if let Some(timeout) = overrides.get("timeoutMs") {
                tool["timeoutMs"] = timeout.clone();
            }
            tool
        })
        .collect();
    let manifest = json!({
        "name": text(&overrides, "name", "hostile"),
        "version": text(&overrides, "build", "0.0.0"),
        "build": {"panic": text(&overrides, "panic", "unwind"), "profile": "debug"},
        "configSchema": {
            "type": "object",
            "properties": {"open": {"type": "string"}, "shutdown": {"type": "string"}},
            "additionalProperties": false,
        },
        "tools": tools,
    });
    manifest.to_string().into_bytes().into()
}

extern "C" fn open(host: HostArc, config: RVec<u8>) -> AbiResult<PluginBox> {
    guarded(|| {
        let config: Value = serde_json::from_slice(&config)?;
        behaviour::act("open", text(&config, "open", "ok"))?;
        let shared = Arc::new(Shared {
            host,
            build: text(&overrides(), "build", "0.0.0").to_owned(),
            prefix: text(&overrides(), "prefix", "").to_owned(),
            shutdown: text(&config, "shutdown", "ok").to_owned(),
        });
        Ok(Plugin_TO::from_value(Hostile { shared }, TD_Opaque))
    })
}

/// What the SDK's guard does: no panic may reach the boundary from a plain function.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> AbiResult<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(error.into()),
        Err(_) => RResult::RErr(Error::with_code(code::PANIC, "a guarded panic").into()),
    }
}

struct Shared {
    host: HostArc,
    build: String,
    prefix: String,
    shutdown: String,
}

struct Hostile {
    shared: Arc<Shared>,
}

fn unsupported<T>(what: RStr<'_>) -> AbiResult<T> {
    RResult::RErr(Error::with_code(code::UNSUPPORTED, format!("no `{what}` here")).into())
}

impl Plugin for Hostile {
    fn tool(&self, id: RStr<'_>) -> AbiResult<ToolBox> {
        let Some(behaviour) = id.as_str().strip_prefix(&*self.shared.prefix) else { return unsupported(id) };
        // One build may misbehave where another does not.
        let overrides = overrides();
        let behaviour = text(overrides.get("as").unwrap_or(&Value::Null), behaviour, behaviour);
        let tool = Behaviour { name: behaviour.to_owned(), shared: Arc::clone(&self.shared) };
        RResult::ROk(Tool_TO::from_value(tool, TD_Opaque))
    }

    fn agent(&self, id: RStr<'_>) -> AbiResult<AgentBox> {
        unsupported(id)
    }

    fn workflow(&self, id: RStr<'_>) -> AbiResult<WorkflowBox> {
        unsupported(id)
    }

    fn vector_store(&self, name: RStr<'_>) -> AbiResult<VectorStoreBox> {
        unsupported(name)
    }

    fn model(&self, id: RStr<'_>) -> AbiResult<ModelBox> {
        unsupported(id)
    }

    fn embedder(&self, id: RStr<'_>) -> AbiResult<EmbedderBox> {
        unsupported(id)
    }

    fn service(&self, _kind: RStr<'_>, name: RStr<'_>) -> AbiResult<ServiceBox> {
        unsupported(name)
    }

    fn shutdown(&self, _deadline_ms: u64) -> FfiFuture<AbiResult<()>> {
        let shared = Arc::clone(&self.shared);
        // Not guarded: a panic in a poll is caught by the future's glue and reported as such.
        async move { behaviour::act("shutdown", &shared.shutdown).map_err(Into::into).into() }.into_ffi()
    }
}

impl Tool for Behaviour {
    fn call(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let started = guarded(|| self.start(ctx, input.into_vec()));
        async move {
            match started {
                RResult::ROk(future) => future.await.map_err(Into::into).into(),
                RResult::RErr(error) => RResult::RErr(error),
            }
        }
        .into_ffi()
    }
}

extern "C" fn construct() -> RootModuleResult {
    __call_root_module_loader(|| Root { abi_minor: 0, manifest, open }.leak_into_prefix())
}

/// The header the host looks for.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
pub static HEADER: LibHeader = {
    use hotbay_plugin::abi::abi_stable::{StableAbi, library::CheckTypeLayout};
    const _: &TypeLayout = <RootRef as StableAbi>::LAYOUT;
    // SAFETY: `construct` returns a `RootRef` made by `leak_into_prefix`.
    unsafe { LibHeader::from_constructor::<RootRef>(construct, CheckTypeLayout::Yes) }
};
