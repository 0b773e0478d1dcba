//! The MCP server (Model Context Protocol, over standard input and output): an agent's model uses
//! the fleet's language as tools, reads the register as resources, and takes personas as prompts.
//!
//! Nothing but the protocol goes to standard output. Who the agent is comes from its credentials,
//! never from an argument: a model cannot speak as another.

mod prompt;
mod resource;
mod tool;

use std::os::fd::AsFd;
use std::sync::Arc;

use fleet_protocol::ids::ProposalRef;
use fleet_protocol::problem::Code;
use fleet_protocol::role::Role;
use fleet_protocol::template::Persona;
use fleet_protocol::verbs::{board, role};
use fleet_protocol::{Problem, Query, Reader, Reply, Timestamp};
use jiff::tz::TimeZone;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    ResourceContents, Role as Speaker, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{QuitReason, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::json;
use tokio::fs::File;

use crate::session::{Session, unexpected};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why the server ended before its client did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not begin as the protocol says.
    #[error("the client did not begin as the protocol says: {0}")]
    Start(String),
    /// Standard input or output cannot be used.
    #[error("standard input or output cannot be used: {0}")]
    Streams(#[from] std::io::Error),
    /// The server's task failed.
    #[error("the server stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Serves one agent on standard input and output until the input ends.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(session: Session, clock: Clock, zone: TimeZone) -> Result<(), ServeError> {
    let server = Server {
        session,
        tools: tool::tools(),
        clock,
        zone,
    };
    let running = server
        .serve((own(std::io::stdin())?, own(std::io::stdout())?))
        .await
        .map_err(|e| ServeError::Start(e.to_string()))?;
    match running.waiting().await? {
        QuitReason::JoinError(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// A standard stream of this process, without the buffers and locks of its usual handle.
fn own(stream: impl AsFd) -> std::io::Result<File> {
    let descriptor = stream.as_fd().try_clone_to_owned()?;
    Ok(File::from_std(descriptor.into()))
}

struct Server {
    session: Session,
    tools: Vec<Tool>,
    clock: Clock,
    zone: TimeZone,
}

impl Server {
    fn text(&self, reply: &Reply) -> String {
        let now = (self.clock)();
        let reader = Reader {
            now,
            zone: &self.zone,
        };
        reply.document(&reader).plain()
    }

    /// The answer as a short text for the model and as a value for a program.
    fn answered(&self, reply: &Reply) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.text(reply))]);
        result.structured_content = serde_json::to_value(reply).ok();
        result
    }

    async fn personas(&self) -> Result<Vec<(String, Persona)>, Problem> {
        let all = Query::from(board::Personas { persona: None });
        match self.session.ask(all).await?.reply {
            Reply::Personas(all) => Ok(all.into_iter().map(|(n, p)| (n.into(), p)).collect()),
            other => Err(unexpected(&other)),
        }
    }

    async fn roles(&self) -> Result<Vec<(String, Role)>, Problem> {
        let all = Query::from(role::List {});
        match self.session.ask(all).await?.reply {
            Reply::Roles(all) => Ok(all.into_iter().map(|(n, r)| (n.into(), r)).collect()),
            other => Err(unexpected(&other)),
        }
    }

    async fn prompt(&self, request: &GetPromptRequestParams) -> Result<String, Problem> {
        if request.name == prompt::WORK {
            return Ok(format!(
                "{}\n\nTake the next task now.",
                prompt::INSTRUCTIONS
            ));
        }
        let unknown = || {
            Problem::new(
                Code::NotFound,
                format!("there is no prompt {}", request.name),
            )
            .remedy("list the prompts: `work`, `be_` with a role, `review_as_` with a persona")
        };
        if let Some(wanted) = prompt::role_of(&request.name) {
            let roles = self.roles().await?;
            let role = roles.iter().find(|(name, _)| name == wanted);
            return role.map(|(_, role)| prompt::be(role)).ok_or_else(unknown);
        }
        let wanted = prompt::persona_of(&request.name).ok_or_else(unknown)?;
        let personas = self.personas().await?;
        let (name, persona) = personas
            .iter()
            .find(|(name, _)| name == wanted)
            .ok_or_else(unknown)?;
        let proposal = request
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get(prompt::PROPOSAL)?.as_str());
        let shown = match proposal {
            None => None,
            Some(id) => {
                let proposal: ProposalRef = id.parse().map_err(|e| {
                    Problem::new(Code::Malformed, format!("proposal: \"{id}\" {e}"))
                })?;
                let show = Query::from(board::Show { proposal });
                Some(self.text(&self.session.ask(show).await?.reply))
            }
        };
        Ok(prompt::review(name, persona, shown.as_deref()))
    }

    async fn read(&self, uri: &str) -> Result<Vec<ResourceContents>, Problem> {
        let (mut text, mut values) = (String::new(), Vec::new());
        for query in resource::queries(uri)? {
            let reply = self.session.ask(query).await?.reply;
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&self.text(&reply));
            values.push(json!(reply));
        }
        let json = json!(values).to_string();
        Ok(vec![
            ResourceContents::text(text, uri),
            ResourceContents::text(json, uri).with_mime_type("application/json"),
        ])
    }
}

/// The refusal as the model reads it, cause and remedy, and with its stable code for a program.
fn refused(problem: &Problem) -> CallToolResult {
    let code = problem.code.as_str();
    let text = format!("{}\nCode: {code}", problem.document().plain());
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(json!({ "error": problem }));
    result
}

/// The same where the protocol knows no result that is an error.
fn error(problem: Problem) -> ErrorData {
    let data = Some(json!({ "error": &problem }));
    let text = match &problem.remedy {
        Some(remedy) => format!("{}; {remedy} ({})", problem.detail, problem.code.as_str()),
        None => format!("{} ({})", problem.detail, problem.code.as_str()),
    };
    match problem.code {
        Code::NotFound => ErrorData::resource_not_found(text, data),
        Code::Malformed | Code::Invalid => ErrorData::invalid_params(text, data),
        _ => ErrorData::internal_error(text, data),
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .build();
        let agent = self.session.agent();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("fleet", env!("CARGO_PKG_VERSION")))
            .with_instructions(format!(
                "You are {} on {}.\n\n{}",
                agent.name,
                agent.host,
                prompt::INSTRUCTIONS
            ))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(request) = tool::request(&call.name, call.arguments.unwrap_or_default()) else {
            return Err(ErrorData::invalid_params(
                format!("there is no tool {}; list the tools", call.name),
                None,
            ));
        };
        let answer = match request {
            Ok(request) => self.session.ask(request).await,
            Err(problem) => Err(problem),
        };
        Ok(match answer {
            Ok(answer) => self.answered(&answer.reply),
            Err(problem) => refused(&problem),
        }
        .into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resource::resources()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            resource::templates(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = self.read(&request.uri).await.map_err(error)?;
        Ok(ReadResourceResult::new(contents).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let personas = self.personas().await.map_err(error)?;
        let roles = self.roles().await.map_err(error)?;
        let prompts = prompt::prompts(
            roles.iter().map(|(name, role)| (name.as_str(), role)),
            personas.iter().map(|(name, p)| (name.as_str(), p)),
        );
        Ok(ListPromptsResult::with_all_items(prompts))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let text = self.prompt(&request).await.map_err(error)?;
        let message = PromptMessage::new_text(Speaker::User, text);
        Ok(GetPromptResult::new(vec![message]).into())
    }
}
