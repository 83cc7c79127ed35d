// Loads each model of a file of JSON lines in ONNX Runtime Web, and prints the names of those without a kernel.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";
const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled", logSeverityLevel: 4 };
for await (const line of createInterface({ input: createReadStream(process.argv[2]) })) {
  const { name, model } = JSON.parse(line);
  try {
    const session = await ort.InferenceSession.create(Uint8Array.from(atob(model), (c) => c.charCodeAt(0)), options);
    await session.release();
  } catch (error) {
    const missing = /Could not find an implementation|is under development|model IR version/.test(error.message);
    console.log(JSON.stringify({ name, missing, message: String(error.message).slice(0, 600) }));
  }
}
