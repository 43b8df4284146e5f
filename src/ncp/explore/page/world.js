// The page's description made into things that compute, for the worker.
import { Latency } from "./latency.js";
import { Predictors, decode85, inflate, unpack } from "./predictors.js";
import { World } from "./problem.js";
import { Space } from "./space.js";

/** Everything, from the description and the packed numbers. */
export async function makeWorld(description, numbers) {
  const bytes = await inflate(decode85(numbers));
  const space = new Space(description.space);
  const predictors = new Predictors(description.predictors, bytes, space);
  const latencies = description.machines.map((machine) => {
    const arrays = {};
    for (const [name, where] of Object.entries(machine.arrays)) arrays[name] = unpack(bytes, where);
    return new Latency(machine, arrays, space);
  });
  return new World(space, predictors, latencies, description.settings, description.tasks);
}
