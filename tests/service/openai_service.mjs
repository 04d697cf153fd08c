// OpenAI's own client for JavaScript against a service: node openai_service.mjs ADDRESS/v1 KEY MODEL, where `openai` is installed.
// It uploads rows, trains MODEL on them with a Python grader, pauses and resumes a job, and asks what came of it.
import assert from "node:assert/strict";
import { OpenAI, openai, runCases } from "../openai_cases.mjs";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const { files, models } = client;
const { jobs, alpha } = client.fineTuning;
const chats = client.chat.completions;

const rows = (first, last) =>
  Array.from({ length: last - first }, (_, place) =>
    JSON.stringify({ messages: [{ role: "user", content: `Largest of ${first + place}, 7` }], answer: "7" }),
  ).join("\n");
const upload = async (text, more = {}) =>
  await files.create({ file: await openai.toFile(Buffer.from(text), "rows.jsonl"), purpose: "fine-tune", ...more });
const source = "def grade(sample, item):\n    return sum(map(ord, sample['output_text'])) % 7 / 6\n";
const grader = { type: "python", name: "own", source };
const exact = {
  type: "string_check",
  name: "exact",
  input: "{{ sample.output_text }}",
  reference: "{{ item.answer }}",
  operation: "eq",
};
const own = { sampling: { max_new_tokens: 4 }, model: { precision: "float32" }, run: { save_interval: 1 } };

const request = (training, heldOut, epochs, more = {}) => ({
  model,
  training_file: training,
  validation_file: heldOut,
  suffix: "js",
  seed: 1,
  metadata: { from: "js" },
  method: {
    type: "reinforcement",
    reinforcement: {
      grader,
      hyperparameters: { batch_size: 2, compute_multiplier: 0.5, n_epochs: epochs, eval_interval: 2 },
    },
  },
  verifine: own,
  ...more,
});

