// OpenAI's own client for JavaScript against a server: node openai_client.mjs ADDRESS/v1 MODEL, where `openai` is installed.
import assert from "node:assert/strict";
import { OpenAI, runCases } from "../openai_cases.mjs";

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const chats = client.chat.completions;
const ask = { model, messages: [{ role: "user", content: "Hi" }], max_tokens: 20, seed: 1, logit_bias: { 2: -100 } };
const one = { type: "object", properties: { a: { enum: [1, 2] } }, required: ["a"], additionalProperties: false };
const tool = { type: "function", function: { name: "add", parameters: one } };
const text = async (more = {}) => (await chats.create({ ...ask, ...more })).choices[0].message.content;

async function streamed(more = {}) {
  const chunks = [];
  for await (const chunk of await chats.create({ ...ask, ...more, stream: true })) chunks.push(chunk);
  return chunks;
}

const cases = {
  "models are listed": async () => {
    const listed = [];
    for await (const each of client.models.list()) listed.push(each.id);
    assert.deepEqual(listed, [model]);
  },
  "a model is retrieved": async () => assert.equal((await client.models.retrieve(model)).id, model),
  "an unknown model is not found": async () =>
    await assert.rejects(client.models.retrieve("none"), { constructor: OpenAI.NotFoundError, code: "model_not_found" }),
  "a seed gives the same answer": async () => assert.equal(await text(), await text()),
  "several choices": async () => assert.equal((await chats.create({ ...ask, n: 3 })).choices.length, 3),
  "a stop text": async () => {
    const whole = await text();
    assert.equal(await text({ stop: whole.slice(5, 7) }), whole.slice(0, whole.indexOf(whole.slice(5, 7))));
  },
  "log-probabilities": async () => {
    const [choice] = (await chats.create({ ...ask, logprobs: true, top_logprobs: 2 })).choices;
    assert.equal(choice.logprobs.content.map((each) => each.token).join(""), choice.message.content);
  },
  "a schema": async () => {
    const response_format = { type: "json_schema", json_schema: { name: "x", schema: one, strict: true } };
    assert.ok([1, 2].includes(JSON.parse(await text({ response_format })).a));
  },
  "a tool": async () => {
    const forced = { tools: [tool], tool_choice: "required", parallel_tool_calls: false };
    const [choice] = (await chats.create({ ...ask, max_tokens: 200, ...forced })).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.tool_calls[0].function.name, "add");
  },
  "a stream is the answer": async () => {
    const chunks = await streamed({ stream_options: { include_usage: true } });
    assert.equal(chunks.map((each) => each.choices[0]?.delta.content ?? "").join(""), await text());
    assert.equal(chunks.at(-1).usage.completion_tokens, 20);
  },
  "the client's own helper for streams": async () =>
    assert.equal((await chats.stream(ask).finalChatCompletion()).choices[0].message.content, await text()),
  "a stream that is left": async () => {
    const stream = await chats.create({ ...ask, stream: true });
    for await (const _ of stream) break;
    assert.ok(await text());
  },
  "a completion": async () => {
    const done = await client.completions.create({ model, prompt: "abc", max_tokens: 4, seed: 1, logit_bias: { 2: -100 } });
    assert.equal(done.usage.completion_tokens, 4);
  },
  "headers": async () => {
    const { request_id } = await chats.create(ask).withResponse();
    assert.ok(request_id.startsWith("req_"));
  },
  "a wrong value": async () =>
    await assert.rejects(text({ temperature: 3 }), { constructor: OpenAI.BadRequestError, param: "temperature" }),
  "a time-out": async () =>
    await assert.rejects(chats.create(ask, { timeout: 1 }), { constructor: OpenAI.APIConnectionTimeoutError }),
  "a body that is no JSON": async () => {
    const answer = await fetch(`${baseURL}/chat/completions`, { method: "POST", body: "{" });
    assert.deepEqual([answer.status, (await answer.json()).error.code], [400, "invalid_json"]);
  },
  "an unknown address": async () =>
    await assert.rejects(client.get("/nothing"), { constructor: OpenAI.NotFoundError, code: "unknown_url" }),
  "a wrong method": async () => await assert.rejects(client.get("/chat/completions"), { status: 405 }),
};

await runCases(cases);
