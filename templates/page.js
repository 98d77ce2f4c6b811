// The request form, live: whenever it changes, the server is asked what it comes to. Nothing is computed here, so
// that the form says the same with and without this script.
"use strict";

(() => {
  const form = document.getElementById("request");
  if (!form || !window.fetch) return;
  const DELAY = 250;
  let timer = 0;
  let asking = null;

  const fields = () => {
    const all = new URLSearchParams();
    for (const [key, value] of new FormData(form)) if (value.trim() !== "") all.append(key, value);
    return all;
  };

  const show = (answer, id) => {
    const line = document.getElementById(id);
    const link = line.querySelector("a");
    line.querySelector(".size").textContent = answer.size || "";
    let problem = line.querySelector(".problem");
    if (!problem) {
      problem = document.createElement("span");
      problem.className = "problem";
      line.querySelector(".size").after(problem);
    }
    problem.textContent = answer.problem || "";
    link.hidden = !answer.url;
    if (answer.url) {
      link.href = answer.url;
      link.firstElementChild.textContent = answer.url;
    }
  };

  const paragraph = (text) => {
    const element = document.createElement("p");
    element.className = "problem";
    element.textContent = text;
    return element;
  };

  const update = (outcome) => {
    document.getElementById("problems").replaceChildren(...outcome.problems.map((p) => paragraph(p.message)));
    const wrong = new Set(outcome.problems.map((p) => p.field));
    for (const input of form.querySelectorAll("input[type=text]")) {
      if (wrong.has(input.name)) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    const kept = new Map(outcome.axes.map((axis) => [axis.axis, axis.kept]));
    for (const output of form.querySelectorAll("output[data-axis]")) {
      output.textContent = kept.get(output.dataset.axis) || "not used";
    }
    show(outcome.dap4, "dap4");
    show(outcome.dap2, "dap2");
    const lines = outcome.snippets.flatMap(({ title, code }) => {
      const [dt, dd, pre, text] = ["dt", "dd", "pre", "code"].map((name) => document.createElement(name));
      dt.textContent = title;
      text.textContent = code;
      pre.tabIndex = 0;
      pre.append(text);
      dd.append(pre);
      return [dt, dd];
    });
    document.getElementById("snippets").replaceChildren(...lines);
  };

  const ask = async () => {
    if (asking) asking.abort();
    asking = new AbortController();
    const query = fields();
    query.append("part", "request");
    const answers = document.getElementById("answers");
    answers.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(`${form.dataset.json}?${query}`, { signal: asking.signal });
      const answer = await response.json();
      if (response.ok) update(answer);
      else document.getElementById("problems").replaceChildren(paragraph(answer.detail || `status ${response.status}`));
    } catch (error) {
      if (error.name === "AbortError") return;
      document.getElementById("problems").replaceChildren(paragraph("The server cannot be reached; press the button to try again."));
    }
    answers.removeAttribute("aria-busy");
  };

  form.addEventListener("input", (event) => {
    // An end of an axis is an index or a value: the one that was written last counts.
    const pairs = { first: "from", last: "to", from: "first", to: "last" };
    const [what, axis] = [event.target.name.split(".", 1)[0], event.target.name.slice(event.target.name.indexOf(".") + 1)];
    const other = pairs[what] && form.elements.namedItem(`${pairs[what]}.${axis}`);
    if (other && event.target.value !== "") other.value = "";
    clearTimeout(timer);
    timer = setTimeout(ask, DELAY);
  });
})();
