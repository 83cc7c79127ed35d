// Runs a model on the inputs of expected.json, and holds its outputs against what PyTensor made of them.

const ARRAYS = {
  float16: Uint16Array, float32: Float32Array, float64: Float64Array, bool: Uint8Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};

function decoded({ dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new ARRAYS[dtype](bytes.buffer);
}

function tensor(ort, array) {
  return new ort.Tensor(array.dtype, decoded(array), array.dims);
}

// A float16 is its 16 bits here: sign, 5 of the exponent, 10 of the fraction.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

function numbers(dtype, array) {
  return dtype === "float16" ? Array.from(array, half) : Array.from(array, Number);
}

function problem(found, wanted) {
  if (found.type !== wanted.dtype) return `dtype ${found.type}, not ${wanted.dtype}`;
  if (found.dims.join() !== wanted.dims.join()) return `shape [${found.dims}], not [${wanted.dims}]`;
  const ours = numbers(wanted.dtype, found.data), theirs = numbers(wanted.dtype, decoded(wanted));
  let far = 0;
  for (let i = 0; i < theirs.length; i++) {
    const same = ours[i] === theirs[i] || (Number.isNaN(ours[i]) && Number.isNaN(theirs[i]));
    if (!same && !(Math.abs(ours[i] - theirs[i]) <= wanted.atol + wanted.rtol * Math.abs(theirs[i]))) far++;
  }
  return far ? `${far} of ${theirs.length} numbers differ` : "";
}

// Returns a line for each output of each set of inputs: { run, name, count, problem }.
export async function check(ort, model, expected) {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const lines = [];
  for (const [run, trial] of expected.trials.entries()) {
    const feed = Object.fromEntries(
      Object.entries(trial.inputs).map(([name, array]) => [name, tensor(ort, array)]),
    );
    const results = await session.run(feed);
    for (const [name, wanted] of Object.entries(trial.outputs)) {
      lines.push({ run: run + 1, name, count: decoded(wanted).length, problem: problem(results[name], wanted) });
    }
  }
  return lines;
}
