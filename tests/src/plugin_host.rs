//! The plugin layer alone, over temporary directories, and plugin files to put there.

use std::{
    any::Any,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hotbay::{
    config::RecordSettings,
    observe::{Observe, tracer::SpanContext},
    plugin::{
        Plugins,
        call::{Call, CallContext, CallError, ChunkSender, Reply, Target},
        registry::Route,
        services::{HostServices, Requester},
        settings::{Isolation, PluginSettings},
    },
    tasks::Tasks,
    types::plugin::{PluginState, PluginStatus},
};
use hotbay_plugin::{Error, error::code};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

/// Longer than anything here takes; reached only when a test fails.
pub const SOON: Duration = Duration::from_secs(30);

/// Returns a file that `cargo build --workspace` makes.
///
/// # Panics
///
/// If it was not built.
#[must_use]
pub fn artifact(file: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let directory = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let path = directory.join(file);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// Returns the shared library of a workspace crate.
#[must_use]
pub fn library(krate: &str) -> PathBuf {
    artifact(&format!("lib{}.{}", krate.replace('-', "_"), std::env::consts::DLL_EXTENSION))
}

/// Returns the hostile plugin with its overrides replaced: another build, as far as a host can see.
#[must_use]
pub fn hostile(overrides: &Value) -> Vec<u8> {
    let bytes = fs::read(library("hotbay-test-hostile")).expect("the library is readable");
    rewritten(bytes, "HOTBAY-TEST-OVERRIDES:", "{", 512, &overrides.to_string())
}

/// Returns a build of the plugin with the durable workflows: `one` as compiled, any other name for other
/// texts, `changed` for another graph of `durable-swap` as well.
#[must_use]
pub fn durable(build: &str) -> Vec<u8> {
    let bytes = fs::read(library("hotbay-test-durable")).expect("the library is readable");
    rewritten(bytes, "HOTBAY-TEST-BUILD:", "one", 48, build)
}

/// Replaces the text in a library between `marker` and the end of a field of `length` bytes that begins with
/// the marker and, as compiled, goes on with `default`.
fn rewritten(mut bytes: Vec<u8>, marker: &str, default: &str, length: usize, text: &str) -> Vec<u8> {
    assert!(marker.len() + text.len() <= length, "the text does not fit");
    let compiled = format!("{marker}{default}").into_bytes();
    let found = bytes.windows(compiled.len()).position(|window| window == compiled);
    let start = found.expect("the library contains the marker") + marker.len();
    bytes[start..start + length - marker.len()].fill(b' ');
    bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// Returns a well-behaved plugin with its own names: tools `<name>:echo` and so on.
#[must_use]
pub fn build_of(name: &str, build: &str) -> Vec<u8> {
    hostile(&json!({"name": name, "build": build, "prefix": format!("{name}:")}))
}

/// Compiles a C file to a shared library.
///
/// # Panics
///
/// If there is no C compiler.
pub fn compile_c(directory: &Path, source: &str, output: &Path) {
    let file = directory.join("source.c");
    fs::write(&file, source).expect("the directory is writable");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(output).arg(&file).status();
    assert!(status.expect("a C compiler is installed").success(), "the C file compiles");
}

/// Has the plugins in a directory run where `isolation` says.
pub fn isolate(isolation: Isolation, directory: &Path, settings: &mut PluginSettings) {
    settings.isolated_directories = match isolation {
        Isolation::Inline => Vec::new(),
        Isolation::Process => vec![directory.to_owned()],
    };
}

/// Waits until `probe` returns something.
///
/// # Panics
///
/// If it does not within [`SOON`].
pub async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A context of calls that is known by its name.
#[derive(Debug)]
pub struct Named(pub String);

impl CallContext for Named {
    fn span(&self) -> Option<&SpanContext> {
        None
    }
}

/// Answers requests of plugins in tests: `echo` gives the body back, `context` what the call was given.
#[derive(Debug, Default)]
pub struct EchoServices;

#[async_trait]
impl HostServices for EchoServices {
    async fn request(
        &self,
        caller: Requester,
        op: &str,
        body: Vec<u8>,
        _: Option<ChunkSender>,
    ) -> Result<Vec<u8>, Error> {
        match op {
            "echo" => Ok(body),
            "caller" => {
                let context: Option<&dyn Any> = caller.context.as_ref().map(|context| &**context as _);
                let context = context.and_then(|context| Some(context.downcast_ref::<Named>()?.0.clone()));
                Ok(json!({"plugin": &*caller.plugin, "generation": caller.generation, "context": context})
                    .to_string()
                    .into_bytes())
            }
            "panic" => panic!("boom in the host"),
            _ => Err(Error::with_code(code::UNSUPPORTED, format!("no op `{op}`"))),
        }
    }
}

/// A running plugin layer. Its directories go with it.
pub struct PluginHost {
    /// The facade under test.
    pub plugins: Plugins,
    /// What is recorded of loads.
    pub observe: Observe,
    /// Where plugin files go.
    pub directory: PathBuf,
    /// For scratch files.
    pub scratch: PathBuf,
    root: Arc<tempfile::TempDir>,
    /// What it does in the background.
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl PluginHost {
    /// Starts over an empty directory, with a watcher that reacts fast.
    pub async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    /// Starts after `prepare` has filled the plugin directory and changed the settings.
    pub async fn start_with(prepare: impl FnOnce(&Path, &mut PluginSettings)) -> Self {
        Self::start_serving(Arc::new(EchoServices), prepare).await
    }

    /// Starts like [`PluginHost::start_with`], with `services` answering the plugins' requests.
    pub async fn start_serving(
        services: Arc<dyn HostServices>,
        prepare: impl FnOnce(&Path, &mut PluginSettings),
    ) -> Self {
        let root = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::start_in(root, services, prepare).await
    }

    /// Starts again over the same directories, as after a restart, with [`EchoServices`].
    pub async fn restart(self) -> Self {
        self.restart_with(|_, _| {}).await
    }

    /// As [`PluginHost::restart`], after `prepare` has changed the plugin directory and the settings.
    pub async fn restart_with(self, prepare: impl FnOnce(&Path, &mut PluginSettings)) -> Self {
        self.plugins.shutdown(Duration::from_secs(1)).await;
        // As with a process that has ended, nobody looks at its files any more.
        self.tasks.lock().expect("no test panicked here").drain(..).for_each(|task| task.abort());
        Self::start_in(self.root, Arc::new(EchoServices), prepare).await
    }

    async fn start_in(
        root: Arc<tempfile::TempDir>,
        services: Arc<dyn HostServices>,
        prepare: impl FnOnce(&Path, &mut PluginSettings),
    ) -> Self {
        let directory = root.path().join("plugins.d");
        let scratch = root.path().join("scratch");
        fs::create_dir_all(&directory).expect("writable");
        fs::create_dir_all(&scratch).expect("writable");
        let mut settings = PluginSettings::new(vec![directory.clone()], root.path().join("data"), artifact("hotbay"));
        settings.watch.debounce = Duration::from_millis(20);
        settings.watch.settle = Duration::from_millis(20);
        settings.watch.poll = Duration::from_millis(500);
        settings.drain_deadline = Duration::from_secs(5);
        settings.stuck_grace = Duration::from_millis(100);
        settings.judge_every = Duration::from_millis(10);
        prepare(&directory, &mut settings);
        let runtime = tokio::runtime::Handle::current();
        let tasks: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let begun = Arc::clone(&tasks);
        let spawner = Arc::new(move |_: &'static str, task| {
            let task = runtime.spawn(task).abort_handle();
            begun.lock().expect("no test panicked here").push(task);
        });
        let records = RecordSettings { filter: "info".into(), content: true, days: 1, bytes: u64::MAX };
        let observe = Observe::start(&records, &root.path().join("observe"), &Tasks::default());
        let plugins = Plugins::start(settings, services, spawner, observe.recorder().clone())
            .await
            .expect("the plugin layer starts");
        Self { plugins, observe, directory, scratch, root, tasks }
    }

    /// Puts a file into the plugin directory the way a careful author does: written aside, then renamed.
    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        put(&self.directory, name, bytes)
    }

    /// Calls a tool by its id on whatever generation serves it now.
    pub async fn tool(&self, id: &str, input: Value) -> Result<Value, CallError> {
        let reply = self.raw(id, Call { body: input.to_string().into_bytes(), ..Call::default() }).await?;
        Ok(serde_json::from_slice(&reply.body).expect("tools answer with JSON"))
    }

    /// Calls a tool by its id on whatever generation serves it to a run, as the engine does.
    pub async fn tool_in(&self, run: &str, id: &str, input: Value) -> Result<Value, CallError> {
        let snapshot = self.plugins.registry().snapshot_for(&Route::of_run(run));
        let tool = snapshot.tools.get(id).unwrap_or_else(|| panic!("no tool `{id}`: {:#?}", self.plugins.list()));
        let call = Call { body: input.to_string().into_bytes(), ..Call::default() };
        let reply = tool.generation.call(Target::Tool(tool.id.clone()), call).await?;
        Ok(serde_json::from_slice(&reply.body).expect("tools answer with JSON"))
    }

    /// Calls a tool with everything a call can have.
    pub async fn raw(&self, id: &str, call: Call) -> Result<Reply, CallError> {
        let snapshot = self.plugins.registry().snapshot();
        let tool = snapshot.tools.get(id).unwrap_or_else(|| panic!("no tool `{id}`: {:#?}", self.plugins.list()));
        tool.generation.call(Target::Tool(tool.id.clone()), call).await
    }

    /// Waits until the plugin's status is as wanted.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&PluginStatus) -> bool) -> PluginStatus {
        let found = eventually(what, || self.plugins.get(name).filter(&wanted));
        tokio::time::timeout(SOON + Duration::from_secs(1), found).await.expect("eventually panics earlier")
    }

    /// Waits until the plugin is in a state.
    pub async fn until_state(&self, name: &str, state: PluginState) -> PluginStatus {
        self.until(name, &format!("{name} is {state:?}"), |status| status.state == state).await
    }

    /// Returns the code with which a file was refused, once it was.
    pub async fn refusal(&self, name: &str) -> String {
        let status = self.until(name, "refused", |status| status.last_error.is_some()).await;
        let error = status.last_error.expect("waited for");
        assert!(error.file.starts_with(&self.directory) && error.message.len() > 20, "{error:?}");
        error.code
    }
}

/// Writes a file aside and renames it in place.
pub fn put(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    let aside = directory.join(format!(".{name}.tmp"));
    fs::write(&aside, bytes).expect("the plugin directory is writable");
    fs::rename(&aside, &path).expect("on the same file system");
    path
}
