// The client of MCP's own SDK, by every transport.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import {
  ALL,
  CONFORMANCE,
  REFERENCE,
  STEADY,
  addPlugin,
  allTools,
  connected,
  eventually,
  overHttp,
  overSse,
  overStdio,
} from "./host.js";

test("HTTP: a server says what it is, and answers", () => greets(overHttp));
test("SSE: a server says what it is, and answers", () => greets(overSse));
test("stdio: a server says what it is, and answers", () => greets(overStdio));
async function greets(over) {
  await connected(over("ref-mcp"), async (client) => {
    assert.equal(client.getServerVersion().name, "Ref MCP");
    assert.equal(client.getServerCapabilities().tools.listChanged, true);
    const { tools } = await client.listTools();
    assert.ok(tools.some((tool) => tool.name === "weather" && tool.inputSchema.required.includes("city")));
    const answer = await client.callTool({ name: "weather", arguments: { city: "Oslo" } });
    assert.deepEqual(answer.structuredContent, { city: "Oslo", temperature: 21, conditions: "sunny" });
    assert.deepEqual(JSON.parse(answer.content[0].text), answer.structuredContent);
  });
}

test("HTTP: what fails is a result, what is not there too", () => fails(overHttp));
test("SSE: what fails is a result, what is not there too", () => fails(overSse));
test("stdio: what fails is a result, what is not there too", () => fails(overStdio));
async function fails(over) {
  await connected(over("ref-mcp"), async (client) => {
    for (const [name, args, said] of [
      ["failing", {}, /tool exploded/],
      ["weather", { city: 1 }, /city/],
      ["nothing", {}, /nothing/],
    ]) {
      const answer = await client.callTool({ name, arguments: args });
      assert.equal(answer.isError, true, name);
      assert.match(answer.content[0].text, said);
    }
  });
}

test("HTTP: a long list comes in pages", () => pages(overHttp));
test("SSE: a long list comes in pages", () => pages(overSse));
test("stdio: a long list comes in pages", () => pages(overStdio));
async function pages(over) {
  await connected(over(ALL), async (client) => {
    const { names, sizes } = await allTools(client);
    assert.ok(sizes.length > 1 && sizes[0] === 500, sizes.join());
    assert.equal(new Set(names).size, names.length);
    for (const name of [`${REFERENCE}_weather`, "many_tool_0", "many_tool_599", `ask_${REFERENCE}_echo-agent`]) {
      assert.ok(names.includes(name), name);
    }
    const answer = await client.callTool({ name: "many_tool_599", arguments: {} });
    assert.equal(answer.content[0].text, "tool_599");
    await assert.rejects(client.listTools({ cursor: "elsewhere" }), { code: -32602 });
  });
}

test("HTTP: progress is told", () => progresses(overHttp));
test("SSE: progress is told", () => progresses(overSse));
test("stdio: progress is told", () => progresses(overStdio));
async function progresses(over) {
  await connected(over("conformance"), async (client) => {
    const told = [];
    const onprogress = ({ progress, total }) => void told.push([progress, total]);
    await client.callTool({ name: "test_tool_with_progress", arguments: {} }, undefined, { onprogress });
    assert.deepEqual(told, [[0, 100], [50, 100], [100, 100]]);
  });
}

test("HTTP: a tool that waits asks the user", () => asks(overHttp));
test("SSE: a tool that waits asks the user", () => asks(overSse));
test("stdio: a tool that waits asks the user", () => asks(overStdio));
async function asks(over) {
  const asked = [];
  let action = "accept";
  const answers = (client) =>
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      asked.push(params);
      return action === "accept" ? { action, content: { answer: "Because" } } : { action };
    });
  const act = async (client) => {
    const call = { name: `${REFERENCE}_suspend-tool`, arguments: { question: "Why?" } };
    const answer = await client.callTool(call);
    assert.deepEqual(answer.structuredContent, { answer: "Because" });
    assert.equal(asked[0].message, "Why?");
    assert.equal(asked[0].requestedSchema.properties.answer.type, "string");
    action = "decline";
    assert.equal((await client.callTool(call)).isError, true);
  };
  await connected(over(ALL), act, answers);
}

test("HTTP: a call that is cancelled ends in the plugin", () => cancels(overHttp));
test("SSE: a call that is cancelled ends in the plugin", () => cancels(overSse));
test("stdio: a call that is cancelled ends in the plugin", () => cancels(overStdio));
async function cancels(over) {
  await connected(over(ALL), async (client) => {
    const ended = async () => {
      const answer = await client.callTool({ name: `${CONFORMANCE}_test_ended`, arguments: {} });
      return Number(answer.content[0].text);
    };
    const before = await ended();
    const given = new AbortController();
    // It says that it has begun; then it is not wanted any more.
    const options = { signal: given.signal, onprogress: () => given.abort("not wanted any more") };
    const call = client.callTool({ name: `${CONFORMANCE}_test_waiting`, arguments: {} }, undefined, options);
    await assert.rejects(call, /not wanted any more/);
    await eventually("the call ended", async () => (await ended()) === before + 1);
  });
}

test("HTTP: a client is told when a plugin comes and goes", () => swaps(overHttp));
test("SSE: a client is told when a plugin comes and goes", () => swaps(overSse));
test("stdio: a client is told when a plugin comes and goes", () => swaps(overStdio));
async function swaps(over) {
  let told = 0;
  const listens = (client) => client.setNotificationHandler(ToolListChangedNotificationSchema, () => void (told += 1));
  const act = async (client) => {
    const has = async () => (await allTools(client)).names.includes(`${STEADY}_sign`);
    assert.equal(await has(), false);
    const remove = await addPlugin();
    try {
      await eventually("told that it came", () => told === 1);
      assert.equal(await has(), true);
      const answer = await client.callTool({ name: `${STEADY}_sign`, arguments: { n: 7 } });
      assert.equal(answer.structuredContent.n, 7);
    } finally {
      await remove();
    }
    await eventually("told that it went", () => told === 2);
    assert.equal(await has(), false);
  };
  await connected(over(ALL), act, listens);
}
