//! Answers one client, whichever generation of the protocol it speaks.
#![expect(deprecated, reason = "clients of the older protocol set levels and subscribe to resources")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use hotbay_plugin::{
    error::code,
    manifest::CallMeta,
    mcp::{COMPLETE, GET_PROMPT, KIND, READ_RESOURCE, Severity},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest, CustomResult,
        ErrorCode, GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, JsonObject,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject,
        PaginatedRequestParams, PromptsCapability, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        ResourcesCapability, ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
        SubscriptionFilter, Tool, ToolsCapability, UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Mcp,
    call::{CallingClient, Ended, Given, Round},
    catalog::Catalog,
    changes::{Watching, locked},
    messages::{self, severity},
    page::page,
    request as requests, result,
};
use crate::{
    engine::direct::{DirectCall, DirectReply, Token, Wait},
    plugin::call::{Call, CallError, ReplyKind, Target as PluginTarget},
    services::{Origin, span},
};

/// Where a result says who made it.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// One client of one server: a session of the older protocol, or a request of the newer one.
pub(super) struct Server {
    mcp: Mcp,
    id: Arc<str>,
    /// Messages below it are not sent; each request of the newer protocol says so itself.
    level: Mutex<Severity>,
    subscribed: Arc<Mutex<HashSet<String>>>,
    /// Set once the client can be told of changes.
    watching: Mutex<Option<Watching>>,
}

impl Server {
    pub(super) fn new(mcp: Mcp, id: Arc<str>) -> Self {
        Self { mcp, id, level: Mutex::new(Severity::Info), subscribed: Arc::default(), watching: Mutex::default() }
    }

    fn catalog(&self) -> Result<Arc<Catalog>, ErrorData> {
        let gone = || ErrorData::internal_error("no plugin offers this MCP server any more", None);
        self.mcp.catalog(&self.id).ok_or_else(gone)
    }

    /// Returns what results of the newer protocol say of who made them; those of the older one say nothing.
    fn meta(&self, context: &RequestContext<RoleServer>) -> Option<MetaObject> {
        context.meta.protocol_version()?;
        let mut meta = MetaObject::default();
        meta.insert(SERVER_INFO.to_owned(), plain(&self.get_info().server_info));
        Some(meta)
    }

    fn caller<'a>(&'a self, context: &'a RequestContext<RoleServer>) -> CallingClient<'a> {
        let is_session = context.peer.peer_info().is_some() && context.meta.protocol_version().is_none();
        let level = if is_session { Some(*locked(&self.level)) } else { messages::wanted(&context.meta) };
        CallingClient { mcp: &self.mcp, server: &self.id, context, level }
    }

