/* Small comforts of every page; each of them also works without this file. */

/* A form that came back with errors: read them first. */
const refused = document.querySelector("[data-focus]") ?? document.querySelector("[aria-invalid=true]");
refused?.focus();

/* Menus close on a click elsewhere and on Escape, and only one is open at a time. */
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/* Copy what a button names; say so where a screen reader hears it. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = button.dataset.done;
  } catch {
    getSelection().selectAllChildren(source);
  }
});

/* Print, or save as a PDF: what is on paper is what the style sheet leaves. */
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});

/* A select that is a filter: no need to press its button. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

/* A part that is renewed keeps open what was open, and the keyboard where it was. */
const unfolded = new Map();
let focused = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  for (const one of event.target.querySelectorAll("details[id]")) unfolded.set(one.id, one.open);
  const at = document.activeElement;
  focused = event.target.contains(at) && { home: at.closest("[id]")?.id, kind: at.tagName, text: at.textContent };
});
document.addEventListener("htmx:afterSettle", () => {
  for (const [id, open] of unfolded) {
    const one = document.getElementById(id);
    if (one) one.open = open || one.open;
  }
  unfolded.clear();
  if (focused && document.activeElement === document.body) {
    const like = document.getElementById(focused.home)?.querySelectorAll(focused.kind) ?? [];
    ([...like].find((one) => one.textContent === focused.text) ?? like[0])?.focus({ preventScroll: true });
  }
  focused = null;
  showScripted();
});

/* What only works with scripts is shown with them. */
function showScripted() {
  for (const one of document.querySelectorAll("[data-script-only]")) one.hidden = false;
  for (const one of document.querySelectorAll("[data-script-missing]")) one.hidden = true;
}
showScripted();

/* A form that makes one thing is sent once: a second click would lose the page with its secret. */
document.addEventListener("submit", (event) => {
  if (!event.target.elements.form_id) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const one of document.querySelectorAll("[data-sent]")) delete one.dataset.sent;
});
