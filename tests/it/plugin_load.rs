//! Which files load, which are refused, and how the reason reads.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use hotbay::{
    observe::{Window, attrs::Key, filter::Filter},
    plugin::{check_file, settings::PluginSettings},
    types::plugin::PluginState,
};
use hotbay_tests::plugin_host::{PluginHost, artifact, build_of, compile_c, eventually, hostile, put};
use serde_json::json;

/// Starts with one bad file beside a healthy plugin: the file is refused with the code, and the
/// healthy plugin answers.
async fn refused_at_start(bytes: &[u8], code: &str, word: &str) {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "bad.so", bytes);
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await;
    check_refused(&host, "bad", code, word).await;
}

async fn check_refused(host: &PluginHost, name: &str, code: &str, word: &str) {
    let status = host.plugins.get(name).expect("refused files are listed");
    let error = status.last_error.expect("with the reason");
    assert_eq!(error.code, code, "{}", error.message);
    assert!(error.message.contains(word), "{}", error.message);
    assert_eq!(status.state, PluginState::Refused);
    assert!(status.generation.is_none());
    assert_eq!(host.tool("good:echo", json!(1)).await.expect("others answer")["output"], 1);
}

fn good() -> Vec<u8> {
    build_of("bad", "1")
}

fn compiled(source: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = directory.path().join("out.so");
    compile_c(directory.path(), source, &output);
    fs::read(output).expect("the compiler wrote it")
}

#[tokio::test]
async fn a_plugin_in_the_directory_serves_after_the_start() {
    let host = PluginHost::start_with(|directory, _| drop(put(directory, "p.so", &build_of("p", "7")))).await;
    let status = host.plugins.get("p").expect("listed");
    assert_eq!((status.state, status.generation, status.version.as_str()), (PluginState::Serving, Some(1), "7"));
    assert_eq!(status.mapped.count, 1);
    assert!(status.capabilities.tools.contains(&String::from("p:echo")));
    assert_eq!(host.tool("p:echo", json!({"a": 1})).await.expect("answers"), json!({"build": "7", "output": {"a": 1}}));
    let status = serde_json::to_value(host.plugins.get("p")).expect("serialises");
    assert_eq!(status["generations"][0]["calls"], 1);
    assert_eq!(status["generations"][0]["inFlight"], 0);
    assert!(status["generations"][0]["loadedAt"].as_str().expect("text").ends_with('Z'), "{status}");
}

#[tokio::test]
async fn a_load_is_a_span_that_says_what_came_of_it() {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "bad.so", b"not a library");
        put(directory, "p.so", &build_of("p", "7"));
    })
    .await;
    let found = async |name: &str, spans: usize| {
        let end = std::time::Instant::now() + hotbay_tests::plugin_host::SOON;
        let filter = || Filter::is(Key::Name, format!("plugin load: '{name}'"));
        loop {
            let window = Window { limit: 9, ..Window::default() };
            let found = host.observe.spans(filter(), window).await.expect("it is in memory").records;
            if found.len() == spans {
                return found;
            }
            assert!(std::time::Instant::now() < end, "{spans} loads of {name}, there are {found:?}");
            tokio::task::yield_now().await;
        }
    };
    let refused = found("bad", 1).await.remove(0);
    assert_eq!(refused.attributes["outcome"], "refused");
    assert_eq!(refused.error.as_ref().expect("with the reason")["name"], "E_NOT_ELF");
    let span = found("p", 1).await.remove(0);
    assert_eq!((span.kind.as_str(), span.plugin.as_deref(), &span.parent_id), ("generic", Some("p"), &None));
    let hash = span.attributes["hash"].as_str().expect("text");
    assert_eq!(hash.len(), 64, "{hash}");
    let said = |name: &str| span.attributes[name].clone();
    assert_eq!((said("generation"), said("version"), said("outcome")), (json!(1), json!("7"), json!("serving")));
    host.plugins.reload("p").await.expect("it loads again");
    let generations: Vec<_> = found("p", 2).await.iter().map(|span| span.attributes["generation"].clone()).collect();
    assert!(generations.contains(&json!(2)), "{generations:?}");
}

#[tokio::test]
async fn text_is_refused() {
    refused_at_start(b"not a library", "E_NOT_ELF", "not a shared library").await;
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    refused_at_start(b"", "E_NOT_ELF", "empty").await;
}

#[tokio::test]
async fn a_truncated_library_is_refused() {
    refused_at_start(&good()[..300_000], "E_TRUNCATED", "incomplete").await;
}

#[tokio::test]
async fn a_half_zeroed_library_is_refused() {
    let mut bytes = good();
    let half = bytes.len() / 2;
    // The section table at the end is kept, so that only loading it can tell.
    let end = bytes.len() - 64 * 64;
    bytes[4096..half.min(end)].fill(0);
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "bad.so", &bytes);
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await;
    let error = host.plugins.get("bad").and_then(|status| status.last_error).expect("refused");
    assert!(["E_PROBE_CRASHED", "E_OPEN", "E_NOT_A_PLUGIN", "E_ABI_HEADER"].contains(&&*error.code), "{error:?}");
    host.tool("good:echo", json!(1)).await.expect("others answer");
}

