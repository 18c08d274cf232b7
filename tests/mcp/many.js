// A server of so many tools that they do not fit on a page.

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const SIZE = 200;
const tools = Array.from({ length: 600 }, (_, n) => ({ name: `tool_${n}`, inputSchema: { type: "object" } }));

const server = new Server({ name: "many", version: "1" }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, async ({ params }) => {
  const start = Number(params?.cursor ?? 0);
  const end = start + SIZE;
  return { tools: tools.slice(start, end), nextCursor: end < tools.length ? String(end) : undefined };
});
server.setRequestHandler(CallToolRequestSchema, async ({ params }) => ({
  content: [{ type: "text", text: params.name }],
}));
await server.connect(new StdioServerTransport());
