import assert from "node:assert/strict";
import { test } from "node:test";
import { chunksOf, client, eventually, status } from "./host.js";

const suspending = client.getWorkflow("suspend-workflow");
const begun = (workflow) => client.getWorkflow(workflow).createRun();
const types = (chunks) => chunks.map((chunk) => chunk.type);
const input = { inputData: { message: "a" } };
const approved = { step: "ask-approval", resumeData: { approved: true } };

/** Waits until a run stands so. */
const reaches = (workflow, runId, wanted) =>
  eventually(() => workflow.runById(runId), (run) => run.status === wanted);

test("workflows are listed and described", async () => {
  const workflows = await client.listWorkflows();
  assert.equal(workflows["linear-workflow"].description, "Two steps in order");
  const details = await suspending.details();
  assert.deepEqual(Object.keys(details.steps).sort(), ["ask-approval", "finalize", "upper"]);
  assert.deepEqual(details.stepGraph.map((entry) => entry.step.id), ["upper", "ask-approval", "finalize"]);
  const { inputSchema } = await suspending.getSchema();
  assert.deepEqual(inputSchema.required, ["message"]);
  await assert.rejects(client.getWorkflow("nothing").details(), status(404));
});

test("a run that is waited for gives its result and its steps", async () => {
  const run = await begun("linear-workflow");
  const result = await run.startAsync(input);
  assert.equal(result.status, "success");
  assert.deepEqual(result.result, { message: "A!" });
  assert.deepEqual(result.steps.upper.output, { message: "A" });
});

test("every kind of node gives what it should", async () => {
  const results = [
    ["parallel-workflow", { value: 3 }, { value: 10 }],
    ["branch-workflow", { value: 30 }, { big: { label: "big" } }],
    ["dountil-workflow", { value: 0 }, { value: 3 }],
    ["dowhile-workflow", { value: 0 }, { value: 3 }],
    ["foreach-workflow", [{ value: 1 }, { value: 2 }], [{ value: 2 }, { value: 4 }]],
    ["sleep-workflow", { message: "a" }, { message: "A!" }],
    ["nested-workflow", { message: "a" }, { message: "> A!" }],
    ["map-workflow", { message: "abc" }, { length: 3 }],
    ["flaky-workflow", { message: "a" }, { message: "a" }],
    ["bail-workflow", { message: "a" }, { message: "bailed a" }],
  ];
  for (const [workflow, inputData, wanted] of results) {
    const run = await begun(workflow);
    const { status, result } = await run.startAsync({ inputData });
    assert.equal(status, "success", workflow);
    assert.deepEqual(result, wanted, workflow);
  }
});

test("a failure comes back as the error it is", async () => {
  const run = await begun("failing-workflow");
  const result = await run.startAsync(input);
  assert.equal(result.status, "failed");
  assert.ok(result.error instanceof Error);
  assert.equal(result.error.message, "step exploded");
  await assert.rejects((await begun("linear-workflow")).startAsync({ inputData: { message: 1 } }), status(400));
});

test("a run that waits is resumed, waited for or not", async () => {
  for (const way of ["resumeAsync", "resume", "resumeNoWait"]) {
    const run = await suspending.createRun();
    const waiting = await run.startAsync(input);
    assert.equal(waiting.status, "suspended");
    assert.deepEqual(waiting.suspended, [["ask-approval"]]);
    const answer = await run[way](approved);
    if (way === "resumeAsync") {
      assert.equal(answer.status, "success");
      assert.deepEqual(answer.result, { result: "A:true" });
      assert.deepEqual(answer.steps["ask-approval"].resumePayload, { approved: true });
    } else if (way === "resumeNoWait") {
      assert.equal(answer.runId, run.runId);
    } else {
      assert.deepEqual(answer, { message: "Workflow run resumed" });
    }
    const over = await reaches(suspending, run.runId, "success");
    assert.deepEqual(over.result, { result: "A:true" });
    await assert.rejects(run.resumeAsync(approved), status(409));
  }
});

test("an item of an array is answered by its number", async () => {
  const run = await begun("foreach-suspend-workflow");
  const waiting = await run.startAsync({ inputData: [{ value: 1 }, { value: 2 }] });
  assert.equal(waiting.status, "suspended");
  const next = await run.resumeAsync({ step: "ask-item", resumeData: { add: 10 }, forEachIndex: 0 });
  assert.equal(next.status, "suspended");
  const over = await run.resumeAsync({ step: "ask-item", resumeData: { add: 20 }, forEachIndex: 1 });
  assert.deepEqual(over.result, [{ value: 11 }, { value: 22 }]);
});

