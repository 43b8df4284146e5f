// Searches to watch: each is a list of steps, a step is what to search for and from which network.

export const PRESETS = [
  {
    words: "One network for classification and segmentation",
    steps: [{ objectives: ["cls-50-1000", "seg"], lam: 0.5, from: "default" }],
  },
  {
    words: "The cheapest with 76 % mIoU",
    steps: [{ objectives: ["seg"], floors: { "seg.mIoU": 76 }, from: "default" }],
  },
  {
    words: "From video to detection",
    steps: [{ objectives: ["video"], lam: 0.5, from: "default" }, { objectives: ["3ddet"], lam: 0.5, from: "before" }],
  },
  {
    words: "The most accurate segmentation below 1 G",
    steps: [{ objectives: ["seg"], limits: { macs: 1e9 }, from: "default" }],
  },
];

/** The state of a step. */
export function stepState(state, step, settings) {
  const main = (name) => `${name}.${settings[name].main}`;
  return {
    ...state, strategy: "robust", kappa: 1, lam: step.lam ?? 0.5, limits: { ...step.limits }, floors: { ...step.floors },
    bounds: {}, fixed: {}, objectives: Object.fromEntries(step.objectives.map((name) => [main(name), 1])), axis: main(step.objectives[step.objectives.length - 1]),
  };
}

/** Those whose settings the page has. */
export function possible(settings) {
  return PRESETS.filter((preset) => preset.steps.every((step) => step.objectives.every((name) => name in settings)));
}
