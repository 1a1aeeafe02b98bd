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

/* A question after a pause that fails is asked again, later each time; then the page says so. */
const ENOUGH = 5, LONGEST = 60;
for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:sendAbort", "htmx:timeout"]) {
  document.addEventListener(failure, ({ detail: { elt } }) => {
    const pause = elt.getAttribute("hx-trigger")?.match(/^load delay:(\d+)s$/)?.[1];
    if (!pause || !elt.isConnected) return;
    const again = elt.cloneNode(true);
    again.classList.remove("htmx-request");
    again.dataset.failed = Number(elt.dataset.failed ?? 0) + 1;
    if (again.dataset.failed < ENOUGH) {
      again.setAttribute("hx-trigger", `load delay:${Math.min(2 * pause, LONGEST)}s`);
    } else {
      for (const name of ["hx-get", "hx-trigger"]) again.removeAttribute(name);
      again.replaceChildren(again.querySelector("template").content);
    }
    elt.replaceWith(again);
    htmx.process(again);
  });
}

/* What only works with scripts is shown with them. */
function showScripted() {
  for (const one of document.querySelectorAll("[data-script-only]")) one.hidden = false;
  for (const one of document.querySelectorAll("[data-script-missing]")) one.hidden = true;
}
showScripted();

/* Another language or theme loads the page anew: ask, if that loses what was typed, or a secret that is
   shown once. */
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.unsent;
  if (question && (document.querySelector("[data-once]") || isTyped()) && !confirm(question)) event.preventDefault();
});
function isTyped() {
  if (document.querySelector("main form [aria-invalid=true], main form [data-focus]")) return true;
  return [...document.querySelectorAll("main :is(input, textarea, select)")].some((one) => {
    if (one.form?.method === "get" || one.type === "hidden") return false;
    if (one.matches("[type=checkbox], [type=radio]")) return one.checked !== one.defaultChecked;
    if (!one.options) return one.value !== one.defaultValue;
    return one.selectedIndex !== Math.max(0, [...one.options].findIndex((option) => option.defaultSelected));
  });
}

/* A form that makes one thing is sent once: a second click would lose the page with its secret. */
document.addEventListener("submit", (event) => {
  if (!event.target.elements.form_id) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const one of document.querySelectorAll("[data-sent]")) delete one.dataset.sent;
});
