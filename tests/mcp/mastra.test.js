// The client of the reference's own users.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MCPClient } from "@mastra/mcp";
import { ALL, REFERENCE, address } from "./host.js";

async function connected(server, act) {
  const client = new MCPClient({ id: server, servers: { hb: { url: address(server, "mcp") } } });
  try {
    return await act(await client.listTools());
  } finally {
    await client.disconnect();
  }
}

test("the tools of the server of everything are listed and called", async () => {
  await connected(ALL, async (tools) => {
    const weather = tools[`hb_${REFERENCE}_weather`];
    assert.ok(weather, Object.keys(tools).slice(0, 40).join());
    assert.ok(tools[`hb_ask_${REFERENCE}_echo-agent`], "the last page was asked for");
    assert.equal((await weather.execute({ city: "Oslo" })).city, "Oslo");
  });
});

test("the tools of a plugin's group are listed and called", async () => {
  await connected("ref-mcp", async (tools) => {
    const names = ["hb_ask_echoAgent", "hb_calculator", "hb_failing", "hb_run_linear", "hb_weather"];
    assert.deepEqual(Object.keys(tools).sort(), names);
    assert.deepEqual(await tools.hb_calculator.execute({ op: "add", a: 1, b: 2 }), { result: 3 });
  });
});
