// The inspector, as a command.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "node:test";
import { address } from "./host.js";

const INSPECTOR = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";
const run = promisify(execFile);

/** What the inspector prints. */
async function inspected(way, transport, ...more) {
  const args = [INSPECTOR, "--cli", address("ref-mcp", way).href, "--transport", transport, ...more];
  const { stdout } = await run(process.execPath, args, { cwd: fileURLToPath(new URL(".", import.meta.url)) });
  return JSON.parse(stdout);
}

test("the inspector lists and calls tools over HTTP", () => inspects("mcp", "http"));
test("the inspector lists and calls tools over SSE", () => inspects("sse", "sse"));
async function inspects(way, transport) {
  const { tools } = await inspected(way, transport, "--method", "tools/list");
  assert.deepEqual(tools.map((tool) => tool.name), ["weather", "calculator", "failing", "ask_echoAgent", "run_linear"]);
  const call = ["--method", "tools/call", "--tool-name", "weather", "--tool-arg", "city=Oslo"];
  const answer = await inspected(way, transport, ...call);
  assert.equal(answer.structuredContent.city, "Oslo");
}
