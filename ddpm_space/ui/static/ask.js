// Questions to Python that are answered at once, outside Gradio's queue: `ask("langevin", values)` is POST ddpm/ask/langevin.

export async function ask(name, values, signal) {
  let answer;
  try {
    const response = await fetch(`ddpm/ask/${name}`, { method: "POST", body: JSON.stringify(values), signal });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    answer = { error: { key: "error.connection", values: {} } };
  }
  if (answer.error?.key) throw Object.assign(new Error(answer.error.key), { answer: answer.error });
  return answer;
}

// One question at a time, and after it the latest of those that came meanwhile: a slider that is dragged leaves no queue behind.
export function latest(name, show, fail) {
  let waiting = null;
  let running = false;
  const next = async () => {
    running = true;
    while (waiting) {
      const values = waiting;
      waiting = null;
      try {
        const answer = await ask(name, values);
        if (!waiting) show(answer, values);
      } catch (error) {
        if (!waiting) fail(error.answer ?? { key: "error.unexpected", values: {} });
        if (!error.answer) console.error(error);
      }
    }
    running = false;
  };
  return (values) => {
    waiting = values;
    if (!running) next();
  };
}
