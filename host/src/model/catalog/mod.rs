//! From `provider/model` to a model or an embedder.
//!
//! Owns the order in which a provider's name is looked up and where its key comes from:
//! what plugins offer, what `hotbay.toml` configures, then the scripted model, then the
//! providers known by name.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use genai::adapter::AdapterKind;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;

pub use super::settings::{Api, ProviderSettings, Secret};
use super::{
    Model, ModelError, PluginModel,
    embedder::Embedder,
    gateway::Gateway,
    hosted::{self, EMBEDDERS, HOSTED, Hosted},
    of_plugin::PluginEmbedder,
    openai::OpenAi,
    scripted::{self, Scripted, ngram},
    transport::{self, Destination, Timeouts},
};
use crate::{
    observe::traceparent,
    plugin::{call::CallContext, registry::Snapshot},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads one variable of the environment.
type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Every model that can be named, plugins' models apart.
pub struct Models {
    configured: BTreeMap<String, Configured>,
    environment: Environment,
    /// Made at the first use: it costs time and memory a server without hosted models
    /// need not spend.
    client: OnceLock<reqwest::Client>,
}

/// A provider of `hotbay.toml`.
struct Configured {
    settings: ProviderSettings,
    /// Its own client, if it has its own connect timeout.
    client: OnceLock<reqwest::Client>,
}

/// A provider as `GET /api/agents/providers` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderInfo {
    /// The part of `provider/model` before the `/`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The variables its key may be in; none if it needs no key.
    pub env_vars: Vec<String>,
    /// It can be asked: it needs no key, or the key is there.
    pub connected: bool,
    /// Where its models are described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc_url: Option<String>,
    /// Some of its models, without the provider.
    pub models: Vec<String>,
}

/// An embedder as `GET /api/embedders` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbedderInfo {
    /// `provider/model`.
    pub id: String,
    /// The part of it before the `/`.
    pub provider: String,
    /// The part after it.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// How long its vectors are.
    pub dimensions: usize,
    /// How much of a text it takes in; 0 if that is not known.
    pub max_input_tokens: u32,
}

/// A provider that is asked over the network, behind one of the two adapters.
enum Provider {
    OpenAi(OpenAi),
    Gateway(Gateway),
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("configured", &self.configured.keys()).finish_non_exhaustive()
    }
}

impl Models {
    /// Returns the models of these `[providers]`; `environment` is asked for their keys
    /// each time a model is looked up.
    pub fn new(
        settings: BTreeMap<String, ProviderSettings>,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let configured = settings
            .into_iter()
            .map(|(name, settings)| (name, Configured { settings, client: OnceLock::new() }))
            .collect();
        Self { configured, environment: Box::new(environment), client: OnceLock::new() }
    }

    /// Returns the model of this name, a plugin's or one the host knows, for questions asked for
    /// `context`: it goes with what a plugin's model asks the host for, and a provider is told the
    /// span the question is part of.
    pub fn find(
        &self,
        plugins: &Snapshot,
        name: &str,
        context: Option<Arc<dyn CallContext>>,
    ) -> Result<Arc<dyn Model>, ModelError> {
        match plugins.models.get(name) {
            Some(entry) => Ok(Arc::new(PluginModel::of_model(entry, context))),
            None => {
                let parent = context.as_ref().and_then(|context| Some(context.span()?.traceparent()));
                self.known(name, parent.as_deref())
            }
        }
    }

    /// Returns the model of this name that the host knows. Asks nobody over the network.
    pub fn resolve(&self, name: &str) -> Result<Arc<dyn Model>, ModelError> {
        self.known(name, None)
    }

    fn known(&self, name: &str, parent: Option<&str>) -> Result<Arc<dyn Model>, ModelError> {
        let (provider, model) = split(name, "a model", "mock/script")?;
        if provider == scripted::PROVIDER && !self.configured.contains_key(provider) {
            return Ok(Arc::new(Scripted::named(model)?));
        }
        Ok(match self.provider(provider, model, name, parent)? {
            Provider::OpenAi(model) => Arc::new(model),
            Provider::Gateway(model) => Arc::new(model),
        })
    }

