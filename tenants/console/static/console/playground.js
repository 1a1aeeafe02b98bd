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

/* A refusal in the reader's words, with its amounts; what has none here is said as it came. */
function explain(refusal) {
  const said = refusal.message?.detail ?? refusal.message ?? form.dataset.failed;
  if (refusal.source === "provider") return `Mistral: ${said}`;
  const known = document.querySelector(`[data-refusals] [data-code="${CSS.escape(refusal.code ?? "")}"]`);
  if (!known) return said;
  const money = (amount) => {
    const how = { style: "currency", currency: refusal.currency };
    // What is less than a cent keeps two digits that count, as everywhere on these pages.
    if (Number(amount) !== 0 && Math.abs(amount) < 0.01) how.maximumSignificantDigits = how.minimumSignificantDigits = 2;
    return Number(amount).toLocaleString(document.documentElement.lang, how);
  };
  return known.textContent.replace(/\{(\w+)\}/g, (_, name) => money(refusal[name]));
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
  let name = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (done ? "\n" : value)).split("\n");
    rest = lines.pop();
    for (const line of lines.map((one) => one.trimEnd())) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) yield { name, data: line.slice(6) };
      else if (!line) name = "";
    }
    if (done) return;
  }
}

const textOf = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("");

const tellsFailure = (name, event) =>
  name.endsWith("error") ||
  Boolean(event.error) ||
  event.object === "error" ||
  (event.choices ?? []).some((choice) => choice.finish_reason === "error");

/* Shows an answer while it comes. It is whole if its end was announced and no failure was. */
async function receive(body, words) {
  const seen = { isWhole: false, first: 0, usage: null };
  let hasFailed = false;
  try {
    for await (const { name, data } of events(body)) {
      if (data === "[DONE]") {
        seen.isWhole = !hasFailed;
        continue;
      }
      const event = JSON.parse(data);
      hasFailed ||= tellsFailure(name, event);
      const piece = textOf(event.choices?.[0]?.delta?.content);
      if (piece) seen.first ||= performance.now();
      words.textContent += piece;
      seen.usage = event.usage ?? seen.usage;
    }
  } catch {
    // The connection broke, or what came cannot be read: what was seen until then counts.
  }
  return seen;
}

/* Tells whether a whole answer came; only then the two turns are part of the conversation. */
async function ask(question) {
  const asked = { role: "user", content: question };
  bubble("you", question);
  const started = performance.now();
  const answer = await fetch(form.dataset.gateway, {
    method: "POST",
    headers: { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json" },
    body: JSON.stringify({ messages: [...turns, asked], stream: true }),
  });
  if (!answer.ok) {
    const refusal = await answer.json().catch(() => ({}));
    const words = bubble("bad", explain(refusal));
    const facts = [`HTTP ${answer.status}`, refusal.code ?? refusal.type, refusal.request_id];
    note(words, facts.filter(Boolean).join(" · "));
    return false;
  }
  const words = bubble("model", "");
  const { isWhole, first, usage } = await receive(answer.body, words);
  if (!isWhole) {
    if (!words.textContent) words.parentElement.remove();
    bubble("bad", form.dataset.broken);
    return false;
  }
  turns.push(asked, { role: "assistant", content: words.textContent });
  const seconds = (ms) => (ms / 1000).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
  const told = [`${form.dataset.first} ${seconds((first || performance.now()) - started)} s`, `${form.dataset.whole} ${seconds(performance.now() - started)} s`];
  if (usage) told.push(`${usage.prompt_tokens} + ${usage.completion_tokens} token`);
  note(words, told.join(" · "));
  return true;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = field.value.trim();
  if (!question || button.disabled) return;
  button.disabled = true;
  log.setAttribute("aria-busy", "true");
  field.value = "";
  let isAnswered = false;
  try {
    isAnswered = await ask(question);
  } catch {
    trial = null;
    bubble("bad", form.dataset.failed);
  } finally {
    if (!isAnswered && !field.value) field.value = question;
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
