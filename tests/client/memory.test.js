import assert from "node:assert/strict";
import { test } from "node:test";
import { client, status } from "./host.js";

const agentId = "echo-agent";
const texts = (messages) => messages.map((message) => message.content.parts.find((part) => part.type === "text").text);
const message = (threadId, resourceId, id, text, second) => ({
  id,
  role: "user",
  threadId,
  resourceId,
  type: "v2",
  createdAt: new Date(second * 1000),
  content: { format: 2, parts: [{ type: "text", text }] },
});

test("a thread is made, read, changed, listed and deleted", async () => {
  const resourceId = "threads";
  const made = await client.createMemoryThread({ title: "T", metadata: { a: 1 }, resourceId, threadId: "th", agentId });
  assert.deepEqual([made.id, made.title, made.metadata], ["th", "T", { a: 1 }]);
  const thread = client.getMemoryThread({ threadId: "th", agentId });
  assert.equal((await thread.get()).resourceId, resourceId);
  const changed = await thread.update({ title: "T2", metadata: { b: 2 }, resourceId });
  assert.deepEqual([changed.title, changed.metadata], ["T2", { b: 2 }]);
  for (const threadId of ["th-2", "th-3"]) await client.createMemoryThread({ resourceId, threadId, agentId });
  const listed = await client.listMemoryThreads({
    resourceId, agentId, page: 0, perPage: 2, orderBy: { field: "createdAt", direction: "DESC" },
  });
  assert.deepEqual([listed.total, listed.hasMore], [3, true]);
  assert.deepEqual(listed.threads.map(({ id }) => id), ["th-3", "th-2"]);
  assert.deepEqual(await thread.delete(), { result: "Thread deleted" });
  await assert.rejects(thread.get(), status(404));
});

test("messages are saved, listed in pages, and deleted", async () => {
  const [threadId, resourceId] = ["messages", "messages-of"];
  await client.createMemoryThread({ resourceId, threadId, agentId });
  const messages = ["one", "two", "three"].map((text, at) => message(threadId, resourceId, `m-${text}`, text, at + 1));
  const saved = await client.saveMessageToMemory({ agentId, messages });
  assert.deepEqual(saved.messages.map(({ id }) => id), ["m-one", "m-two", "m-three"]);
  const thread = client.getMemoryThread({ threadId, agentId });
  const page = await thread.listMessages({ page: 0, perPage: 2, orderBy: { field: "createdAt", direction: "ASC" } });
  assert.deepEqual(texts(page.messages), ["one", "two"]);
  assert.deepEqual([page.total, page.hasMore], [3, true]);
  const deleted = await thread.deleteMessages(["m-two"]);
  assert.equal(deleted.success, true);
  assert.deepEqual(texts((await client.listThreadMessages(threadId, { agentId })).messages), ["one", "three"]);
});

test("a copy has the messages under other ids", async () => {
  const [threadId, resourceId] = ["original", "clones"];
  await client.createMemoryThread({ title: "Original", resourceId, threadId, agentId });
  const messages = ["a", "b"].map((text, at) => message(threadId, resourceId, `c-${text}`, text, at + 1));
  await client.saveMessageToMemory({ agentId, messages });
  const copy = await client.getMemoryThread({ threadId, agentId }).clone({ title: "Copy" });
  assert.equal(copy.thread.title, "Copy");
  assert.deepEqual(texts(copy.clonedMessages), ["a", "b"]);
  assert.notEqual(copy.clonedMessages[0].id, "c-a");
  const listed = await client.listThreadMessages(copy.thread.id, { agentId });
  assert.deepEqual(texts(listed.messages), ["a", "b"]);
});

test("an agent remembers what was said", async () => {
  const memory = { thread: "talk", resource: "talker" };
  const agent = client.getAgent(agentId);
  await agent.generate("first", { memory });
  const second = await agent.generate("second", { memory });
  assert.deepEqual(texts(second.rememberedMessages), ["first", "Echo: first"]);
  const { messages } = await client.listThreadMessages("talk", { agentId });
  assert.deepEqual(texts(messages), ["first", "Echo: first", "second", "Echo: second"]);
  const other = { thread: "talk", resource: "somebody-else" };
  await assert.rejects(agent.generate("third", { memory: other }), status(403));
  const found = await client.searchMemory({ agentId, resourceId: "talker", searchQuery: "second" });
  assert.ok(found.results.length > 0);
});

test("working memory is written and read", async () => {
  const place = { agentId: "notes", threadId: "noted", resourceId: "noter" };
  await client.createMemoryThread({ agentId: "notes", threadId: "noted", resourceId: "noter" });
  await client.updateWorkingMemory({ ...place, workingMemory: "# Notes\n- Name: Ada" });
  const read = await client.getWorkingMemory(place);
  assert.equal(read.workingMemory, "# Notes\n- Name: Ada");
  assert.equal(read.source, "resource");
});

test("what memory an agent has is told", async () => {
  assert.equal((await client.getMemoryStatus(agentId)).result, true);
  assert.equal((await client.getMemoryConfig({ agentId })).config.lastMessages, 10);
});