test("a step of a workflow inside is answered by its path", async () => {
  const run = await begun("nested-suspend-workflow");
  const waiting = await run.startAsync({ inputData: { value: 1 } });
  const [path] = waiting.suspended;
  assert.deepEqual(path, ["inner-suspend-workflow", "ask-a"]);
  const over = await run.resumeAsync({ step: path, resumeData: { add: 5 } });
  assert.deepEqual(over.result, { value: 7 });
});

test("a run is streamed, resumed in a stream, and observed from any point", async () => {
  const run = await suspending.createRun();
  const first = await chunksOf(await run.stream(input));
  assert.equal(first[0].type, "workflow-start");
  assert.ok(types(first).includes("workflow-step-suspended"));
  assert.equal(first.at(-1).payload.workflowStatus, "suspended");
  const second = await chunksOf(await run.resumeStream(approved));
  assert.equal(second[0].type, "workflow-start");
  assert.equal(second.at(-1).payload.workflowStatus, "success");
  const result = second.find((chunk) => chunk.type === "workflow-step-result" && chunk.payload.id === "finalize");
  assert.deepEqual(result.payload.output, { result: "A:true" });

  const all = await chunksOf(await run.observe());
  assert.ok(types(all).includes("workflow-step-suspended"));
  assert.equal(all.at(-1).payload.workflowStatus, "success");
  assert.deepEqual(await chunksOf(await run.observe({ offset: 2 })), all.slice(2));
});

test("a run that goes on is observed to its end", async () => {
  const run = await begun("slow-workflow");
  assert.deepEqual(await run.start(input), { message: "Workflow run started" });
  const chunks = await chunksOf(await run.observe());
  assert.equal(chunks.at(-1).payload.workflowStatus, "success");
  const { result } = await client.getWorkflow("slow-workflow").runById(run.runId);
  assert.deepEqual(result, { message: "a!" });
});

test("a run that is cancelled ends as one", async () => {
  const slow = client.getWorkflow("slow-workflow");
  const run = await slow.createRun();
  await run.start(input);
  await reaches(slow, run.runId, "running");
  assert.deepEqual(await run.cancel(), { message: "Workflow run cancelled" });
  const over = await reaches(slow, run.runId, "canceled");
  assert.equal(over.steps.exclaim, undefined);
  const waiting = await suspending.createRun();
  await waiting.startAsync(input);
  await waiting.cancel();
  await reaches(suspending, waiting.runId, "canceled");
});

test("runs are listed, filtered, read in part, and deleted", async () => {
  const parallel = client.getWorkflow("parallel-suspend-workflow");
  const ids = [];
  for (const value of [1, 2, 3]) {
    const run = await parallel.createRun({ resourceId: "listed" });
    await run.startAsync({ inputData: { value }, resourceId: "listed" });
    ids.push(run.runId);
  }
  const listed = await parallel.runs({ resourceId: "listed", page: 0, perPage: 2, status: "suspended" });
  assert.equal(listed.total, 3);
  assert.deepEqual(listed.runs.map((run) => run.runId), [ids[2], ids[1]]);
  assert.equal(listed.runs[0].snapshot.status, "suspended");
  const part = await parallel.runById(ids[0], { fields: ["payload"] });
  assert.deepEqual(part.payload, { value: 1 });
  assert.equal(part.steps, undefined);
  assert.ok((await client.listWorkflowRunCounts())["parallel-suspend-workflow"].suspended >= 0);
  for (const id of ids) assert.deepEqual(await parallel.deleteRunById(id), { message: "Workflow run deleted" });
  assert.equal((await parallel.runs({ resourceId: "listed" })).total, 0);
  await assert.rejects(parallel.runById(ids[0]), status(404));
});

test("a run goes back to a step, in every way", async () => {
  const linear = client.getWorkflow("linear-workflow");
  const back = { step: "exclaim", inputData: { message: "other" } };
  const run = await linear.createRun();
  await run.startAsync(input);
  const result = await run.timeTravelAsync(back);
  assert.equal(result.status, "success");
  assert.deepEqual(result.result, { message: "other!" });
  const chunks = await chunksOf(await run.timeTravelStream({ ...back, inputData: { message: "third" } }));
  assert.equal(chunks.at(-1).payload.workflowStatus, "success");
  assert.deepEqual((await linear.runById(run.runId)).result, { message: "third!" });
  await run.timeTravel({ ...back, inputData: { message: "last" } });
  await eventually(() => linear.runById(run.runId), (over) => over.result?.message === "last!");
});
