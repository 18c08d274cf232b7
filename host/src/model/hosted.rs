//! The hosted providers known by name: how they are spoken to and where their key is.
//!
//! A table and nothing else; adding a provider the gateway knows is adding a row.

use genai::adapter::AdapterKind;

/// A provider known by name.
#[derive(Debug)]
pub(super) struct Hosted {
    /// The part of `provider/model` before the `/`.
    pub(super) id: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    /// Its wire.
    pub(super) adapter: AdapterKind,
    /// The variables its key may be in, the usual one first; none if it needs no key.
    pub(super) key_variables: &'static [&'static str],
    /// Where its models are described.
    pub(super) doc_url: &'static str,
    /// A few of its models; any other is asked for just the same.
    pub(super) models: &'static [&'static str],
}

/// Returns the provider of this name.
pub(super) fn find(id: &str) -> Option<&'static Hosted> {
    HOSTED.iter().find(|hosted| hosted.id == id)
}

/// An embedder of a provider known by name.
#[derive(Debug)]
pub(super) struct HostedEmbedder {
    /// The provider.
    pub(super) provider: &'static str,
    /// The part of `provider/model` after the `/`.
    pub(super) model: &'static str,
    /// What people are told of it.
    pub(super) description: &'static str,
    /// How long its vectors are.
    pub(super) dimensions: usize,
    /// Whether it makes longer ones unless it is told.
    pub(super) is_told_dimensions: bool,
    /// How much of a text it takes in.
    pub(super) max_input_tokens: u32,
}

/// Returns the embedder of this name.
pub(super) fn embedder(provider: &str, model: &str) -> Option<&'static HostedEmbedder> {
    EMBEDDERS.iter().find(|embedder| embedder.provider == provider && embedder.model == model)
}

/// A few embedders; any other of a provider is asked for just the same.
pub(super) static EMBEDDERS: &[HostedEmbedder] = &[
    HostedEmbedder {
        provider: "openai",
        model: "text-embedding-3-small",
        description: "OpenAI text-embedding-3-small model",
        dimensions: 1536,
        is_told_dimensions: false,
        max_input_tokens: 8191,
    },
    HostedEmbedder {
        provider: "openai",
        model: "text-embedding-3-large",
        description: "OpenAI text-embedding-3-large model",
        dimensions: 3072,
        is_told_dimensions: false,
        max_input_tokens: 8191,
    },
    HostedEmbedder {
        provider: "openai",
        model: "text-embedding-ada-002",
        description: "OpenAI text-embedding-ada-002 model",
        dimensions: 1536,
        is_told_dimensions: false,
        max_input_tokens: 8191,
    },
    HostedEmbedder {
        provider: "google",
        model: "gemini-embedding-001",
        description: "Google gemini-embedding-001 model",
        dimensions: 768,
        is_told_dimensions: true,
        max_input_tokens: 2048,
    },
];

