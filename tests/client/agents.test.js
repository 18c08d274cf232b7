import assert from "node:assert/strict";
import { test } from "node:test";
import { client, eventsOf, status } from "./host.js";

const weather = client.getAgent("weather-agent");
const types = (events) => events.map((event) => event.type);
const find = (events, type) => events.find((event) => event.type === type);
const text = (events) =>
  events.filter((event) => event.type === "text-delta").map((event) => event.payload.text).join("");

test("agents are listed and described", async () => {
  const agents = await client.listAgents();
  assert.equal(agents["echo-agent"].name, "Echo Agent");
  const details = await weather.details();
  assert.equal(details.instructions, "Use the weather tool.");
  assert.deepEqual(Object.keys(details.tools).sort(), [
    "approvalTool", "calculator", "failing", "suspendTool", "weather",
  ]);
  await assert.rejects(client.getAgent("nobody").details(), status(404));
});

test("a tool of an agent is described and executed", async () => {
  const tool = await weather.getTool("weather");
  assert.equal(tool.id, "weather");
  assert.deepEqual(await weather.executeTool("weather", { data: { city: "Rome" } }), {
    city: "Rome", temperature: 21, conditions: "sunny",
  });
});

test("an answer has its text, usage and tool results", async () => {
  const echo = await client.getAgent("echo-agent").generate("hi");
  assert.equal(echo.text, "Echo: hi");
  assert.equal(echo.finishReason, "stop");
  assert.deepEqual([echo.usage.inputTokens, echo.usage.outputTokens, echo.usage.totalTokens], [10, 2, 12]);
  const answer = await weather.generate("weather in Rome");
  assert.equal(answer.toolResults[0].payload.result.city, "Rome");
  assert.match(answer.text, /^Tool said: /);
  assert.equal(answer.steps.length, 2);
});

test("a structured answer fits its schema", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "number" } },
    required: ["name", "age"],
  };
  const answer = await client.getAgent("structured-agent").generate("who?", { structuredOutput: { schema } });
  assert.deepEqual(answer.object, { name: "Ada", age: 36 });
});

test("what the client lets through and the host does not is an error with its status", async () => {
  await assert.rejects(client.getAgent("echo-agent").generate({}), status(400));
  await assert.rejects(client.getAgent("nobody").generate("hi"), status(404));
});

test("a stream says everything in order and ends", async () => {
  const events = await eventsOf(await weather.stream("weather in Paris"));
  const seen = types(events);
  assert.equal(seen[0], "start");
  assert.equal(seen.at(-1), "finish");
  assert.ok(seen.indexOf("tool-call") < seen.indexOf("tool-result"));
  assert.ok(seen.indexOf("tool-result") < seen.indexOf("text-delta"));
  assert.equal(find(events, "tool-result").payload.result.city, "Paris");
  assert.match(text(events), /^Tool said: /);
  assert.ok(events.every((event) => event.runId === events[0].runId));
});

test("a tool call that is approved runs, one that is declined does not", async () => {
  for (const isApproved of [true, false]) {
    const asked = find(await eventsOf(await weather.stream("APPROVE")), "tool-call-approval");
    assert.deepEqual(asked.payload.args, { target: "file.txt" });
    const answer = { runId: asked.runId, toolCallId: asked.payload.toolCallId };
    const events = await eventsOf(
      isApproved ? await weather.approveToolCall(answer) : await weather.declineToolCall({ ...answer, reason: "no" }),
    );
    const result = find(events, "tool-result");
    if (isApproved) {
      assert.deepEqual(result.payload.result, { deleted: "file.txt" });
      assert.match(text(events), /file\.txt/);
    } else {
      assert.ok(events.some((event) => event.type === "tool-output-denied"));
      assert.equal(result?.payload.result?.deleted, undefined);
    }
    assert.equal(types(events).at(-1), "finish");
  }
});

test("approval works without streams", async () => {
  const asked = await weather.generate("APPROVE");
  assert.equal(asked.finishReason, "suspended");
  const toolCallId = asked.suspendPayload.toolCallId ?? asked.toolCalls?.[0]?.payload.toolCallId;
  const answer = await weather.approveToolCallGenerate({ runId: asked.runId, toolCallId });
  assert.deepEqual(answer.toolResults[0].payload.result, { deleted: "file.txt" });
});

test("a tool that waits for somebody goes on with the answer", async () => {
  const waiting = find(await eventsOf(await weather.stream("SUSPEND")), "tool-call-suspended");
  assert.deepEqual(waiting.payload.suspendPayload, { question: "Which one?" });
  const { runId, payload } = waiting;
  const resumed = await weather.resumeStream({ answer: "the left one" }, { runId, toolCallId: payload.toolCallId });
  const events = await eventsOf(resumed);
  assert.deepEqual(find(events, "tool-result").payload.result, { answer: "the left one" });
  assert.match(text(events), /the left one/);
});
