// Plays presets: each step is searched for, and the walk to what was found is shown as a film.

const FRAME = 45, PAUSE = 900; // milliseconds between two codes of a walk, and between two steps of a preset

/** Calls `step(step, before)` to search, `frame(code, number, of)` for each code of a walk, `arrive(code)` at the end. */
export class Player {
  constructor(on) {
    this.on = on;
    this.run = null;
  }

  get preset() {
    return this.run?.preset ?? null;
  }

  start(preset) {
    this.run = { preset, steps: [...preset.steps] };
    this.next(null);
  }

  stop() {
    this.run = null;
  }

  next(before) {
    const step = this.run.steps.shift();
    this.on.step(step, step.from === "before" ? before : null);
  }

  /** Show the walk that was found for the step. */
  show(path) {
    const { run } = this;
    let at = 0, last = 0;
    const frame = (now) => {
      if (this.run !== run) return;
      if (now - last >= FRAME) {
        last = now;
        this.on.frame(path[at++], at, path.length);
      }
      if (at < path.length) requestAnimationFrame(frame);
      else this.end(path[path.length - 1]);
    };
    requestAnimationFrame(frame);
  }

  end(code) {
    const { run } = this;
    if (run.steps.length) {
      setTimeout(() => this.run === run && this.next(code), PAUSE);
      return;
    }
    this.stop();
    this.on.arrive(code);
  }
}
