//! Checks a plugin's manifest and its configuration before the plugin is opened.
//!
//! Whatever the host takes from a manifest later (names in URLs, schemas) is known to
//! be usable once this has passed.

use std::collections::HashSet;

use hotbay_plugin::manifest::{Manifest, ToolManifest, WorkflowManifest};
use serde_json::Value;

use super::error::{LoadCode, LoadError};

/// Longest name of a plugin or a capability.
const MAX_NAME: usize = 128;

/// Ids no MCP server may have: paths of the API have them.
pub(crate) const RESERVED_MCP_SERVERS: [&str; 3] = ["servers", "sources", "v0"];

/// Refuses a manifest that cannot be served.
pub(crate) fn check(manifest: &Manifest) -> Result<(), LoadError> {
    if let Some(error) = &manifest.error {
        return Err(bad(&format!("it could not describe itself: {error}")));
    }
    if manifest.build.panic != "unwind" {
        return Err(LoadError::new(
            LoadCode::PanicAbort,
            format!(
                "it was built with panic = \"{}\", so its first panic would end the host; build it with panic = \"unwind\"",
                manifest.build.panic
            ),
        ));
    }
    check_name("plugin", &manifest.name, false)?;
    if manifest.name.chars().all(|c| c == '.') {
        // Directories have the name.
        return Err(bad("the plugin's name has nothing but dots"));
    }
    if let Some(schema) = &manifest.config_schema {
        check_schema("its configuration", schema)?;
    }
    check_unique("tool", manifest.tools.iter().map(|tool| tool.id.as_str()), false)?;
    check_unique("agent", manifest.agents.iter().map(|agent| agent.id.as_str()), false)?;
    check_unique("workflow", manifest.workflows.iter().map(|workflow| workflow.id.as_str()), false)?;
    check_unique("vector store", manifest.vector_stores.iter().map(|store| store.name.as_str()), false)?;
    check_unique("model", manifest.models.iter().map(|model| model.id.as_str()), true)?;
    check_unique("embedder", manifest.embedders.iter().map(|embedder| embedder.id.as_str()), true)?;
    check_unique("MCP server", manifest.mcp_servers.iter().map(|server| server.id.as_str()), false)?;
    if let Some(server) = manifest.mcp_servers.iter().find(|server| RESERVED_MCP_SERVERS.contains(&&*server.id)) {
        return Err(bad(&format!("no MCP server may be called `{}`: a path of the API has that name", server.id)));
    }
    let mut services = HashSet::new();
    for service in &manifest.services {
        check_name("service kind", &service.kind, false)?;
        check_name("service", &service.name, true)?;
        if !services.insert((&service.kind, &service.name)) {
            return Err(bad(&format!("it declares the service `{}` of kind `{}` twice", service.name, service.kind)));
        }
    }
    for tool in &manifest.tools {
        check_tool(tool)?;
    }
    for workflow in &manifest.workflows {
        check_workflow(workflow)?;
    }
    Ok(())
}

/// Refuses a configuration that the plugin's schema does not admit.
pub(crate) fn check_config(manifest: &Manifest, config: &Value) -> Result<(), LoadError> {
    let Some(schema) = &manifest.config_schema else {
        return Ok(());
    };
    let validator = compile("its configuration", schema)?;
    let Err(error) = validator.validate(config) else {
        return Ok(());
    };
    let place = error.instance_path().to_string();
    let field = if place.is_empty() { String::from("the configuration") } else { format!("`{}`", dotted(&place)) };
    Err(LoadError::new(
        LoadCode::Config,
        format!("{field} does not fit: {error}; correct the plugin's `config` in the host's configuration"),
    ))
}

/// `/a/b/0` -> `a.b.0`, as it is written in the configuration file.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn check_tool(tool: &ToolManifest) -> Result<(), LoadError> {
    check_schema(&format!("the input of tool `{}`", tool.id), &tool.input_schema)?;
    let others = [
        ("result", &tool.output_schema),
        ("suspend payload", &tool.suspend_schema),
        ("resume data", &tool.resume_schema),
    ];
    for (what, schema) in others {
        if let Some(schema) = schema {
            check_schema(&format!("the {what} of tool `{}`", tool.id), schema)?;
        }
    }
    Ok(())
}

fn check_workflow(workflow: &WorkflowManifest) -> Result<(), LoadError> {
    check_schema(&format!("the input of workflow `{}`", workflow.id), &workflow.input_schema)?;
    check_schema(&format!("the result of workflow `{}`", workflow.id), &workflow.output_schema)?;
    if let Some(schema) = &workflow.state_schema {
        check_schema(&format!("the state of workflow `{}`", workflow.id), schema)?;
    }
    Ok(())
}

