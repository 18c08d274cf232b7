use std::collections::HashMap;

use nix::unistd::Uid;
use serde_json::json;

use super::*;
use crate::plugin::settings::Isolation;

/// A file, variables and flags.
fn load(text: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hotbay.toml");
    std::fs::write(&file, text).unwrap();
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load_with(&Flags { config: Some(file), ..flags }, &|name| variables.get(name).cloned())
}

fn defaults() -> Config {
    load("", &[], Flags::default()).unwrap()
}

#[track_caller]
fn check_error(text: &str, variables: &[(&str, &str)], flags: Flags, expected: &[&str]) {
    let error = load(text, variables, flags).unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn nothing_set_means_the_documented_defaults() {
    let config = defaults();
    assert_eq!(config.listen.to_string(), "127.0.0.1:4111");
    assert_eq!(config.prefix, "/api");
    assert_eq!(config.data, Path::new(".hotbay"));
    assert_eq!(config.plugin_dirs, [Path::new("plugins.d")]);
    assert_eq!(config.body_limit, 4_718_592);
    assert_eq!(config.cors_origins, ["*"]);
    assert!(config.watch && config.log.color && !config.auth.is_required());
}

#[test]
fn flag_counts_before_variable_before_file() {
    let file = "prefix = '/file'";
    let variable = [("HOTBAY_PREFIX", "/variable")];
    let flags = Flags { prefix: Some("/flag/".into()), ..Flags::default() };
    assert_eq!(load(file, &[], Flags::default()).unwrap().prefix, "/file");
    assert_eq!(load(file, &variable, Flags::default()).unwrap().prefix, "/variable");
    assert_eq!(load(file, &variable, flags).unwrap().prefix, "/flag");
    assert_eq!(load(file, &[("HOTBAY_PREFIX", "")], Flags::default()).unwrap().prefix, "/file");
}

#[test]
fn a_log_file_is_in_the_data_directory_unless_it_is_named_elsewhere() {
    assert_eq!(defaults().log.file, None);
    let in_file = load("data = '/d'\nlog_file = 'a.log'", &[], Flags::default()).unwrap();
    assert_eq!(in_file.log.file.as_deref(), Some(Path::new("/d/a.log")));
    let variable = load("log_file = 'a.log'", &[("HOTBAY_LOG_FILE", "b.log")], Flags::default()).unwrap();
    assert_eq!(variable.log.file.as_deref(), Some(Path::new("b.log")));
    let flags = Flags { log_file: Some("c.log".into()), ..Flags::default() };
    assert_eq!(load("", &[("HOTBAY_LOG_FILE", "b.log")], flags).unwrap().log.file.as_deref(), Some(Path::new("c.log")));
    assert_eq!(load("log_file = ''", &[], Flags::default()).unwrap().log.file, None);
}

#[test]
fn sizes_times_and_lists_are_read_from_every_place() {
    let config = load(
        "body_limit = 1024\nrun_deadline = '2m'\nwatch = false\ncors_origins = ['https://a.example']",
        &[("HOTBAY_CALL_DEADLINE", "500ms"), ("NO_COLOR", "1"), ("HOTBAY_PLUGINS", "/a:/b")],
        Flags { body_limit: Some("4.5MiB".into()), ..Flags::default() },
    )
    .unwrap();
    assert_eq!(config.body_limit, 4_718_592);
    assert_eq!(config.deadlines.run, Duration::from_secs(120));
    assert_eq!(config.deadlines.call, Duration::from_millis(500));
    assert_eq!(config.cors_origins, ["https://a.example"]);
    assert_eq!(config.plugin_dirs, [Path::new("/a"), Path::new("/b")]);
    assert!(!config.watch && !config.log.color);
    let settings = config.plugin_settings("hotbay".into());
    assert_eq!(settings.call_deadline, Duration::from_millis(500));
    assert!(!settings.watch.enabled);
}

#[test]
fn paths_in_the_file_are_relative_to_it() {
    let config = load("data = 'state'\nplugin_dirs = ['p', '/q']", &[], Flags::default()).unwrap();
    let home = config.file.as_deref().and_then(Path::parent).unwrap();
    assert_eq!(config.data, home.join("state"));
    assert_eq!(config.plugin_dirs, [home.join("p"), "/q".into()]);
}

#[test]
fn error_names_setting_place_and_expectation() {
    let listen = |text: &str| Flags { listen: Some(text.into()), ..Flags::default() };
    check_error("", &[], listen("4111"), &["--listen", "`4111`", "127.0.0.1:4111"]);
    check_error("", &[("HOTBAY_BODY_LIMIT", "much")], Flags::default(), &["HOTBAY_BODY_LIMIT", "`much`", "4.5MiB"]);
    check_error("run_deadline = '5 weeks'", &[], Flags::default(), &["`run_deadline` in", "hotbay.toml", "30s"]);
    check_error("run_deadline = 0", &[], Flags::default(), &["run_deadline", "above nothing"]);
    check_error("prefix = 'api'", &[], Flags::default(), &["prefix", "begins with `/`"]);
    check_error("cors_origins = ['example.com']", &[], Flags::default(), &["cors_origins", "https://"]);
    check_error("log_format = 'xml'", &[], Flags::default(), &["log_format", "`json`"]);
    check_error("log = 'a=b=c'", &[], Flags::default(), &["log", "hotbay=debug"]);
}

#[test]
fn unknown_setting_is_refused_with_its_line() {
    check_error("prefix = '/a'\nlissten = 'x'", &[], Flags::default(), &["hotbay.toml", "line 2", "lissten", "listen"]);
    check_error("[plugins.weather]\nconfg = {}", &[], Flags::default(), &["confg", "config"]);
    check_error("[providers.local]\nbaseurl = 'x'", &[], Flags::default(), &["baseurl", "base_url"]);
    check_error("listen = [1]", &[], Flags::default(), &["line 1", "expected a string"]);
}

#[test]
fn only_a_file_that_is_named_must_exist() {
    let missing = Flags { config: Some("/nowhere/hotbay.toml".into()), ..Flags::default() };
    let error = Config::load_with(&missing, &|_| None).unwrap_err().to_string();
    assert!(error.contains("/nowhere/hotbay.toml") && error.contains("--config"), "{error}");
}

#[test]
fn other_addresses_than_loopback_need_callers_who_say_who_they_are() {
    let flags = |auth: &str| Flags { listen: Some("0.0.0.0:4111".into()), auth: Some(auth.into()), ..Flags::default() };
    check_error("", &[], flags("false"), &["0.0.0.0:4111", "--auth", "hotbay token new"]);
    assert!(load("", &[], flags("true")).is_ok());
    let listen = Flags { listen: Some("0.0.0.0:4111".into()), ..Flags::default() };
    for (file, variables) in [
        ("[auth]\nrequired = true", &[][..]),
        ("[auth.tokens.ci]\nrole = 'viewer'\ntoken = { env = 'CI' }", &[]),
        ("[auth.jwt]\nkeys = 'keys.json'\naudience = 'hotbay'", &[]),
        ("", &[("HOTBAY_AUTH", "1")]),
        ("", &[("HOTBAY_JWT_KEYS", "https://id.example/keys"), ("HOTBAY_JWT_AUDIENCE", "hotbay")]),
    ] {
        assert!(load(file, variables, listen.clone()).is_ok(), "{file} {variables:?}");
    }
    assert!(load("listen = '[::1]:0'", &[], Flags::default()).is_ok());
}

#[test]
fn what_is_wrong_about_who_is_let_in_is_told() {
    for (file, words) in [
        ("[auth.tokens.'a b']\nrole = 'viewer'\ntoken = 'x'", &["auth.tokens", "a b", "64 letters"][..]),
        ("[auth.tokens.a]\nrole = 'admin'\nowner = 'ann'\ntoken = 'x'", &["auth.tokens.a.role", "admin"]),
        ("[auth.tokens.a]\nrole = 'root'\ntoken = 'x'", &["root", "viewer"]),
        ("[auth.jwt]\nkeys = 'http://id.example/keys'\naudience = 'x'", &["auth.jwt.keys", "https://"]),
        ("[auth.jwt]\nkeys = 'keys.json'", &["auth.jwt.audience"]),
        ("[auth.jwt]\naudience = 'x'", &["auth.jwt.keys"]),
        ("[auth.jwt]\nkeys = 'k'\naudience = 'x'\nalgorithms = []", &["auth.jwt.algorithms"]),
        ("[auth.jwt]\nkeys = 'k'\naudience = 'x'\nalgorithms = ['HS256']", &["HS256"]),
    ] {
        check_error(file, &[], Flags::default(), words);
    }
}

#[test]
fn tokens_of_the_file_stay_hidden() {
    let file = "[auth.tokens.ci]\nrole = 'viewer'\ntoken = 'hush'\n[auth.tokens.ann]\nrole = 'operator'\nowner = 'ann'\n\
                token = { env = 'ANN' }";
    let config = load(file, &[], Flags::default()).unwrap();
    assert!(!format!("{config:?} {}", config.redacted()).contains("hush"));
    assert_eq!(config.redacted()["auth"]["tokens"]["ann"]["token"]["env"], "ANN");
}

#[test]
fn plugins_providers_and_secrets_come_from_the_file_and_secrets_stay_hidden() {
    let config = load(
        r#"
        [providers.local]
        base_url = "http://127.0.0.1:8080/v1"
        api_key = "hush-1"
        [plugins.weather]
        isolation = "process"
        config = { unit = "celsius", api_key = "hush-2", nested = { password = "hush-3", tokens = ["hush-4"] } }
        [secrets]
        plain = "hush-5"
        looked_up = { env = "WEATHER_KEY" }
        "#,
        &[],
        Flags::default(),
    )
    .unwrap();
    let weather = &config.plugins["weather"];
    assert_eq!(weather.isolation, Some(Isolation::Process));
    assert_eq!(weather.config["unit"], "celsius");
    assert_eq!(config.plugin_settings("x".into()).options("weather"), *weather);
    let shown = config.redacted();
    assert_eq!(shown["plugins"]["weather"]["config"]["unit"], "celsius");
    assert_eq!(shown["secrets"], json!({ "plain": "***", "looked_up": { "env": "WEATHER_KEY" } }));
    assert!(!shown.to_string().contains("hush"), "{shown}");
    assert!(!format!("{config:?}").contains("hush-5"));
}

#[test]
fn a_collector_is_named_and_what_it_is_sent_is_hidden() {
    assert_eq!(defaults().otlp.endpoint, None);
    let config = load(
        "otlp_endpoint = 'https://me:hidden@collector.example:4318'\notlp_protocol = 'json'",
        &[("HOTBAY_OTLP_HEADERS", "authorization=Bearer hidden, x-team=hidden=")],
        Flags { otlp_logs: Some("true".into()), ..Flags::default() },
    )
    .unwrap();
    assert_eq!(config.otlp.headers.len(), 2);
    assert_eq!(config.otlp.headers[1].1.0, "hidden=");
    assert!(config.otlp.logs && config.otlp.protocol == OtlpProtocol::Json);
    let shown = config.redacted();
    assert_eq!(shown["otlp_endpoint"], "https://me:***@collector.example:4318");
    assert_eq!(shown["otlp_headers"], json!({"authorization": "***", "x-team": "***"}));
    assert!(!format!("{:?} {shown}", config.otlp.headers).contains("hidden"));
}

#[test]
fn errors_about_a_collector_do_not_repeat_what_may_be_a_key() {
    let flags = Flags::default;
    check_error("otlp_endpoint = 'collector:4318'", &[], flags(), &["`otlp_endpoint`", "http://127.0.0.1:4318"]);
    check_error("otlp_protocol = 'grpc'", &[], flags(), &["`protobuf` or `json`"]);
    check_error("", &[("HOTBAY_OTLP_HEADERS", "sk-hidden")], flags(), &["HOTBAY_OTLP_HEADERS is `***`"]);
}

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

#[test]
fn whom_plugins_are_trusted_from_is_read_from_every_place() {
    let hash = "0a".repeat(32);
    assert!(!defaults().trust.is_on());
    let file = format!("[trust]\nkeys = ['{KEY}', {{ name = 'acme', key = '{KEY}' }}]\nhashes = ['{hash}']");
    let config = load(&file, &[], Flags::default()).unwrap();
    let names: Vec<_> = config.trust.keys.iter().map(|key| key.name.as_deref()).collect();
    assert_eq!(names, [None, Some("acme")]);
    assert_eq!(config.plugin_settings("hotbay".into()).trust, config.trust);
    let id = "E7620F1842B4E81F";
    let keys = json!([{"name": null, "id": id}, {"name": "acme", "id": id}]);
    assert_eq!(config.redacted()["trust"], json!({"keys": keys, "hashes": [hash]}));

    let named = format!("home={KEY}, {KEY}");
    let variables = [("HOTBAY_TRUST_KEYS", named.as_str()), ("HOTBAY_TRUST_HASHES", hash.as_str())];
    let config = load("", &variables, Flags::default()).unwrap();
    assert_eq!((config.trust.keys.len(), config.trust.keys[0].name.as_deref()), (2, Some("home")));
    assert_eq!(config.trust.hashes, Some([hash.clone()].into()));
    let trust = TrustFlags { trust_key: vec![KEY.into()], trust_hash: vec!["0B".repeat(32)] };
    let config = load(&file, &variables, Flags { trust, ..Flags::default() }).unwrap();
    assert_eq!((config.trust.keys.len(), config.trust.hashes), (1, Some(["0b".repeat(32)].into())));
}

#[test]
fn a_trust_that_cannot_be_meant_is_refused() {
    let flags = Flags::default;
    check_error("[trust]\nkeys = []", &[], flags(), &["`trust.keys` in", "at least one"]);
    check_error("[trust]\nhashes = []", &[], flags(), &["`trust.hashes` in", "at least one"]);
    check_error("[trust]\nkeys = ['RW1']", &[], flags(), &["`RW1`", "56 characters"]);
    check_error("[trust]\nkeys = [{ key = 'RW1' }]", &[], flags(), &["line 2", "name"]);
    check_error("", &[("HOTBAY_TRUST_HASHES", "12")], flags(), &["HOTBAY_TRUST_HASHES", "hotbay plugin check"]);
}

#[test]
fn directories_of_isolated_plugins_come_from_every_place_and_are_directories_as_well() {
    assert!(defaults().isolated_plugin_dirs.is_empty());
    let file = "plugin_dirs = ['own']\nisolated_plugin_dirs = ['theirs']\n[plugins.mine]\nisolation = 'inline'";
    let config = load(file, &[], Flags::default()).unwrap();
    let home = config.file.as_deref().and_then(Path::parent).unwrap();
    let settings = config.plugin_settings("x".into());
    assert_eq!(settings.directories, [home.join("own"), home.join("theirs")]);
    let isolation = |name: &str, directory: &str| settings.isolation(name, &home.join(directory).join("p.so"));
    assert_eq!(isolation("p", "own"), Isolation::Inline);
    assert_eq!(isolation("p", "theirs"), Isolation::Process);
    assert_eq!(isolation("mine", "theirs"), Isolation::Inline);
    let variable = load(file, &[("HOTBAY_ISOLATED_PLUGINS", "/a:/b")], Flags::default()).unwrap();
    assert_eq!(variable.isolated_plugin_dirs, [Path::new("/a"), Path::new("/b")]);
    let flags = Flags { isolated_plugins: vec!["c".into()], ..Flags::default() };
    let flag = load(file, &[("HOTBAY_ISOLATED_PLUGINS", "/a")], flags).unwrap();
    assert_eq!(flag.isolated_plugin_dirs, [Path::new("c")]);
}

#[test]
fn another_user_is_one_of_this_machine_who_is_not_root() {
    assert_eq!(defaults().isolated_user, None);
    let error = load("isolated_user = 'no-such-user'", &[], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("`isolated_user` in") && error.contains("a user of this machine"), "{error}");
    for root in ["root", "0"] {
        let error = load("", &[("HOTBAY_ISOLATED_USER", root)], Flags::default()).unwrap_err().to_string();
        assert!(error.contains("HOTBAY_ISOLATED_USER") && error.contains("who is not root"), "{error}");
    }
    let flags = Flags { isolated_user: Some("nobody".into()), ..Flags::default() };
    let loaded = load("", &[], flags);
    if !Uid::effective().is_root() {
        assert!(loaded.unwrap_err().to_string().contains("unless the host runs as root"));
        return;
    }
    let config = loaded.unwrap();
    let account = config.plugin_settings("x".into()).isolated_user.unwrap();
    assert_eq!((account.name.as_str(), account.user), ("nobody", 65_534));
    assert_eq!(config.redacted()["isolated_user"], "nobody");
}

#[test]
fn a_control_group_is_named_where_directories_are() {
    assert_eq!(defaults().isolated_cgroup, None);
    let named = load("isolated_cgroup = '/sys/fs/cgroup/a'", &[], Flags::default()).unwrap();
    assert_eq!(named.plugin_settings("x".into()).isolated_cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup/a")));
    assert_eq!(named.redacted()["isolated_cgroup"], "/sys/fs/cgroup/a");
    let variable = [("HOTBAY_ISOLATED_CGROUP", "/b")];
    let other = load("isolated_cgroup = '/a'", &variable, Flags::default()).unwrap();
    assert_eq!(other.isolated_cgroup.as_deref(), Some(Path::new("/b")));
    let flags = Flags { isolated_cgroup: Some("/c".into()), ..Flags::default() };
    assert_eq!(load("", &variable, flags).unwrap().isolated_cgroup.as_deref(), Some(Path::new("/c")));
}

#[test]
fn what_a_process_may_use_is_read_and_shown_and_its_environment_stays_hidden() {
    let config = load(
        "[plugins.p]\nenv = { LANG = 'hush' }\n\
         [plugins.p.limits]\nmemory = '256MiB'\nopen_files = 64\ncpu = '10m'\nprocesses = true\ncpus = 0.5",
        &[],
        Flags::default(),
    )
    .unwrap();
    let limits = config.plugins["p"].limits;
    assert_eq!((limits.memory, limits.open_files, limits.processes), (256 << 20, 64, true));
    assert_eq!(limits.cpu, Some(Duration::from_secs(600)));
    let shown = &config.redacted()["plugins"]["p"];
    assert_eq!(shown["env"], json!({ "LANG": "***" }));
    assert_eq!(limits.cpus, Some(500));
    assert_eq!(shown["limits"]["cpu"], "600s");
    assert_eq!(shown["limits"]["cpus"], 0.5);
    for (wrong, told) in [
        ("[plugins.p.limits]\nmemory = '1MiB'", "`plugins.p.limits.memory` in"),
        ("[plugins.p.limits]\nmemory = 'much'", "512MiB"),
        ("[plugins.p.limits]\nopen_files = 3", "at least 16"),
        ("[plugins.p.limits]\ncpu = 'long'", "`plugins.p.limits.cpu` in"),
        ("[plugins.p.limits]\ncpus = 0.0", "`plugins.p.limits.cpus` in"),
        ("[plugins.p.limits]\ncpus = nan", "a number of processors"),
        ("[plugins.p.limits]\nmem = 1", "memory"),
        ("[plugins.p]\nenv = { 'A=B' = 'c' }", "names of variables"),
        ("[plugins.p]\nisolation = 'container'", "inline"),
    ] {
        check_error(wrong, &[], Flags::default(), &[told]);
    }
}

#[test]
fn the_guard_after_a_swap_has_a_time_or_is_off() {
    assert_eq!(defaults().swap_guard, Some(Duration::from_secs(120)));
    let config = load("swap_guard = '30s'", &[], Flags::default()).unwrap();
    assert_eq!(config.plugin_settings("hotbay".into()).swap_guard, Some(Duration::from_secs(30)));
    let config = load("swap_guard = '30s'", &[("HOTBAY_SWAP_GUARD", "off")], Flags::default()).unwrap();
    assert_eq!((config.swap_guard, &config.redacted()["swap_guard"]), (None, &json!("off")));
    assert_eq!(load("swap_guard = false", &[], Flags::default()).unwrap().swap_guard, None);
    check_error("swap_guard = 'never'", &[], Flags::default(), &["swap_guard", "or off"]);
}

#[test]
fn limits_come_from_every_place_and_depend_on_who_can_call() {
    let near = defaults().limits;
    assert_eq!((near.connections, near.runs, near.client_runs, near.client_rate), (10_000, 1024, None, None));
    let far = Flags { listen: Some("0.0.0.0:4111".into()), auth: Some("true".into()), ..Flags::default() };
    let far = load("[limits]\nclient_runs = 'none'", &[], far).unwrap().limits;
    assert_eq!((far.client_connections, far.client_runs, far.client_rate), (Some(256), None, Some(1000)));
    assert_eq!((far.client_streams, far.client_burst), (Some(128), 2000));
    let flags = Flags::default();
    let flags = Flags { limits: LimitFlags { limit_runs: Some("3".into()), ..flags.limits }, ..flags };
    let text = "run_deadline = '2h'\n[limits]\nruns = 1\nstreams = 2\nheader_bytes = '16KiB'";
    let config = load(text, &[("HOTBAY_LIMIT_STREAMS", "5")], flags).unwrap();
    let limits = &config.limits;
    assert_eq!((limits.runs, limits.streams, limits.header_bytes), (3, 5, 16 << 10));
    // Somebody may wait for a run as long as it may take.
    assert_eq!(limits.wait_time, Duration::from_secs(7210));
    assert_eq!(config.redacted()["limits"]["client_runs"], "none");
}

#[test]
fn errors_about_limits_name_their_section() {
    let flags = Flags::default;
    check_error("[limits]\nruns = 0", &[], flags(), &["`limits.runs` in", "at least 1"]);
    check_error("[limits]\nheader_bytes = 100", &[], flags(), &["limits.header_bytes", "at least 8192"]);
    check_error("[limits]\njson_depth = 1000", &[], flags(), &["limits.json_depth", "1 to 127"]);
    check_error("", &[("HOTBAY_LIMIT_CLIENT_RUNS", "some")], flags(), &["HOTBAY_LIMIT_CLIENT_RUNS", "`none`"]);
    check_error("trusted_proxies = 'proxy'", &[], flags(), &["trusted_proxies", "10.0.0.0/8"]);
    check_error("[limits]\nconections = 1", &[], flags(), &["line 2", "conections", "connections"]);
}

#[test]
fn a_certificate_comes_with_its_key() {
    let config = load("tls_cert = 'c.pem'\ntls_key = '/k.pem'", &[], Flags::default()).unwrap();
    let (tls, home) = (config.tls.unwrap(), config.file.unwrap());
    assert_eq!((tls.certificate, tls.key), (home.with_file_name("c.pem"), "/k.pem".into()));
    assert_eq!(defaults().tls, None);
    check_error("tls_cert = 'c.pem'", &[], Flags::default(), &["tls_cert", "`tls_key` beside it"]);
    check_error("", &[("HOTBAY_TLS_KEY", "k.pem")], Flags::default(), &["tls_key", "`tls_cert` beside it"]);
}