#[tokio::test]
async fn another_machines_library_is_refused() {
    let mut bytes = good();
    bytes[18] = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    refused_at_start(&bytes, "E_WRONG_ARCH", "build the plugin for it").await;
}

#[tokio::test]
async fn a_library_that_is_no_plugin_is_refused() {
    refused_at_start(&compiled("int answer(void) { return 42; }"), "E_NOT_A_PLUGIN", "plugin!").await;
}

#[tokio::test]
async fn a_library_with_an_undefined_symbol_is_refused() {
    let source = "int nowhere_to_be_found(void); int answer(void) { return nowhere_to_be_found(); }";
    refused_at_start(&compiled(source), "E_OPEN", "nowhere_to_be_found").await;
}

#[tokio::test]
async fn a_crashing_constructor_kills_only_the_probe() {
    let source = "__attribute__((constructor)) static void crash(void) { *(volatile int *)0 = 1; }";
    refused_at_start(&compiled(source), "E_PROBE_CRASHED", "signal 11").await;
}

#[tokio::test]
async fn an_exiting_constructor_ends_only_the_probe() {
    let source = "#include <stdlib.h>\n__attribute__((constructor)) static void leave(void) { exit(0); }";
    refused_at_start(&compiled(source), "E_PROBE_CRASHED", "exit code 0").await;
}

#[tokio::test]
async fn a_hanging_constructor_is_given_up() {
    let source = "#include <unistd.h>\n__attribute__((constructor)) static void hang(void) { for (;;) pause(); }";
    refused_at_start(&compiled(source), "E_PROBE_TIMEOUT", "constructors").await;
}

#[tokio::test]
async fn a_chatty_constructor_does_not_disturb_the_verdict() {
    let source =
        "#include <stdio.h>\n__attribute__((constructor)) static void talk(void) { puts(\"{\"); fflush(stdout); }";
    refused_at_start(&compiled(source), "E_NOT_A_PLUGIN", "plugin!").await;
}

#[tokio::test]
async fn a_symbol_with_garbage_behind_it_is_refused() {
    let source = "const char _1as_0lib_1header_0root_bmodule_bloader[4096] = \"garbage\";";
    refused_at_start(&compiled(source), "E_ABI_HEADER", "rebuild").await;
}

#[tokio::test]
async fn panic_abort_is_refused() {
    let bytes = hostile(&json!({"name": "bad", "panic": "abort"}));
    refused_at_start(&bytes, "E_PANIC_ABORT", "panic = \"unwind\"").await;
}

#[tokio::test]
async fn a_manifest_that_is_not_json_is_refused() {
    refused_at_start(&hostile(&json!({"manifest": "}{"})), "E_MANIFEST", "rebuild").await;
}

#[tokio::test]
async fn a_bad_schema_is_refused() {
    let manifest =
        json!({"name": "bad", "build": {"panic": "unwind"}, "tools": [{"id": "x", "inputSchema": {"type": 1}}]});
    refused_at_start(&hostile(&json!({"manifest": manifest})), "E_MANIFEST", "`x`").await;
}

#[tokio::test]
async fn an_unknown_tool_in_the_manifest_is_refused() {
    let manifest = json!({"name": "bad", "build": {"panic": "unwind"}, "tools": [{"id": "nope"}]});
    let bytes = hostile(&json!({"manifest": manifest, "prefix": "other:"}));
    refused_at_start(&bytes, "E_OPEN_FAILED", "`nope`").await;
}

#[tokio::test]
async fn a_file_everybody_may_write_is_refused_until_that_is_corrected() {
    let host = PluginHost::start_with(|directory, _| {
        let bad = put(directory, "bad.so", &good());
        fs::set_permissions(bad, fs::Permissions::from_mode(0o777)).expect("own file");
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await;
    check_refused(&host, "bad", "E_UNTRUSTED", "chmod o-w").await;
    fs::set_permissions(host.directory.join("bad.so"), fs::Permissions::from_mode(0o755)).expect("own file");
    host.until_state("bad", PluginState::Serving).await;
}

#[tokio::test]
async fn a_directory_named_like_a_library_and_a_pipe_do_no_harm() {
    let host = PluginHost::start_with(|directory, _| {
        fs::create_dir(directory.join("directory.so")).expect("writable");
        let pipe = std::process::Command::new("mkfifo").arg(directory.join("bad.so")).status();
        assert!(pipe.expect("mkfifo is there").success());
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await;
    check_refused(&host, "bad", "E_NOT_ELF", "regular file").await;
    assert!(host.plugins.get("directory").is_none());
}

#[tokio::test]
async fn a_hash_off_the_allow_list_is_refused() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &good());
        let good = build_of("good", "1");
        put(directory, "good.so", &good);
        settings.trust.hashes = Some([blake3::hash(&good).to_hex().to_string()].into());
    })
    .await;
    check_refused(&host, "bad", "E_UNTRUSTED", "allow-list").await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &good());
        settings.max_file_bytes = 1000;
    })
    .await;
    assert_eq!(host.refusal("bad").await, "E_UNTRUSTED");
}