fn check_unique<'a>(kind: &str, names: impl Iterator<Item = &'a str>, slash: bool) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    for name in names {
        check_name(kind, name, slash)?;
        if !seen.insert(name) {
            return Err(bad(&format!("it declares the {kind} `{name}` twice")));
        }
    }
    Ok(())
}

/// Names stand in URLs, in logs and in what models are told.
fn check_name(kind: &str, name: &str, slash: bool) -> Result<(), LoadError> {
    if name.is_empty() {
        return Err(bad(&format!("a {kind} has no name")));
    }
    if name.len() > MAX_NAME {
        return Err(bad(&format!("the name of a {kind} is longer than {MAX_NAME} bytes")));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@') || (slash && c == '/');
    match name.chars().find(|&c| !allowed(c)) {
        None => Ok(()),
        Some(c) => Err(bad(&format!("the name of {kind} `{}` contains {c:?}", name.escape_debug()))),
    }
}

fn check_schema(what: &str, schema: &Value) -> Result<(), LoadError> {
    // An absent schema reads as null and admits everything.
    if schema.is_null() { Ok(()) } else { compile(what, schema).map(drop) }
}

fn compile(what: &str, schema: &Value) -> Result<jsonschema::Validator, LoadError> {
    jsonschema::validator_for(schema)
        .map_err(|error| bad(&format!("the JSON Schema of {what} does not compile: {error}")))
}

fn bad(what: &str) -> LoadError {
    LoadError::new(
        LoadCode::Manifest,
        format!("its manifest cannot be used: {what}; correct it and rebuild the plugin"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::types::arbitrary;

    /// What manifests are made of.
    const WORDS: &[&str] = &[
        "name",
        "version",
        "build",
        "panic",
        "unwind",
        "tools",
        "agents",
        "workflows",
        "models",
        "embedders",
        "services",
        "vectorStores",
        "id",
        "inputSchema",
        "outputSchema",
        "configSchema",
        "type",
        "object",
        "$ref",
        "#",
        "steps",
        "graph",
        "memory",
        "a/b",
    ];

    fn manifest(value: Value) -> Manifest {
        let mut manifest: Manifest = serde_json::from_value(value).expect("a manifest");
        if manifest.build.panic.is_empty() {
            manifest.build.panic = "unwind".into();
        }
        manifest
    }

    #[track_caller]
    fn refuses(value: Value, code: LoadCode, word: &str) {
        let error = check(&manifest(value)).expect_err("must be refused");
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(word), "{error}");
    }

    #[test]
    fn a_plain_manifest_passes() {
        check(&manifest(json!({
            "name": "weather", "tools": [{"id": "get-weather", "inputSchema": {"type": "object"}}, {"id": "free"}],
            "models": [{"id": "acme/large"}], "somethingNewer": 1
        })))
        .expect("a plain manifest");
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        refuses(json!({"name": ""}), LoadCode::Manifest, "no name");
        refuses(json!({"name": "a/b"}), LoadCode::Manifest, "'/'");
        refuses(json!({"name": ".."}), LoadCode::Manifest, "dots");
        refuses(json!({"name": "x".repeat(200)}), LoadCode::Manifest, "longer");
        refuses(json!({"name": "p", "tools": [{"id": "a"}, {"id": "a"}]}), LoadCode::Manifest, "`a` twice");
        refuses(json!({"name": "p", "tools": [{"id": "a b"}]}), LoadCode::Manifest, "' '");
        refuses(
            json!({"name": "p", "tools": [{"id": "a", "inputSchema": {"type": "wrong"}}]}),
            LoadCode::Manifest,
            "tool `a`",
        );
        refuses(json!({"name": "p", "build": {"panic": "abort"}}), LoadCode::PanicAbort, "unwind");
    }

    #[test]
    fn a_wrong_configuration_names_the_field() {
        let manifest = manifest(json!({"name": "p", "configSchema": {
            "type": "object",
            "properties": {"server": {"type": "object", "properties": {"port": {"type": "integer"}}}},
        }}));
        check_config(&manifest, &json!({"server": {"port": 1}})).expect("fits");
        let error = check_config(&manifest, &json!({"server": {"port": "x"}})).expect_err("does not fit");
        assert_eq!(error.code, LoadCode::Config);
        assert!(error.message.contains("`server.port`"), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_a_plugin_says_about_itself_is_judged(said in arbitrary::json(WORDS), tool in arbitrary::json(WORDS)) {
            for said in [said.clone(), json!({"name": "x", "tools": [tool], "configSchema": said})] {
                if let Ok(manifest) = serde_json::from_value::<Manifest>(said.clone()) {
                    drop(check(&manifest));
                    drop(check_config(&manifest, &said));
                }
            }
        }
    }
}
