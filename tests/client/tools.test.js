import assert from "node:assert/strict";
import { test } from "node:test";
import { client, status } from "./host.js";

test("tools are listed and described, with schemas the client can read", async () => {
  const tools = await client.listTools();
  assert.equal(tools.calculator.description, "Do arithmetic on two numbers");
  const tool = await client.getTool("approval-tool").details();
  assert.equal(tool.requireApproval, true);
  const schema = JSON.parse(tool.inputSchema);
  assert.deepEqual((schema.json ?? schema).required, ["target"]);
});

test("a tool answers with its result", async () => {
  const calculator = client.getTool("calculator");
  assert.deepEqual(await calculator.execute({ data: { op: "add", a: 1, b: 2 } }), { result: 3 });
  const refused = await calculator.execute({ data: { op: "add", a: "one" } });
  assert.equal(refused.error, true);
  assert.match(refused.message, /calculator/);
});

test("a tool that throws and one that is not there are errors", async () => {
  await assert.rejects(client.getTool("failing").execute({ data: {} }), /tool exploded/);
  await assert.rejects(client.getTool("nothing").execute({ data: {} }), status(404));
});
