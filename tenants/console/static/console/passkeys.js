/* Passkeys: asks the device, and sends what it says in the form that stands in the page.
   The options lie in the page, or at the address that the form names. */

const { webauthnJSON } = globalThis;

/* Always one that lives on the device and asks who is there: it signs in by itself. */
const lasting = (options) => {
  Object.assign(options.publicKey.authenticatorSelection ??= {}, {
    residentKey: "required", requireResidentKey: true, userVerification: "required",
  });
  return options;
};

const optionsOf = async (form) => {
  const inPage = document.getElementById("passkey-options");
  if (inPage) return JSON.parse(inPage.textContent);
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!webauthnJSON?.supported()) continue;
  const button = form.querySelector("button");
  const trouble = form.querySelector("[data-passkey-trouble]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    button.disabled = true;
    try {
      const options = await optionsOf(form);
      const said = form.dataset.passkey === "create"
        ? await webauthnJSON.create(lasting(options.creation_options))
        : await webauthnJSON.get(options.request_options);
      form.elements.credential.value = JSON.stringify(said);
      form.submit();
    } catch {
      trouble.hidden = false;
      button.disabled = false;
    }
  });
  addEventListener("pageshow", () => { button.disabled = false; });
}