async function until(id, statuses) {
  for (;;) {
    const job = await jobs.retrieve(id);
    if (statuses.includes(job.status)) return job;
    assert.ok(!["failed", "cancelled"].includes(job.status), JSON.stringify(job.error));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

const rejected = (promise, constructor, code, param) =>
  assert.rejects(promise, { constructor: OpenAI[constructor], code, ...(param === undefined ? {} : { param }) });

let training, heldOut, job, paused;

const cases = {
  "a file is uploaded": async () => {
    training = await upload(rows(0, 8));
    heldOut = await upload(rows(20, 22));
    assert.deepEqual([training.object, training.status, training.bytes], ["file", "processed", rows(0, 8).length]);
    assert.equal((await files.waitForProcessing(training.id)).id, training.id);
  },
  "files are listed page by page, in both orders": async () => {
    const ids = async (order) => (await all(files.list({ limit: 1, order }))).map((each) => each.id);
    assert.deepEqual(await ids("asc"), [training.id, heldOut.id]);
    assert.deepEqual(await ids("desc"), [heldOut.id, training.id]);
    assert.deepEqual(await all(files.list({ purpose: "batch" })), []);
  },
  "a file comes back as it was": async () => {
    assert.deepEqual(await files.retrieve(training.id), training);
    assert.equal(await (await files.content(training.id)).text(), rows(0, 8));
  },
  "a file that is to expire": async () => {
    const made = await upload(rows(0, 1), { expires_after: { anchor: "created_at", seconds: 3600 } });
    assert.equal(made.expires_at, made.created_at + 3600);
    assert.deepEqual(await files.delete(made.id), { id: made.id, object: "file", deleted: true });
    await rejected(files.retrieve(made.id), "NotFoundError", "file_not_found");
  },
  "a wrong purpose": async () => await rejected(upload("{}", { purpose: "nothing" }), "BadRequestError", "invalid_value", "purpose"),
  "a grader is validated": async () => {
    assert.equal((await alpha.graders.validate({ grader })).grader.source, source);
    await rejected(alpha.graders.validate({ grader: { ...grader, source: "def" } }), "BadRequestError", "invalid_grader");
  },
  "a grader is run": async () => {
    const ran = await alpha.graders.run({ grader: exact, model_sample: "7", item: { answer: "7" } });
    assert.equal(ran.reward, 1);
    const failed = await alpha.graders.run({ grader, model_sample: "7", item: {} });
    assert.equal(typeof failed.metadata.errors.python_grader_runtime_error, "boolean");
  },
  "a wrong job is refused by the name of its field": async () => {
    const wrong = (more) => jobs.create(request(training.id, heldOut.id, 1, more));
    await rejected(wrong({ model: "gpt-4o" }), "NotFoundError", "model_not_found", "model");
    await rejected(wrong({ training_file: "file-nothing" }), "BadRequestError", "file_not_found", "training_file");
    await rejected(wrong({ suffix: "x".repeat(65) }), "BadRequestError", "invalid_value", "suffix");
    await rejected(wrong({ method: { type: "dpo" } }), "BadRequestError", "unsupported_method", "method.type");
  },
  "a job is made once for its key": async () => {
    const once = { headers: { "Idempotency-Key": "js-1" } };
    job = await jobs.create(request(training.id, heldOut.id, 1), once);
    assert.equal((await jobs.create(request(training.id, heldOut.id, 1), once)).id, job.id);
    assert.ok(["validating_files", "queued", "running"].includes(job.status));
    assert.deepEqual(job.method.reinforcement.grader, grader);
  },
  "a file of a job stays": async () => await rejected(files.delete(training.id), "ConflictError", "file_in_use"),
  "a job succeeds": async () => {
    job = await until(job.id, ["succeeded"]);
    assert.match(job.fine_tuned_model, /^ft:.*:js:/);
    assert.ok(job.trained_tokens > 0 && job.finished_at >= job.created_at);
    assert.deepEqual([job.error, job.metadata, job.user_provided_suffix], [null, { from: "js" }, "js"]);
  },
  "jobs are listed": async () => {
    assert.deepEqual((await all(jobs.list({ limit: 1 }))).map((each) => each.id), [job.id]);
    assert.equal((await all(jobs.list({ metadata: { from: "nobody" } }))).length, 0);
    assert.equal((await all(jobs.list({ metadata: { from: "js" } }))).length, 1);
  },
  "events come newest first, each once": async () => {
    const events = await all(jobs.listEvents(job.id, { limit: 3 }));
    assert.equal(new Set(events.map((each) => each.id)).size, events.length);
    assert.equal(events[0].message, "The job has successfully completed");
    assert.equal(events.at(-1).message, `Created fine-tuning job: ${job.id}`);
    const steps = events.filter((each) => each.type === "metrics" && each.data.total_steps);
    assert.deepEqual(steps.map((each) => each.data.step), [4, 3, 2, 1]);
    assert.equal(steps[0].data.scores.graders[0].name, "own");
  },
  "checkpoints have the rewards of their step": async () => {
    const kept = await all(jobs.checkpoints.list(job.id));
    assert.ok(kept.length >= 1 && kept.length <= 3);
    for (const each of kept) assert.equal(typeof each.metrics.valid_reward_mean, "number");
    assert.match(kept[0].fine_tuned_model_checkpoint, /:ckpt-step-\d+$/);
  },
  "result files can be read": async () => {
    const [metrics] = job.result_files;
    assert.match(await (await files.content(metrics)).text(), /^step,valid_reward_mean,train_reward_mean,/);
  },
  "what has ended cannot be cancelled": async () => {
    await rejected(jobs.cancel(job.id), "ConflictError", "invalid_job_state");
    await rejected(jobs.pause(job.id), "ConflictError", "invalid_job_state");
  },
  "a job that there is not": async () =>
    await rejected(jobs.retrieve("ftjob-nothing"), "NotFoundError", "fine_tune_not_found"),
  "a job is paused, and leaves a checkpoint": async () => {
    paused = await jobs.create(request(training.id, heldOut.id, 50));
    await until(paused.id, ["running"]);
    while ((await all(jobs.listEvents(paused.id))).every((each) => !each.data?.total_steps)) await until(paused.id, ["running"]);
    await jobs.pause(paused.id);
    await until(paused.id, ["paused"]);
    const [kept] = await all(jobs.checkpoints.list(paused.id));
    const said = await chats.create({ model: kept.fine_tuned_model_checkpoint, messages: [{ role: "user", content: "Hi" }], max_tokens: 3 });
    assert.equal(said.model, kept.fine_tuned_model_checkpoint);
  },
  "a paused job is continued, and cancelled": async () => {
    await jobs.resume(paused.id);
    await until(paused.id, ["running"]);
    await jobs.cancel(paused.id);
    assert.equal((await until(paused.id, ["cancelled", "succeeded"])).status, "cancelled");
  },
  "the tuned model is listed and retrieved": async () => {
    assert.ok((await all(models.list())).some((each) => each.id === job.fine_tuned_model));
    assert.equal((await models.retrieve(job.fine_tuned_model)).object, "model");
  },
  "the tuned model answers, whole and in a stream": async () => {
    const ask = { model: job.fine_tuned_model, messages: [{ role: "user", content: "Largest of 3, 7" }], max_tokens: 6, seed: 1 };
    const whole = await chats.create(ask);
    const parts = await all(await chats.create({ ...ask, stream: true }));
    assert.equal(parts.map((each) => each.choices[0]?.delta.content ?? "").join(""), whole.choices[0].message.content);
    const { request_id } = await chats.create(ask).withResponse();
    assert.ok(request_id.startsWith("req_"));
  },
  "a deleted model is gone": async () => {
    const { fine_tuned_model: name } = job;
    assert.deepEqual(await models.delete(name), { id: name, object: "model", deleted: true });
    const messages = [{ role: "user", content: "Hi" }];
    await rejected(chats.create({ model: name, messages }), "NotFoundError", "model_not_found", "model");
    await rejected(models.delete(model), "PermissionDeniedError", "insufficient_permissions");
  },
  "a wrong key": async () => await rejected(client.withOptions({ apiKey: "none" }).files.list(), "AuthenticationError", "invalid_api_key"),
  "a body that is no JSON": async () => {
    const headers = { authorization: `Bearer ${apiKey}` };
    const answer = await fetch(`${baseURL}/fine_tuning/jobs`, { method: "POST", body: "{", headers });
    assert.deepEqual([answer.status, (await answer.json()).error.code], [400, "invalid_json"]);
  },
  "an unknown address, and a wrong method": async () => {
    await rejected(client.get("/nothing"), "NotFoundError", "unknown_url");
    await assert.rejects(client.put("/files"), { status: 405, code: "method_not_allowed" });
  },
};

await runCases(cases);
