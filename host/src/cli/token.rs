//! `hotbay token`: who is let in. Directs the data directory of the settings that count, whether a
//! server uses it or not, or a server elsewhere over its API.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure, block_on,
    client::{Credentials, ServerClient},
    note, say,
    table::Table,
};
use crate::{
    auth::token::TokenRequest,
    config::{self, Config, Flags},
    http::auth::TokenResponse,
    store::{
        self, Store, StoreError, StoreSettings,
        tokens::{TokenRow, Tokens},
    },
    tasks::Tasks,
    types::{caller::Role, id::Millis},
};

/// Who makes tokens where the data is.
const HERE: &str = "hotbay token";
/// How long the store may take to end what it writes.
const END: Duration = Duration::from_secs(5);

/// What `hotbay token` does.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum TokenCommand {
    /// Make a token and print it, this once
    New(NewArguments),
    /// List the tokens, those that were revoked as well
    List(WhereArguments),
    /// Make a token let nobody in any more
    Revoke(RevokeArguments),
}

const EXAMPLES: &str = "\
A server takes note within two seconds. It asks callers who they are if it was started with --auth.

Examples:
  hotbay token new ops --role admin                    in the data directory of the settings that count
  hotbay token new ci --role operator --expires 90d
  hotbay token new ann --role operator --resource ann  sees and touches the threads and runs of `ann` alone
  hotbay token list --data /srv/hotbay
  hotbay token revoke ci --url https://agents.example.com --token $HOTBAY_TOKEN";

#[derive(Args)]
pub(super) struct NewArguments {
    /// What people call it: letters, digits, `-`, `_`, `.` and `@`
    name: String,
    /// What its holder may do: viewer, operator or admin
    #[arg(long)]
    role: Role,
    /// The one owner (resourceId) whose threads and runs its holder sees and touches [default: all]
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// How long it lets anybody in, for example 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    place: WhereArguments,
}

#[derive(Args)]
pub(super) struct RevokeArguments {
    /// Its name, or its id
    name: String,
    #[command(flatten)]
    place: WhereArguments,
}

/// Where tokens are.
#[derive(Args)]
pub(super) struct WhereArguments {
    /// A server to direct over its API [default: the data directory is directed]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(command: TokenCommand) -> Result<ExitCode, Failure> {
    block_on(async {
        match command {
            TokenCommand::New(arguments) => new(arguments).await,
            TokenCommand::List(place) => list(place).await,
            TokenCommand::Revoke(arguments) => revoke(arguments).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn new(arguments: NewArguments) -> Result<(), Failure> {
    let NewArguments { name, role, resource, expires, place } = arguments;
    let expires_at = match expires.as_deref().map(config::long_duration) {
        Some(Err(expected)) => {
            return Err(format!("--expires is `{}`, expected {expected}", expires.unwrap_or_default()).into());
        }
        Some(Ok(time)) => {
            Some(Millis(Millis::now().0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))))
        }
        None => None,
    };
    let (text, row) = match Place::of(&place)? {
        Place::Server(server) => {
            let mut body = json!({"name": name, "role": role});
            for (key, value) in [("resourceId", resource), ("expiresAt", expires_at.map(Millis::iso))] {
                // What is not said is left out: the API takes no nulls.
                if let Some(value) = value {
                    body[key] = value.into();
                }
            }
            let made = server.post_json(&["auth", "tokens"], &body).await?;
            let text = made.get("token").and_then(Value::as_str).unwrap_or_default().to_owned();
            (text, made)
        }
        Place::Data(config) => {
            let wanted = TokenRequest { name: name.clone(), role, owner: resource, expires_at };
            let made = wanted.make(HERE)?;
            with_tokens(&config, async |tokens| tokens.put(&made.row).await).await?;
            if !config.auth.is_required() {
                note("a server with these settings asks nobody for a token; start it with --auth");
            }
            let mut shown = shown(made.row)?;
            shown["token"] = made.text.as_str().into();
            (made.text, shown)
        }
    };
    if place.json {
        say(format_args!("{row:#}"));
    } else {
        note(format_args!("token `{name}` has the role {role}; keep it, it is not shown again"));
        say(text);
    }
    Ok(())
}

async fn list(place: WhereArguments) -> Result<(), Failure> {
    let tokens: Vec<Value> = match Place::of(&place)? {
        Place::Server(server) => {
            server.get("/auth/tokens").await?.get("tokens").and_then(Value::as_array).cloned().unwrap_or_default()
        }
        Place::Data(config) => with_tokens(&config, async |tokens| tokens.all().await)
            .await?
            .into_iter()
            .map(shown)
            .collect::<Result<_, _>>()?,
    };
    if place.json {
        say(format_args!("{:#}", Value::from(tokens)));
        return Ok(());
    }
    if tokens.is_empty() {
        say("there are no tokens; make one with `hotbay token new NAME --role admin`");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ROLE", "RESOURCE", "STATE", "EXPIRES", "LAST USED", "MADE BY", "ID"]);
    let now = Millis::now().iso();
    for token in &tokens {
        let text = |key: &str| token.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let is_past = |key: &str| token.get(key).and_then(Value::as_str).is_some_and(|at| at <= now.as_str());
        let state = if is_past("revokedAt") {
            "revoked"
        } else if is_past("expiresAt") {
            "expired"
        } else {
            "good"
        };
        let [name, role, resource, expires, used, by, id] =
            ["name", "role", "resourceId", "expiresAt", "lastUsedAt", "createdBy", "id"].map(text);
        table.row(vec![name, role, resource, state.to_owned(), expires, used, by, id]);
    }
    say(table);
    Ok(())
}

async fn revoke(arguments: RevokeArguments) -> Result<(), Failure> {
    let RevokeArguments { name, place } = arguments;
    match Place::of(&place)? {
        Place::Server(server) => drop(server.delete(&["auth", "tokens", &name]).await?),
        Place::Data(config) => with_tokens(&config, async |tokens| tokens.revoke(&name, HERE).await).await?,
    }
    if place.json {
        say(json!({"success": true}));
    } else {
        say(format_args!("revoked {name}"));
    }
    Ok(())
}

/// Where tokens are directed.
enum Place {
    Server(ServerClient),
    Data(Box<Config>),
}

impl Place {
    fn of(arguments: &WhereArguments) -> Result<Self, Failure> {
        if let Some(url) = &arguments.url {
            let prefix = arguments.flags.prefix.as_deref().unwrap_or("/api");
            return Ok(Self::Server(ServerClient::new(url, prefix, &arguments.credentials)?));
        }
        Ok(Self::Data(Box::new(Config::load(&arguments.flags)?)))
    }
}

/// Opens the store, beside a server that uses it if there is one, and closes it again.
async fn with_tokens<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Tokens) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    store::make_directory(&config.data)
        .map_err(|error| format!("cannot use the data directory {}: {error}", config.data.display()))?;
    let settings = StoreSettings { data: config.data.clone(), url: config.database_url.clone(), fault: None };
    let (store, writer) = Store::open_beside(&settings).await?;
    let tasks = Tasks::default();
    if let Some(writer) = writer {
        tasks.spawn("store-writer", |cancel| writer.run(cancel));
    }
    let done = work(&store.tokens()).await;
    tasks.shut_down(END).await;
    store.close().await;
    Ok(done?)
}

/// Returns a token as the API shows it.
fn shown(row: TokenRow) -> Result<Value, Failure> {
    Ok(serde_json::to_value(TokenResponse::from(row))?)
}
