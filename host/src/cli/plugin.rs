//! `hotbay plugin`: a new one, one file, and those of a running server.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure, block_on,
    client::{Credentials, ServerClient},
    say,
    sign::{self, KeygenArguments, SignArguments, VerifyArguments},
    table::Table,
};
use crate::{
    config::{Flags, TrustFlags},
    plugin::{check_file, settings::PluginSettings, trust::TrustSettings},
    scaffold::{self, Kind, Sdk},
};

/// What `hotbay plugin` does.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum PluginCommand {
    /// Begin a plugin: a crate that builds and passes its tests at once
    New(NewArguments),
    /// Say whether a host would load a file, and what is in it
    Check(CheckArguments),
    /// Try a build on a share of the calls, and have it promoted or rolled back by how it does
    Canary(CanaryArguments),
    /// Let the build that is tried serve alone, now
    Promote(NamedArguments),
    /// Give the build that is tried up, now
    Abort(NamedArguments),
    /// Make a pair of keys to sign plugin files with, as minisign does
    Keygen(KeygenArguments),
    /// Sign plugin files
    Sign(SignArguments),
    /// Say who signed a plugin file, and what about it
    Verify(VerifyArguments),
    /// List the plugins of a running server
    List(ServerArguments),
    /// Load a plugin's file again, also if it did not change
    Reload(NamedArguments),
    /// Go back to the build that served before
    Rollback(NamedArguments),
    /// Take a plugin out and keep it out
    Disable(NamedArguments),
    /// Load a disabled plugin again
    Enable(NamedArguments),
}

const EXAMPLES: &str = "\
Examples:
  hotbay plugin new weather --kind tool
  hotbay plugin check target/release/libweather.so
  hotbay plugin sign target/release/libweather.so --secret ~/minisign.key
  hotbay plugin list --url http://127.0.0.1:4111
  hotbay plugin rollback weather
  hotbay plugin canary weather --percent 10 --for 5m";

#[derive(Args)]
pub(super) struct NewArguments {
    /// The plugin's name, and its crate's: lower-case letters, digits and `-`
    name: String,
    /// What it offers first
    #[arg(long, value_enum)]
    kind: Kind,
    /// The directory to make; it must not exist [default: the name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The SDK: its directory or a git URL [default: beside the sources of this `hotbay`]
    #[arg(long, value_name = "DIR|URL")]
    sdk: Option<String>,
}