    /// Returns the embedder of this name, a plugin's or one the host knows, for texts embedded for
    /// `context`.
    ///
    /// # Errors
    /// If there is none, or its provider's key is not set.
    pub fn embedder(
        &self,
        plugins: &Snapshot,
        name: &str,
        context: Option<Arc<dyn CallContext>>,
    ) -> Result<Arc<dyn Embedder>, ModelError> {
        if let Some(entry) = plugins.embedders.get(name) {
            return Ok(Arc::new(PluginEmbedder::new(entry, context)));
        }
        let (provider, model) = split(name, "an embedder", "openai/text-embedding-3-small")?;
        if provider == scripted::PROVIDER && model == ngram::MODEL && !self.configured.contains_key(provider) {
            return Ok(Arc::new(ngram::Ngram));
        }
        let parent = context.as_ref().and_then(|context| Some(context.span()?.traceparent()));
        Ok(match self.provider(provider, model, name, parent.as_deref())? {
            Provider::OpenAi(model) => Arc::new(model),
            Provider::Gateway(model) => Arc::new(model),
        })
    }

    /// Lists embedders: a few of the hosted ones, then those of plugins.
    pub fn embedders(&self, plugins: &Snapshot) -> Vec<EmbedderInfo> {
        let hosted = EMBEDDERS.iter().map(|embedder| EmbedderInfo {
            id: format!("{}/{}", embedder.provider, embedder.model),
            provider: embedder.provider.to_owned(),
            name: embedder.model.to_owned(),
            description: embedder.description.to_owned(),
            dimensions: embedder.dimensions,
            max_input_tokens: embedder.max_input_tokens,
        });
        let of_plugins = plugins.embedders.iter().map(|entry| {
            let id = &entry.manifest.id;
            let (provider, name) = id.split_once('/').unwrap_or(("", id));
            EmbedderInfo {
                id: id.clone(),
                provider: provider.to_owned(),
                name: name.to_owned(),
                description: format!("{name} of the plugin {}", entry.generation.plugin()),
                dimensions: entry.manifest.dimension as usize,
                max_input_tokens: 0,
            }
        });
        hosted.chain(of_plugins).collect()
    }

    fn provider(&self, provider: &str, model: &str, name: &str, parent: Option<&str>) -> Result<Provider, ModelError> {
        if let Some(configured) = self.configured.get(provider) {
            return self.configured_provider(configured, provider, model, name, parent);
        }
        let Some(hosted) = hosted::find(provider) else { return Err(self.unknown_provider(provider, name)) };
        let Some(key) = self.first_set(hosted.key_variables.iter().copied()) else {
            if hosted.key_variables.is_empty() {
                return self.gateway(&Configured::default(), hosted, provider, model, String::new(), parent);
            }
            return Err(missing_key(name, hosted.key_variables));
        };
        self.gateway(&Configured::default(), hosted, provider, model, key, parent)
    }

    /// Lists the providers: the configured ones, the scripted one, those known by name.
    pub fn providers(&self) -> Vec<ProviderInfo> {
        let mut providers: Vec<ProviderInfo> =
            self.configured.iter().map(|(name, configured)| self.configured_info(name, configured)).collect();
        if !self.configured.contains_key(scripted::PROVIDER) {
            providers.push(ProviderInfo {
                id: scripted::PROVIDER.into(),
                name: "Scripted model (no key, for tests and demonstrations)".into(),
                env_vars: Vec::new(),
                connected: true,
                doc_url: None,
                models: scripted::MODELS.iter().map(|model| (*model).into()).collect(),
            });
        }
        let hosted = HOSTED.iter().filter(|hosted| !self.configured.contains_key(hosted.id));
        providers.extend(hosted.map(|hosted| ProviderInfo {
            id: hosted.id.into(),
            name: hosted.name.into(),
            env_vars: hosted.key_variables.iter().map(|variable| (*variable).into()).collect(),
            // Whether a server without a key runs is not known without asking it.
            connected: self.first_set(hosted.key_variables.iter().copied()).is_some(),
            doc_url: Some(hosted.doc_url.into()),
            models: hosted.models.iter().map(|model| (*model).into()).collect(),
        }));
        providers
    }

