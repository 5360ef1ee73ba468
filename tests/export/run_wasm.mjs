// Runs exported models in a WebAssembly module: node run_wasm.mjs MODULE <requests >answers, both JSON.
// A request has the model's name, the number of steps and x; an answer is y. Arrays are float32 in base64.
import { readFileSync, writeFileSync } from "node:fs";

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]));
const { memory, ...functions } = instance.exports;

function run({ name, steps, x }) {
  const call = what => functions[`${name}_${what}`]();
  const given = Buffer.from(x, "base64");
  const inputs = given.length / 4 / steps, outputs = call("outputs");
  const input = call("x"), output = call("y");        // addresses in the module's memory
  const y = Buffer.alloc(4 * steps * outputs);
  call("reset");
  for (let t = 0; t < steps; t++) {
    new Uint8Array(memory.buffer, input, 4 * inputs).set(given.subarray(4 * inputs * t, 4 * inputs * (t + 1)));
    call("step");
    y.set(new Uint8Array(memory.buffer, output, 4 * outputs), 4 * outputs * t);
  }
  return y.toString("base64");
}

const requests = JSON.parse(readFileSync(0, "utf8"));
writeFileSync(1, JSON.stringify(requests.map(run)));