/// Every provider known by name.
pub(super) static HOSTED: &[Hosted] = &[
    Hosted {
        id: "openai",
        name: "OpenAI",
        adapter: AdapterKind::OpenAI,
        key_variables: &["OPENAI_API_KEY"],
        doc_url: "https://platform.openai.com/docs/models",
        models: &["gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini"],
    },
    Hosted {
        id: "openai-responses",
        name: "OpenAI (Responses API)",
        adapter: AdapterKind::OpenAIResp,
        key_variables: &["OPENAI_API_KEY"],
        doc_url: "https://platform.openai.com/docs/models",
        models: &["gpt-5", "gpt-5-mini"],
    },
    Hosted {
        id: "anthropic",
        name: "Anthropic",
        adapter: AdapterKind::Anthropic,
        key_variables: &["ANTHROPIC_API_KEY"],
        doc_url: "https://docs.anthropic.com/en/docs/about-claude/models",
        models: &["claude-sonnet-4-5", "claude-haiku-4-5"],
    },
    Hosted {
        id: "google",
        name: "Google Gemini",
        adapter: AdapterKind::Gemini,
        key_variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
        doc_url: "https://ai.google.dev/gemini-api/docs/models",
        models: &["gemini-2.5-pro", "gemini-2.5-flash"],
    },
    Hosted {
        id: "gemini",
        name: "Google Gemini",
        adapter: AdapterKind::Gemini,
        key_variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
        doc_url: "https://ai.google.dev/gemini-api/docs/models",
        models: &["gemini-2.5-pro", "gemini-2.5-flash"],
    },
    Hosted {
        id: "groq",
        name: "Groq",
        adapter: AdapterKind::Groq,
        key_variables: &["GROQ_API_KEY"],
        doc_url: "https://console.groq.com/docs/models",
        models: &["llama-3.3-70b-versatile", "openai/gpt-oss-120b"],
    },
    Hosted {
        id: "xai",
        name: "xAI",
        adapter: AdapterKind::Xai,
        key_variables: &["XAI_API_KEY"],
        doc_url: "https://docs.x.ai/docs/models",
        models: &["grok-4"],
    },
    Hosted {
        id: "deepseek",
        name: "DeepSeek",
        adapter: AdapterKind::DeepSeek,
        key_variables: &["DEEPSEEK_API_KEY"],
        doc_url: "https://api-docs.deepseek.com",
        models: &["deepseek-chat", "deepseek-reasoner"],
    },
    Hosted {
        id: "cohere",
        name: "Cohere",
        adapter: AdapterKind::Cohere,
        key_variables: &["COHERE_API_KEY"],
        doc_url: "https://docs.cohere.com/docs/models",
        models: &["command-a-03-2025", "command-r-plus-08-2024"],
    },
    Hosted {
        id: "mistral",
        name: "Mistral AI",
        adapter: AdapterKind::Mistral,
        key_variables: &["MISTRAL_API_KEY"],
        doc_url: "https://docs.mistral.ai/getting-started/models",
        models: &["mistral-large-latest", "mistral-small-latest"],
    },
    Hosted {
        id: "openrouter",
        name: "OpenRouter",
        adapter: AdapterKind::OpenRouter,
        key_variables: &["OPENROUTER_API_KEY", "OPEN_ROUTER_API_KEY"],
        doc_url: "https://openrouter.ai/models",
        models: &["openai/gpt-4o", "anthropic/claude-sonnet-4.5"],
    },
    Hosted {
        id: "together",
        name: "Together AI",
        adapter: AdapterKind::Together,
        key_variables: &["TOGETHER_API_KEY"],
        doc_url: "https://docs.together.ai/docs/serverless-models",
        models: &["meta-llama/Llama-3.3-70B-Instruct-Turbo"],
    },
    Hosted {
        id: "fireworks",
        name: "Fireworks AI",
        adapter: AdapterKind::Fireworks,
        key_variables: &["FIREWORKS_API_KEY"],
        doc_url: "https://fireworks.ai/models",
        models: &["accounts/fireworks/models/llama-v3p3-70b-instruct"],
    },
    Hosted {
        id: "nebius",
        name: "Nebius",
        adapter: AdapterKind::Nebius,
        key_variables: &["NEBIUS_API_KEY"],
        doc_url: "https://docs.studio.nebius.com",
        models: &["Qwen/Qwen3-235B-A22B"],
    },
    Hosted {
        id: "moonshot",
        name: "Moonshot AI",
        adapter: AdapterKind::Kimi,
        key_variables: &["MOONSHOT_API_KEY", "KIMI_API_KEY"],
        doc_url: "https://platform.moonshot.ai/docs",
        models: &["kimi-k2-0905-preview"],
    },
    Hosted {
        id: "zai",
        name: "Z.ai",
        adapter: AdapterKind::Zai,
        key_variables: &["ZAI_API_KEY"],
        doc_url: "https://docs.z.ai",
        models: &["glm-4.6"],
    },
    Hosted {
        id: "ollama",
        name: "Ollama",
        adapter: AdapterKind::Ollama,
        key_variables: &[],
        doc_url: "https://ollama.com/library",
        models: &[],
    },
];
