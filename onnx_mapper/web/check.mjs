// Checks the model of this folder in Node: npm install onnxruntime-web && node check.mjs
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";
import { check } from "./compare.mjs";

const here = (name) => new URL(name, import.meta.url);
ort.env.wasm.numThreads = 1;
const expected = JSON.parse(await readFile(here("expected.json"), "utf-8"));
const lines = await check(ort, new Uint8Array(await readFile(here("model.onnx"))), expected);
for (const { run, name, count, problem } of lines) {
  console.log(`${name}, inputs ${run}: ${problem || `${count} numbers as PyTensor's`}`);
}
process.exit(lines.length && lines.every((line) => !line.problem) ? 0 : 1);
