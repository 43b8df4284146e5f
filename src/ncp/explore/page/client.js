// The page's side of the worker: questions by kind, of which only the newest answer counts.

/** Starts the worker from the text in the page. `on` maps the kinds of answers to functions. */
export function startWorker(text, description, numbers, on) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const worker = new Worker(url);
  const newest = {};
  let count = 0, stopped = 0;
  worker.onmessage = ({ data }) => {
    const counts = data.type === "failed" ? Object.values(newest).includes(data.id) : newest[data.type] === data.id;
    // a network found on the way counts until a newer question is answered: somebody drags a slider
    const late = data.type === "found" && !data.final && data.id > stopped;
    if (data.id !== undefined && !counts && !late) return;
    on[data.type]?.(data);
  };
  worker.onerror = (event) => on.failed?.({ message: event.message || "the search could not be started" });
  worker.postMessage({ type: "setup", description, numbers });
  const answers = {
    predict: "predicted", search: "found", front: "front", marginals: "marginals", predictMany: "predictedMany", pin: "pinned",
  };
  return {
    /** Asks; answers to earlier questions of the same kind are dropped. */
    ask(type, content) {
      const id = ++count;
      newest[answers[type]] = id;
      worker.postMessage({ type, id, ...content });
      return id;
    },
    stop() {
      newest.found = newest.front = -1;
      stopped = count;
      worker.postMessage({ type: "stop" });
    },
  };
}
