"use strict";

// Suggestions: what stands after the last separator is asked for, and what is before it is kept.
for (const input of document.querySelectorAll("input[data-kind]")) {
  const separators = { skills: /[,;|]/, history: /;/ }[input.name] ?? /(?!)/; // That is nowhere.
  let asked = 0;
  input.addEventListener("input", async () => {
    const parts = input.value.split(separators);
    const last = parts.pop().trim();
    const number = ++asked;
    if (last.length < 2) return;
    const query = new URLSearchParams({ kind: input.dataset.kind, text: last });
    const answer = await fetch(`/suggest?${query}`);
    if (!answer.ok || number !== asked) return;
    const before = input.value.slice(0, input.value.length - input.value.split(separators).pop().length);
    const gap = before && !before.endsWith(" ") ? " " : "";
    input.list.replaceChildren(...(await answer.json()).map((name) => new Option("", before + gap + name)));
  });
}

// Answers: server-sent events of a POST, which EventSource cannot send.
async function* events(path, body) {
  const headers = { "content-type": "application/json" };
  const ask = () => fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  let answer;
  while ((answer = await ask()).status === 429) {
    await new Promise((done) => setTimeout(done, 1000 * answer.headers.get("retry-after")));
  }
  if (!answer.ok) throw new Error((await answer.json()).error);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", part; !(part = await reader.read()).done; ) {
    text += part.value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const event of whole) {
      const [, name, data] = event.match(/^event: (.*)\ndata: (.*)$/);
      yield [name, JSON.parse(data)];
    }
  }
}

// Text is shown as it is written; the end brings what is to be said of it.
async function show(place, path, body, ended) {
  const answer = place.querySelector(".answer");
  try {
    for await (const [name, data] of events(path, body)) {
      place.hidden = false;
      if (name === "piece") answer.textContent = (answer.textContent + data.text).trimStart();
      else if (name === "error") throw new Error(data.error);
      else ended(data, answer);
    }
  } catch (error) {
    place.hidden = false;
    place.querySelector(".figures").textContent = error.message;
  }
  answer.setAttribute("aria-busy", "false");
}

function fill(pane, prompt, panes) {
  const side = pane.dataset.side;
  const blind = "blind" in panes.dataset;
  const asked = blind
    ? ["/blind", { prompt, side, draw: panes.dataset.draw }]
    : ["/generate", { prompt, model: side }];
  return show(pane, ...asked, (data, answer) => {
    if (!answer.textContent.trim()) answer.textContent = "(an empty answer)";
    if (blind) return; // Figures would tell the models apart.
    pane.querySelector(".figures").textContent =
      `${data.tokens} tokens, perplexity of its own words ${Math.exp(data.nats_per_token).toFixed(1)}, ` +
      `repeated 4-grams ${(100 * data.repetition).toFixed(0)} %, ` +
      (data.finish_reason === "end" ? "ended by itself" : "cut at its length");
  });
}

// A press shows at once; whoever goes back finds the button as it was.
for (const form of document.querySelectorAll("form.ask")) {
  const button = form.querySelector("button");
  const name = button.textContent;
  form.addEventListener("submit", () => { button.textContent = "Working …"; });
  window.addEventListener("pageshow", () => { button.textContent = name; });
}

const written = document.getElementById("written");
if (written) {
  show(written, "/qualifications", { position: written.dataset.position }, (data, answer) => {
    answer.textContent = data.text;
    written.hidden = !data.text; // It was not taught any, or saw none of this position.
  });
}

const panes = document.getElementById("panes");
if (panes) {
  const { prompt, draw } = panes.dataset;
  const filled = [...panes.children].map((pane) => fill(pane, prompt, panes));
  const vote = document.getElementById("vote");
  if (vote) {
    Promise.all(filled).then(() => { vote.hidden = false; });
    vote.addEventListener("submit", async (event) => {
      event.preventDefault();
      const preferred = event.submitter.value;
      const answer = await fetch("/vote", {
        method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt, draw, preferred }),
      });
      const found = await answer.json();
      const told = document.getElementById("told");
      const names = { finetuned: "fine-tuned", baseline: "baseline" };
      told.textContent = answer.ok
        ? `A was the ${names[found.A]} model, B the ${names[found.B]} one. Your vote is kept. ${found.tally.told}`
        : found.error;
      told.hidden = false;
      vote.hidden = answer.ok;
      document.getElementById("again").hidden = !answer.ok;
    });
  }
}