#[tokio::test]
async fn a_wrong_configuration_names_the_field_and_nothing_is_opened() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &good());
        put(directory, "good.so", &build_of("good", "1"));
        settings.plugins.entry("bad".into()).or_default().config = json!({"open": 3});
    })
    .await;
    check_refused(&host, "bad", "E_CONFIG", "`open`").await;
}

async fn opening(how: &str, code: &str, word: &str) {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &good());
        put(directory, "good.so", &build_of("good", "1"));
        settings.plugins.entry("bad".into()).or_default().config = json!({"open": how});
        if how == "forever" {
            settings.open_deadline = Duration::from_secs(2);
        }
    })
    .await;
    check_refused(&host, "bad", code, word).await;
}

#[tokio::test]
async fn an_open_that_fails_is_reported() {
    opening("fail", "E_OPEN_FAILED", "open does not want to").await;
}

#[tokio::test]
async fn an_open_that_dislikes_its_configuration_is_reported() {
    opening("config", "E_CONFIG", "not one of ours").await;
}

#[tokio::test]
async fn an_open_that_panics_is_reported() {
    opening("panic", "E_OPEN_FAILED", "panic").await;
}

#[tokio::test]
async fn an_open_that_never_returns_is_given_up() {
    opening("forever", "E_OPEN_TIMEOUT", "did not return").await;
}

#[tokio::test]
async fn two_files_with_one_plugin_name_conflict() {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "a.so", &build_of("good", "1"));
        put(directory, "b.so", &build_of("good", "2"));
    })
    .await;
    check_refused(&host, "b", "E_CONFLICT", "a.so").await;
    assert_eq!(host.tool("good:echo", json!(1)).await.expect("the first serves")["build"], "1");
}

#[tokio::test]
async fn a_tool_of_another_plugin_conflicts() {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "a.so", &build_of("good", "1"));
        put(directory, "b.so", &hostile(&json!({"name": "thief", "prefix": "good:"})));
    })
    .await;
    check_refused(&host, "thief", "E_CONFLICT", "`good`").await;
}

#[tokio::test]
async fn a_file_is_checked_without_a_server() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = |data: &Path| PluginSettings::new(vec![], data.to_owned(), artifact("hotbay"));
    let file = put(directory.path(), "p.so", &build_of("p", "1.2.3"));
    let report = check_file(&file, &settings(directory.path())).await.expect("fine");
    assert_eq!((report.manifest.name.as_str(), report.abi.as_str()), ("p", "1.0"));
    assert_eq!(report.hash.len(), 64);
    let text = put(directory.path(), "t.so", b"text");
    let error = check_file(&text, &settings(directory.path())).await.expect_err("refused");
    assert_eq!(error.code.as_str(), "E_NOT_ELF");
}

#[tokio::test]
async fn old_copies_nobody_uses_are_deleted_and_those_in_use_are_kept() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "good.so", &build_of("good", "1"));
        let copies = settings.data.join("plugins");
        fs::create_dir_all(&copies).expect("writable");
        let old = fs::File::create(copies.join("0123.so")).expect("writable");
        let last_year = std::time::SystemTime::now() - Duration::from_secs(365 * 86_400);
        old.set_modified(last_year).expect("own file");
    })
    .await;
    let names = || -> Vec<String> {
        let entries = fs::read_dir(host.directory.join("../data/plugins")).expect("there");
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    };
    eventually("the old copy is gone", || (!names().iter().any(|name| name == "0123.so")).then_some(())).await;
    assert_eq!(names().iter().filter(|name| name.ends_with(".so")).count(), 1);
}

#[tokio::test]
async fn a_directory_everybody_may_write_is_not_loaded_from() {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "bad.so", &good());
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("own directory");
    })
    .await;
    assert_eq!(host.refusal("bad").await, "E_UNTRUSTED");
}

#[tokio::test]
async fn a_verdict_is_kept_so_that_the_next_start_need_not_probe() {
    let host = PluginHost::start_with(|directory, _| drop(put(directory, "good.so", &build_of("good", "1")))).await;
    let kept = fs::read_dir(host.directory.join("../data/plugins")).expect("there");
    let kept =
        kept.map(|entry| entry.expect("readable").path()).find(|path| path.to_string_lossy().ends_with(".probe.json"));
    let kept = kept.expect("a verdict");
    let before = fs::metadata(&kept).and_then(|facts| facts.modified()).expect("there");
    let host = host.restart().await;
    host.tool("good:echo", json!(1)).await.expect("serves again");
    assert_eq!(fs::metadata(&kept).and_then(|facts| facts.modified()).expect("there"), before);
}
