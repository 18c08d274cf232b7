// The host under test, the ways to reach it, and what every file needs of it.

import assert from "node:assert/strict";
import { copyFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { HOTBAY_URL: url, HOTBAY_PROGRAM: program, HOTBAY_PLUGIN_DIR: plugins, HOTBAY_STEADY: steady } = process.env;
assert.ok(url && program && plugins && steady, "the variables must say where the host is");

/** The server that offers everything. */
export const ALL = "hotbay";
/** Crates of fixture plugins: what they offer begins with their names. */
export const REFERENCE = "hotbay-test-reference";
export const CONFORMANCE = "hotbay-test-conformance";
export const STEADY = "hotbay-test-steady";

export const address = (server, way) => new URL(`${url}/api/mcp/${server}/${way}`);

/** The ways a client reaches a server. */
export const overHttp = (server) => new StreamableHTTPClientTransport(address(server, "mcp"));
export const overSse = (server) => new SSEClientTransport(address(server, "sse"));
export const overStdio = (server) =>
  new StdioClientTransport({ command: program, args: ["mcp-stdio", "--url", url, "--server", server] });

/** Lets a client of a server do something; `prepare` sees it before it is connected. */
export async function connected(transport, act, prepare = () => {}) {
  const client = new Client({ name: "walk", version: "1" }, { capabilities: { elicitation: {} } });
  prepare(client);
  await client.connect(transport);
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}

/** All tools of a server, page by page, and how many each page had. */
export async function allTools(client) {
  const [names, sizes] = [[], []];
  let cursor;
  do {
    const page = await client.listTools({ cursor });
    names.push(...page.tools.map((tool) => tool.name));
    sizes.push(page.tools.length);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { names, sizes };
}

/** Puts another plugin into the host, as one rename; gives back how it is taken out. */
export async function addPlugin() {
  const file = join(plugins, basename(steady));
  await copyFile(steady, `${file}.partial`);
  await rename(`${file}.partial`, file);
  return () => rm(file, { force: true });
}

/** Asks until the answer is there. */
export async function eventually(what, ask) {
  const end = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}
