// What scripts with OpenAI's own client for JavaScript share. It is taken from the folder in which they are started.
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "here.js"));
export const openai = require("openai");
export const { OpenAI } = openai;

/** One after the other; ends the process with the first that fails. */
export async function runCases(cases) {
  for (const [name, run] of Object.entries(cases)) {
    await run().catch((error) => {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    });
  }
  console.log(`${Object.keys(cases).length} cases`);
}