    fn configured_info(&self, name: &str, configured: &Configured) -> ProviderInfo {
        let hosted = hosted::find(name);
        let settings = &configured.settings;
        let variables = key_variables(name, settings);
        let is_keyless = settings.api_key_env.is_none() && settings.base_url.is_some();
        let connected = settings.api_key.is_some()
            || is_keyless
            || self.first_set(variables.iter().map(String::as_str)).is_some()
            || (variables.is_empty() && hosted.is_some());
        let listed = hosted.filter(|_| settings.models.is_empty()).map_or(&[] as &[&str], |hosted| hosted.models);
        let models = settings.models.iter().cloned().chain(listed.iter().map(|model| (*model).to_owned()));
        ProviderInfo {
            id: name.into(),
            name: hosted.map_or(name, |hosted| hosted.name).into(),
            env_vars: variables,
            connected,
            doc_url: hosted.map(|hosted| hosted.doc_url.into()),
            models: models.collect(),
        }
    }

    fn configured_provider(
        &self,
        configured: &Configured,
        provider: &str,
        model: &str,
        name: &str,
        parent: Option<&str>,
    ) -> Result<Provider, ModelError> {
        let settings = &configured.settings;
        let variables = key_variables(provider, settings);
        let key = match &settings.api_key {
            Some(Secret(key)) => Some(key.clone()),
            None => self.first_set(variables.iter().map(String::as_str)),
        };
        // A server of one's own often needs no key; that one is needed is known if its
        // variable is named, or if the provider is elsewhere.
        if key.is_none() && (settings.api_key_env.is_some() || settings.base_url.is_none()) && !variables.is_empty() {
            return Err(missing_key(name, &variables));
        }
        let known = hosted::find(provider).filter(|_| settings.api.is_none());
        let adapter = match (known, settings.api) {
            (Some(hosted), _) => Some(hosted.adapter),
            (None, None | Some(Api::OpenAi)) => None,
            (None, Some(Api::Anthropic)) => Some(AdapterKind::Anthropic),
            (None, Some(Api::Gemini)) => Some(AdapterKind::Gemini),
            (None, Some(Api::Ollama)) => Some(AdapterKind::Ollama),
            (None, Some(Api::Cohere)) => Some(AdapterKind::Cohere),
        };
        if let Some(adapter) = adapter {
            let hosted = Hosted { adapter, id: "", name: "", key_variables: &[], doc_url: "", models: &[] };
            return self.gateway(configured, &hosted, provider, model, key.unwrap_or_default(), parent);
        }
        let Some(base_url) = settings.base_url.clone() else {
            return Err(ModelError::Unknown(format!(
                "provider `{provider}` has no address, set `base_url` in [providers.{provider}] of hotbay.toml"
            )));
        };
        let mut headers = HeaderMap::new();
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            add_header(&mut headers, provider, "authorization", &format!("Bearer {key}"))?;
        }
        for (header, Secret(value)) in &settings.headers {
            add_header(&mut headers, provider, header, value)?;
        }
        if let Some(parent) = parent {
            add_header(&mut headers, provider, traceparent::HEADER, parent)?;
        }
        Ok(Provider::OpenAi(OpenAi {
            to: self.destination(configured, provider, model)?,
            base_url,
            provider: provider.into(),
            model: model.into(),
            headers,
        }))
    }

    fn gateway(
        &self,
        configured: &Configured,
        hosted: &Hosted,
        provider: &str,
        model: &str,
        key: String,
        parent: Option<&str>,
    ) -> Result<Provider, ModelError> {
        let to = self.destination(configured, provider, model)?;
        let headers = configured.settings.headers.iter();
        let headers = headers.map(|(name, Secret(value))| (name.clone(), value.clone()));
        let headers = headers.chain(parent.map(|parent| (traceparent::HEADER.to_owned(), parent.to_owned()))).collect();
        Ok(Provider::Gateway(Gateway {
            to,
            adapter: hosted.adapter,
            provider: provider.into(),
            model: model.into(),
            base_url: configured.settings.base_url.clone(),
            key,
            headers,
        }))
    }

    fn destination(&self, configured: &Configured, provider: &str, model: &str) -> Result<Destination, ModelError> {
        let settings = &configured.settings;
        let limit = |ms: Option<u64>, default: u64| ms.map_or(Duration::from_secs(default), Duration::from_millis);
        let (cell, connect) = match settings.connect_timeout_ms {
            Some(ms) => (&configured.client, Duration::from_millis(ms)),
            None => (&self.client, CONNECT_TIMEOUT),
        };
        let client = match cell.get() {
            Some(client) => client.clone(),
            None => {
                let made = transport::client(connect)?;
                cell.get_or_init(|| made).clone()
            }
        };
        Ok(Destination {
            model: format!("{provider}/{model}"),
            key_variable: key_variables(provider, settings).into_iter().next().unwrap_or_default(),
            client,
            timeouts: Timeouts {
                first_byte: limit(settings.first_byte_timeout_ms, 300),
                idle: limit(settings.idle_timeout_ms, 120),
                overall: limit(settings.timeout_ms, 600),
            },
            max_retries: settings.max_retries.unwrap_or(2),
        })
    }

    /// Returns the first of these variables that is set and not empty.
    fn first_set<'a>(&self, mut variables: impl Iterator<Item = &'a str>) -> Option<String> {
        variables.find_map(|variable| (self.environment)(variable).filter(|value| !value.trim().is_empty()))
    }

    fn unknown_provider(&self, provider: &str, name: &str) -> ModelError {
        let known: Vec<&str> = self
            .configured
            .keys()
            .map(String::as_str)
            .chain([scripted::PROVIDER])
            .chain(HOSTED.iter().map(|hosted| hosted.id))
            .collect();
        ModelError::Unknown(format!(
            "model `{name}` has the unknown provider `{provider}`, known are {}; set `base_url` in \
             [providers.{provider}] of hotbay.toml to add an OpenAI-compatible server",
            known.join(", ")
        ))
    }
}

