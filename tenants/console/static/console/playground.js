/* Asks a model as AIsuru would: straight at the gateway, with a token of its own that works for
   some minutes and lives in this page's memory only. What is typed is kept nowhere. */

const form = document.querySelector("form[data-playground]");
const log = document.getElementById("chat-log");
const field = form.elements.question;
const button = form.querySelector("button");
const turns = [];
let trial = null;

function bubble(kind, text) {
  const made = document.createElement("div");
  made.className = `bubble bubble-${kind}`;
  const who = document.createElement("span");
  who.className = "visually-hidden";
  who.textContent = form.dataset[kind] ?? "";
  const words = document.createElement("span");
  words.textContent = text;
  made.append(who, words);
  log.append(made);
  return words;
}

function note(words, text) {
  const made = document.createElement("span");
  made.className = "fine";
  made.textContent = text;
  words.parentElement.append(made);
}

async function token() {
  if (trial && new Date(trial.expires_at) - Date.now() > 30_000) return trial.token;
  const answer = await fetch(form.dataset.trial, {
    method: "POST",
    headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value, Accept: "application/json" },
  });
  if (!answer.ok) throw new Error(form.dataset.failed);
  trial = await answer.json();
  return trial.token;
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

const textOf = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("");

async function ask(question) {
  turns.push({ role: "user", content: question });
  bubble("you", question);
  const started = performance.now();
  const answer = await fetch(form.dataset.gateway, {
    method: "POST",
    headers: { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json" },
    body: JSON.stringify({ messages: turns, stream: true }),
  });
  if (!answer.ok) {
    const refusal = await answer.json().catch(() => ({}));
    turns.pop();
    const words = bubble("bad", refusal.message?.detail ?? refusal.message ?? form.dataset.failed);
    note(words, `HTTP ${answer.status} · ${refusal.code ?? refusal.type ?? ""} · ${refusal.request_id ?? ""}`);
    return;
  }
  const words = bubble("model", "");
  let first = 0;
  let usage = null;
  for await (const event of events(answer.body)) {
    const piece = textOf(event.choices?.[0]?.delta?.content);
    if (piece && !first) first = performance.now();
    words.textContent += piece;
    usage = event.usage ?? usage;
  }
  turns.push({ role: "assistant", content: words.textContent });
  const seconds = (ms) => (ms / 1000).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
  const told = [`${form.dataset.first} ${seconds((first || performance.now()) - started)} s`, `${form.dataset.whole} ${seconds(performance.now() - started)} s`];
  if (usage) told.push(`${usage.prompt_tokens} + ${usage.completion_tokens} token`);
  note(words, told.join(" · "));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = field.value.trim();
  if (!question) return;
  button.disabled = true;
  log.setAttribute("aria-busy", "true");
  field.value = "";
  try {
    await ask(question);
  } catch (error) {
    turns.pop();
    trial = null;
    bubble("bad", error.message || form.dataset.failed);
  } finally {
    button.disabled = false;
    log.setAttribute("aria-busy", "false");
    field.focus();
  }
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});
