// The page's side of the worker: questions by kind, of which only the newest answer counts.

/** Starts the worker from the text in the page. `on` maps the kinds of answers to functions. */
export function startWorker(text, description, numbers, on) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const worker = new Worker(url);
  const newest = {};
  let count = 0;
  worker.onmessage = ({ data }) => {
    if (data.id !== undefined && newest[data.type === "failed" ? kindOf(data.id) : data.type] !== data.id) return;
    on[data.type]?.(data);
  };
  worker.onerror = (event) => on.failed?.({ message: event.message || "the search could not be started" });
  worker.postMessage({ type: "setup", description, numbers });
  const answers = {
    predict: "predicted", search: "found", front: "front", marginals: "marginals", predictMany: "predictedMany", pin: "pinned",
  };
  const kinds = new Map();
  const kindOf = (id) => kinds.get(id);
  return {
    /** Asks; answers to earlier questions of the same kind are dropped. */
    ask(type, content) {
      const id = ++count;
      newest[answers[type]] = id;
      kinds.set(id, answers[type]);
      worker.postMessage({ type, id, ...content });
      return id;
    },
    stop() {
      newest.found = newest.front = -1;
      worker.postMessage({ type: "stop" });
    },
  };
}