    /// Asks a group's code, over as many rounds as it takes.
    async fn ask_code<T: DeserializeOwned>(
        &self,
        context: &RequestContext<RoleServer>,
        group: &str,
        op: &'static str,
        name: &str,
        body: &Value,
        given: Given,
    ) -> Result<Ended<T>, ErrorData> {
        let purpose = format!("{op}/{name}");
        let round = |answer: Option<(Wait, Value)>, sink| async move {
            let snapshot = self.mcp.shared.engine.snapshot();
            let key: (Arc<str>, Arc<str>) = (KIND.into(), group.into());
            let service = snapshot.services.get(&key).ok_or_else(|| {
                ErrorData::internal_error("the plugin describes prompts or resources, but has no code for them", None)
            })?;
            let mut meta = CallMeta::default();
            if let Some((wait, data)) = answer {
                meta.suspend_payload = Some(wait.payload);
                meta.resume_data = Some(data);
            }
            let origin = Origin { snapshot: Arc::clone(&snapshot), depth: 0, step: None, span: None };
            let call = Call {
                body: body.to_string().into_bytes(),
                meta: serde_json::to_vec(&meta).unwrap_or_default(),
                sink: Some(sink),
                context: Some(Arc::new(origin)),
                ..Call::default()
            };
            let target = PluginTarget::Service { kind: key.0, name: key.1, op: op.into() };
            let reply = service.generation.call(target, call).await.map_err(|error| refused(&error, body))?;
            let mut document: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            if reply.kind == ReplyKind::Suspended {
                let wait = Wait { payload: document, schema: None, is_approval: false, token: Token::Again };
                return Ok(Round::Waits(wait));
            }
            if let Value::Object(result) = &mut document {
                result.entry("resultType").or_insert_with(|| "complete".into());
            }
            serde_json::from_value(document).map(Round::Done).map_err(|error| {
                ErrorData::internal_error(format!("the plugin's answer is not what MCP wants: {error}"), None)
            })
        };
        self.caller(context).rounds(&purpose, given, round).await
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let Ok(catalog) = self.catalog() else { return ServerConfig::default() };
        let mut told = Implementation::new(catalog.name.clone(), catalog.version.clone());
        told.description = Some(catalog.description.clone()).filter(|text| !text.is_empty());
        let mut info = ServerConfig::new(capabilities(&catalog));
        info.server_info = told;
        info
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let subscribed = Arc::clone(&self.subscribed);
        let watching = self.mcp.shared.watchers.session(&self.id, context.peer, subscribed);
        *locked(&self.watching) = Some(watching);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let accepted = context.accepted().clone();
        let (sink, most) = (context.sink().clone(), self.mcp.shared.settings.max_sessions);
        let watching = self.mcp.shared.watchers.stream(&self.id, sink, accepted, most);
        let _watching = watching.ok_or_else(|| {
            let message = format!("MCP server '{}' has as many streams as it may have; try again later", self.id);
            ErrorData::invalid_request(message, None)
        })?;
        context.cancelled().await;
        Ok(())
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        *locked(&self.level) = severity(request.level);
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let catalog = self.catalog()?;
        let (page, next) = page(catalog.tools.iter().map(|offered| offered.tool.clone()), request)?;
        let mut list = ListToolsResult::with_all_items(page);
        list.next_cursor = next;
        list.meta = self.meta(&context);
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        Some(self.catalog().ok()?.tool(name)?.tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let catalog = self.catalog()?;
        let name = &*request.name;
        let Some(offered) = catalog.tool(name) else {
            let mut unknown = result::failed(format!("Unknown tool: {name}"));
            unknown.meta = self.meta(&context);
            return Ok(unknown.into());
        };
        let input = offered.input(Value::Object(request.arguments.unwrap_or_default()));
        let span = requests::begin(&self.mcp, &catalog, name, &input, &context);
        let given = Given { state: request.request_state, responses: request.input_responses };
        let round = |answer, sink| {
            let (target, input, cause) = (offered.target.clone(), input.clone(), span.context());
            let call = DirectCall { target, input, answer, sink: Some(sink), cause };
            async move {
                Ok(match self.mcp.shared.engine.call(call).await {
                    Ok(DirectReply::Waits(wait)) => Round::Waits(wait),
                    Ok(reply) => Round::Done(result::of_reply(offered, reply)),
                    Err(error) => Round::Done(result::of_error(&error)),
                })
            }
        };
        let (caller, purpose) = (self.caller(&context), format!("tools/call/{name}"));
        // An agent's run is a large future.
        let mut result = match Box::pin(caller.rounds(&purpose, given, round)).await {
            Ok(Ended::Done(result)) => result,
            Ok(Ended::Asks(asks)) => {
                span.output(|| plain(&asks));
                span.end();
                return Ok(asks.into());
            }
            Ok(Ended::Unanswered(reason)) => result::failed(reason),
            Err(error) => {
                span.fail(span::error(&error.message));
                return Err(error);
            }
        };
        requests::end(span, &result);
        result.meta = result.meta.or_else(|| self.meta(&context));
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let catalog = self.catalog()?;
        if catalog.prompts.is_empty() {
            return Err(not_there());
        }
        let (page, next) = page(catalog.prompts.iter().map(|prompt| prompt.told.clone()), request)?;
        let mut list = ListPromptsResult::with_all_items(page);
        list.next_cursor = next;
        list.meta = self.meta(&context);
        Ok(list)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let catalog = self.catalog()?;
        let prompt = catalog.prompts.iter().find(|prompt| prompt.told.name == request.name);
        let prompt = prompt.ok_or_else(|| unknown("prompt", &request.name))?;
        for argument in prompt.told.arguments.iter().flatten().filter(|argument| argument.required == Some(true)) {
            if request.arguments.as_ref().is_none_or(|given| !given.contains_key(&argument.name)) {
                let message = format!("prompt `{}` needs the argument `{}`", request.name, argument.name);
                return Err(ErrorData::invalid_params(message, None));
            }
        }
        let body = json!({"name": prompt.name, "arguments": request.arguments.unwrap_or_default()});
        let given = Given { state: request.request_state, responses: request.input_responses };
        let ended = self.ask_code(&context, &prompt.group, GET_PROMPT, &request.name, &body, given).await?;
        over::<GetPromptResult, _>(ended)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let catalog = self.catalog()?;
        if !has_resources(&catalog) {
            return Err(not_there());
        }
        let (page, next) = page(catalog.resources.iter().map(|resource| resource.told.clone()), request)?;
        let mut list = ListResourcesResult::with_all_items(page);
        list.next_cursor = next;
        list.meta = self.meta(&context);
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let catalog = self.catalog()?;
        if !has_resources(&catalog) {
            return Err(not_there());
        }
        let (page, next) = page(catalog.templates.iter().map(|template| template.told.clone()), request)?;
        let mut list = ListResourceTemplatesResult::with_all_items(page);
        list.next_cursor = next;
        list.meta = self.meta(&context);
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let catalog = self.catalog()?;
        if !has_resources(&catalog) {
            return Err(not_there());
        }
        // One that is not listed may follow a template: each group with templates is asked in turn.
        let listed = catalog.resources.iter().find(|resource| resource.name == request.uri);
        let mut groups: Vec<Arc<str>> = match listed {
            Some(resource) => vec![Arc::clone(&resource.group)],
            None => catalog.templates.iter().map(|template| Arc::clone(&template.group)).collect(),
        };
        groups.dedup();
        let body = json!({"uri": request.uri});
        for group in groups {
            let given = Given { state: request.request_state.clone(), responses: request.input_responses.clone() };
            match self.ask_code(&context, &group, READ_RESOURCE, &request.uri, &body, given).await {
                Ok(ended) => return over::<ReadResourceResult, _>(ended),
                Err(error) if error.code == ErrorCode::RESOURCE_NOT_FOUND => {}
                Err(error) => return Err(error),
            }
        }
        Err(no_resource(&request.uri))
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        if !has_resources(&*self.catalog()?) {
            return Err(not_there());
        }
        locked(&self.subscribed).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        locked(&self.subscribed).remove(&request.uri);
        Ok(())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let catalog = self.catalog()?;
        if !catalog.completions {
            return Err(not_there());
        }
        let mut body = plain(&request);
        let reference = &mut body["ref"];
        let group = match (reference["name"].as_str(), reference["uri"].as_str()) {
            (Some(name), _) => catalog.prompts.iter().find(|it| it.told.name == name).map(|it| {
                reference["name"] = it.name.clone().into();
                Arc::clone(&it.group)
            }),
            (None, Some(uri)) => catalog.templates.iter().find(|it| it.name == uri).map(|it| Arc::clone(&it.group)),
            (None, None) => None,
        };
        let group = group.ok_or_else(|| ErrorData::invalid_params("there is nothing like that to complete", None))?;
        let given = Given { state: None, responses: None };
        match self.ask_code(&context, &group, COMPLETE, "", &body, given).await? {
            Ended::Done(result) => Ok(result),
            Ended::Asks(_) | Ended::Unanswered(_) => Ok(CompleteResult::default()),
        }
    }

    async fn on_custom_request(
        &self,
        _: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(not_there())
    }
}

fn capabilities(catalog: &Catalog) -> ServerCapabilities {
    let mut capabilities = ServerCapabilities::default();
    let mut tools = ToolsCapability::default();
    tools.list_changed = Some(true);
    capabilities.tools = Some(tools);
    capabilities.logging = Some(JsonObject::new());
    if !catalog.prompts.is_empty() {
        let mut prompts = PromptsCapability::default();
        prompts.list_changed = Some(true);
        capabilities.prompts = Some(prompts);
    }
    if has_resources(catalog) {
        let mut resources = ResourcesCapability::default();
        resources.subscribe = Some(true);
        resources.list_changed = Some(true);
        capabilities.resources = Some(resources);
    }
    if catalog.completions {
        capabilities.completions = Some(JsonObject::new());
    }
    capabilities
}

fn has_resources(catalog: &Catalog) -> bool {
    !catalog.resources.is_empty() || !catalog.templates.is_empty()
}

/// Returns the answer of a call that is over, or what it asks.
fn over<T, R>(ended: Ended<T>) -> Result<R, ErrorData>
where
    R: From<T> + From<rmcp::model::InputRequiredResult>,
{
    match ended {
        Ended::Done(result) => Ok(result.into()),
        Ended::Asks(asks) => Ok(asks.into()),
        Ended::Unanswered(reason) => Err(ErrorData::invalid_request(reason, None)),
    }
}

fn not_there() -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "Method not found", None)
}

fn unknown(what: &str, name: &str) -> ErrorData {
    ErrorData::invalid_params(format!("there is no {what} `{name}`"), None)
}

fn no_resource(uri: &str) -> ErrorData {
    ErrorData::resource_not_found("Resource not found", Some(json!({"uri": uri})))
}

/// Returns what the failure of a group's code is to the client.
fn refused(error: &CallError, body: &Value) -> ErrorData {
    match error {
        CallError::Failed { code: code::NOT_FOUND, message, .. } => match body["uri"].as_str() {
            Some(uri) => no_resource(uri),
            None => ErrorData::invalid_params(message.clone(), None),
        },
        CallError::Failed { code: code::INPUT, message, .. } => ErrorData::invalid_params(message.clone(), None),
        error => ErrorData::internal_error(error.to_string(), None),
    }
}

fn plain(document: &impl Serialize) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}
