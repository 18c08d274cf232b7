use super::*;

fn models(settings: &str, environment: &'static [(&'static str, &'static str)]) -> Models {
    let settings = toml::from_str(settings).unwrap();
    Models::new(settings, move |name| {
        environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    })
}

#[track_caller]
fn check_error(models: &Models, name: &str, expected: &[&str]) {
    let error = models.resolve(name).err().map(|error| error.to_string()).unwrap_or_default();
    for part in expected {
        assert!(error.contains(part), "{name}: {error}");
    }
}

#[test]
fn name_without_provider_is_unknown() {
    check_error(&models("", &[]), "gpt-4o", &["gpt-4o", "provider/model"]);
    check_error(&models("", &[]), "openai/", &["provider/model"]);
}

#[test]
fn unknown_provider_says_what_is_known_and_how_to_add_one() {
    let models = models("[local]\nbase_url = 'http://127.0.0.1:1/v1'", &[]);
    check_error(&models, "acme/x", &["acme", "local", "mock", "anthropic", "[providers.acme]"]);
}

#[test]
fn missing_key_names_its_variable() {
    let models = models("[own]\nbase_url = 'http://127.0.0.1:1/v1'\napi_key_env = 'MY_KEY'", &[("XAI_API_KEY", " ")]);
    check_error(&models, "openai/gpt-4o", &["openai/gpt-4o", "OPENAI_API_KEY"]);
    check_error(&models, "openrouter/anthropic/claude-x", &["openrouter/anthropic/claude-x", "OPENROUTER_API_KEY"]);
    check_error(&models, "google/gemini-2.5-pro", &["GEMINI_API_KEY or GOOGLE_API_KEY"]);
    check_error(&models, "xai/grok-4", &["XAI_API_KEY"]);
    check_error(&models, "own/x", &["MY_KEY"]);
}

#[test]
fn what_needs_no_key_resolves_without() {
    let models = models("[local]\nbase_url = 'http://127.0.0.1:1/v1'", &[]);
    for name in ["local/a/b", "ollama/llama3", "mock/script", "mock/echo"] {
        assert!(models.resolve(name).is_ok(), "{name}");
    }
}

#[test]
fn key_of_the_environment_or_the_file_is_enough() {
    let models =
        models("[groq]\napi_key = 'k'\n[openai]\napi_key_env = 'MY_KEY'", &[("GOOGLE_API_KEY", "k"), ("MY_KEY", "k")]);
    for name in ["google/gemini-2.5-pro", "groq/llama", "openai/gpt-4o"] {
        assert!(models.resolve(name).is_ok(), "{name}");
    }
}

#[test]
fn provider_without_address_is_refused() {
    check_error(&models("[own]\napi_key = 'k'", &[]), "own/x", &["base_url", "[providers.own]"]);
}

#[test]
fn header_that_cannot_be_sent_is_refused() {
    let models = models("[own]\nbase_url = 'http://127.0.0.1:1'\napi_key = \"a\\nb\"", &[]);
    check_error(&models, "own/x", &["authorization"]);
}

#[test]
fn providers_are_listed_with_what_they_need() {
    let models = models("[local]\nbase_url = 'http://127.0.0.1:1/v1'\nmodels = ['tiny']", &[("OPENAI_API_KEY", "k")]);
    let providers = models.providers();
    let find = |id: &str| providers.iter().find(|provider| provider.id == id).unwrap();
    assert_eq!(find("local").models, ["tiny"]);
    assert!(find("local").connected && find("mock").connected && find("openai").connected);
    assert!(!find("anthropic").connected);
    assert_eq!(find("anthropic").env_vars, ["ANTHROPIC_API_KEY"]);
}

#[test]
fn errors_never_show_a_key() {
    let models = models("[own]\nbase_url = 'http://127.0.0.1:1'\napi_key = \"sk-secret\\n\"", &[]);
    let error = models.resolve("own/x").err().unwrap();
    assert!(!format!("{error} {error:?} {models:?}").contains("secret"));
}