impl Default for Configured {
    fn default() -> Self {
        Self { settings: ProviderSettings::default(), client: OnceLock::new() }
    }
}

/// Splits `provider/model`.
fn split<'a>(name: &'a str, what: &str, example: &str) -> Result<(&'a str, &'a str), ModelError> {
    name.split_once('/').filter(|(_, model)| !model.is_empty()).ok_or_else(|| {
        ModelError::Unknown(format!(
            "`{name}` is not the name of {what}, write `provider/model`, for example `{example}`"
        ))
    })
}

/// Returns the variables a provider's key may be in, the one to recommend first.
fn key_variables(provider: &str, settings: &ProviderSettings) -> Vec<String> {
    if let Some(variable) = &settings.api_key_env {
        return vec![variable.clone()];
    }
    if let Some(hosted) = hosted::find(provider) {
        return hosted.key_variables.iter().map(|variable| (*variable).to_owned()).collect();
    }
    let name: String =
        provider.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    vec![format!("{name}_API_KEY")]
}

fn missing_key(name: &str, variables: &[impl AsRef<str>]) -> ModelError {
    let variables: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
    ModelError::MissingKey { model: name.into(), variable: variables.join(" or ") }
}

fn add_header(headers: &mut HeaderMap, provider: &str, name: &str, value: &str) -> Result<(), ModelError> {
    let odd = |what: &str| {
        ModelError::Unknown(format!("provider `{provider}` cannot be asked, its header `{name}` has an invalid {what}"))
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| odd("name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| odd("value"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests;
