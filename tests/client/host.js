// The client under test, and what every file needs of it.

import assert from "node:assert/strict";
import { MastraClient } from "@mastra/client-js";

const baseUrl = process.env.HOTBAY_URL;
assert.ok(baseUrl, "HOTBAY_URL must name a running host");

// No retries: a request that fails once has failed.
export const client = new MastraClient({ baseUrl, retries: 0 });

/** Reads a stream of a run to its end. */
export async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** Reads an agent's stream to its end, through the client's own reader. */
export async function eventsOf(response) {
  const events = [];
  await response.processDataStream({ onChunk: async (chunk) => void events.push(chunk) });
  return events;
}

/** Asks until the answer is as wanted. */
export async function eventually(ask, isWanted) {
  const end = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    assert.ok(Date.now() < end, `never as wanted, at last: ${JSON.stringify(answer)}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** What the client throws for an answer of this status. */
export const status = (wanted) => (error) => {
  assert.match(error.message, new RegExp(`status: ${wanted}`));
  assert.equal(error.status, wanted);
  return true;
};