#[derive(Args)]
pub(super) struct CheckArguments {
    /// The shared library
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Configuration file that says whom the host trusts [default: ./hotbay.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustFlags,
}

#[derive(Args)]
pub(super) struct ServerArguments {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:4111", env = "HOTBAY_URL")]
    pub(super) url: String,
    /// What its routes begin with
    #[arg(long, default_value = "/api")]
    pub(super) prefix: String,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct NamedArguments {
    /// The plugin's name
    name: String,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Args)]
pub(super) struct CanaryArguments {
    /// The plugin's name
    name: String,
    /// Share of the calls the build gets
    #[arg(long, default_value_t = 10.0)]
    percent: f64,
    /// For how long
    #[arg(long, value_name = "TIME", default_value = "5m")]
    r#for: String,
    /// Calls that are needed to judge it
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    min_calls: u64,
    /// Hash, or its beginning, of a build the server has loaded before [default: the file's, or the next]
    #[arg(long, value_name = "HASH")]
    build: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Runs the command.
pub(super) fn run(command: PluginCommand) -> Result<ExitCode, Failure> {
    match command {
        PluginCommand::New(arguments) => create(arguments),
        PluginCommand::Check(arguments) => block_on(check(arguments)),
        PluginCommand::Canary(arguments) => block_on(canary(arguments)),
        PluginCommand::Promote(arguments) => block_on(direct("promote", arguments)),
        PluginCommand::Abort(arguments) => block_on(direct("abort", arguments)),
        PluginCommand::Keygen(arguments) => sign::keygen(&arguments),
        PluginCommand::Sign(arguments) => sign::sign(&arguments),
        PluginCommand::Verify(arguments) => sign::verify(arguments),
        PluginCommand::List(server) => block_on(list(server)),
        PluginCommand::Reload(arguments) => block_on(direct("reload", arguments)),
        PluginCommand::Rollback(arguments) => block_on(direct("rollback", arguments)),
        PluginCommand::Disable(arguments) => block_on(direct("disable", arguments)),
        PluginCommand::Enable(arguments) => block_on(direct("enable", arguments)),
    }
}

fn create(arguments: NewArguments) -> Result<ExitCode, Failure> {
    let directory = arguments.path.unwrap_or_else(|| PathBuf::from(&arguments.name));
    let sdk = Sdk::find(arguments.sdk.as_deref())?;
    scaffold::create(&arguments.name, arguments.kind, &directory, &sdk)?;
    say(format_args!("made {0}; next:\n  cd {0}\n  cargo test\n  hotbay dev", directory.display()));
    Ok(ExitCode::SUCCESS)
}

async fn check(arguments: CheckArguments) -> Result<ExitCode, Failure> {
    let CheckArguments { file, json: as_json, config, trust } = arguments;
    // The copy that is examined goes with the directory.
    let data = tempfile::TempDir::with_prefix("hotbay-check-")?;
    let mut settings = PluginSettings::new(Vec::new(), data.path().to_owned(), std::env::current_exe()?);
    settings.trust = TrustSettings::of_configuration(&Flags { config, trust, ..Flags::default() })?;
    match check_file(&file, &settings).await {
        Ok(report) if as_json => say(serde_json::to_string_pretty(&report)?),
        Ok(report) => {
            let manifest = &report.manifest;
            say(format_args!("{} {} would be loaded", manifest.name, manifest.version));
            say(format_args!("  file   {} ({} bytes)", report.file.display(), report.size));
            say(format_args!("  blake3 {}", report.hash));
            if let Some(trust) = &report.trust {
                say(format_args!("  trust  {trust}"));
            }
            say(format_args!("  abi    {}", report.abi));
            for (kind, names) in offers(&serde_json::to_value(&report.capabilities)?) {
                say(format_args!("  {kind}: {names}"));
            }
        }
        Err(error) if as_json => {
            say(format_args!("{:#}", json!({ "code": error.code.as_str(), "message": error.message })));
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => {
            return Err(format!("{} would be refused, {}: {}", file.display(), error.code, error.message).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(server: ServerArguments) -> Result<ExitCode, Failure> {
    let answer = ServerClient::of(&server)?.get("/plugins").await?;
    if server.json {
        say(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    let plugins = answer.get("plugins").unwrap_or(&answer).as_array().cloned().unwrap_or_default();
    let mut table = Table::new(&["NAME", "STATE", "ISOLATION", "VERSION", "GENERATION", "CALLS", "ERRORS", "OFFERS"]);
    for plugin in &plugins {
        table.row(row(plugin));
    }
    say(table);
    for plugin in &plugins {
        if let Some(canary) = plugin.get("canary").filter(|canary| !canary.is_null()) {
            say(tried(&text(plugin.get("name")), canary));
        }
        if let Some(message) = plugin.pointer("/lastError/message").and_then(Value::as_str) {
            let code = text(plugin.pointer("/lastError/code"));
            say(format_args!("{}: {code}: {message}", text(plugin.get("name"))));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn canary(arguments: CanaryArguments) -> Result<ExitCode, Failure> {
    let CanaryArguments { name, percent, r#for: time, min_calls, build, server } = arguments;
    let mut request = json!({"percent": percent, "for": time, "minCalls": min_calls});
    if let Some(build) = build {
        request["build"] = build.into();
    }
    let answer = ServerClient::of(&server)?.post_json(&["plugins", &name, "canary"], &request).await?;
    if server.json {
        say(format_args!("{answer:#}"));
    } else {
        say(tried(&name, answer.get("canary").unwrap_or(&Value::Null)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how a canary stands.
fn tried(name: &str, canary: &Value) -> String {
    let share = format!("{} percent of its calls", text(canary.get("percent")));
    let version = text(canary.get("version"));
    let generation = text(canary.get("generation"));
    let reason = text(canary.get("reason"));
    let sides = |field: &str| ["new", "old"].map(|side| text(canary.pointer(&format!("/{side}/{field}"))));
    let ([calls, old_calls], [failed, old_failed]) = (sides("calls"), sides("failed"));
    match text(canary.get("state")).as_str() {
        "waiting" => format!("{name}: the next build will be tried on {share}"),
        "trying" => format!(
            "{name}: generation {generation} ({version}) is tried on {share} until {}: {failed} of {calls} calls failed, \
             {old_failed} of {old_calls} of the old build",
            text(canary.get("until"))
        ),
        state => format!("{name}: generation {generation} ({version}) was tried: {state}, {reason}"),
    }
}

async fn direct(action: &str, arguments: NamedArguments) -> Result<ExitCode, Failure> {
    let NamedArguments { name, server } = arguments;
    let client = ServerClient::of(&server)?;
    let answer = client.post(&["plugins", &name, action]).await?;
    if server.json {
        say(format_args!("{answer:#}"));
    } else {
        say(format_args!("{action} {name}: done"));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(plugin: &Value) -> Vec<String> {
    // The newest may be one that is only tried.
    let number = plugin.get("generation").filter(|number| !number.is_null());
    let mut generations = plugin.get("generations").and_then(Value::as_array).into_iter().flatten();
    let newest = generations.clone().next();
    let current = generations.find(|generation| number.is_some() && generation.get("number") == number).or(newest);
    let count = |field: &str| text(current.and_then(|generation| generation.get(field)));
    let offers: Vec<String> = plugin
        .get("capabilities")
        .map(|capabilities| offers(capabilities).into_iter().map(|(kind, names)| format!("{kind}: {names}")).collect())
        .unwrap_or_default();
    vec![
        text(plugin.get("name")),
        text(plugin.get("state")),
        isolation(plugin),
        text(plugin.get("version")),
        text(plugin.get("generation")),
        count("calls"),
        count("errors"),
        offers.join("; "),
    ]
}

/// Returns where it runs; of one with a process of its own also how that fares.
fn isolation(plugin: &Value) -> String {
    let place = text(plugin.get("isolation"));
    let Some(process) = plugin.get("process") else { return place };
    let id = match process.get("pid") {
        None | Some(Value::Null) => String::from("none"),
        pid => text(pid),
    };
    let crashes = process.get("crashes").and_then(Value::as_u64).unwrap_or_default();
    let mut shown = format!("{place} {id}");
    if crashes > 0 {
        shown.push_str(&format!(", {crashes} crashes"));
    }
    match process.get("breaker").and_then(Value::as_str) {
        None | Some("closed") => {}
        Some(breaker) => shown.push_str(&format!(", breaker {breaker}")),
    }
    shown
}

/// Returns the kinds of which there is something, with the names.
fn offers(capabilities: &Value) -> Vec<(String, String)> {
    let kinds = capabilities.as_object().into_iter().flatten();
    kinds
        .filter_map(|(kind, names)| {
            let names: Vec<&str> = names.as_array()?.iter().filter_map(Value::as_str).collect();
            (!names.is_empty()).then(|| (kind.clone(), names.join(", ")))
        })
        .collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
