/* Seals a Mistral key in the browser, byte for byte as docs/intake.md says, before it is sent.
   The field that it is pasted into has no name, so it can never leave the page unsealed. */

const VERSION = "aim-intake-1";
const CURVE = { name: "ECDH", namedCurve: "P-256" };
const utf8 = new TextEncoder();

const decode = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

export async function seal(plain, intakeKey, purpose, ids) {
  const { subtle } = crypto;
  const server = decode(intakeKey.public_key);
  const pair = await subtle.generateKey(CURVE, false, ["deriveBits"]);
  const ephemeral = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
  const theirs = await subtle.importKey("raw", server, CURVE, false, []);
  const shared = await subtle.deriveBits({ name: "ECDH", public: theirs }, pair.privateKey, 256);
  const key = await subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array([...ephemeral, ...server]), info: utf8.encode(VERSION) },
    await subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]),
    { name: "AES-GCM", length: 256 }, false, ["encrypt"],
  );
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const additionalData = utf8.encode([VERSION, purpose, intakeKey.id, ...ids].join("\n"));
  const sealed = await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, utf8.encode(plain));
  return {
    intake_key_id: intakeKey.id,
    ephemeral_public_key: encode(ephemeral),
    nonce: encode(nonce),
    ciphertext: encode(sealed),
  };
}

/* Whoever has signed in again, in another tab, has other tokens than the form was made with. */
async function renew(form) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("form[data-seal] [name=csrfmiddlewaretoken]");
  if (!fresh) throw new Error("no form");
  form.querySelector("[name=csrfmiddlewaretoken]").value = fresh.value;
}

const form = document.querySelector("form[data-seal]");
if (form && globalThis.crypto?.subtle) {
  const pasted = form.querySelector("[data-seal-key]");
  const envelope = form.querySelector("[name=sealed_key]");
  const trouble = form.querySelector("[data-seal-trouble]");
  const over = form.querySelector("[data-seal-over]");
  let wasOver = false;
  const button = form.querySelector("[data-seal-button]");
  form.querySelector("[data-seal-missing]").hidden = true;
  form.querySelector("[data-seal-ready]").hidden = false;
  button.disabled = false;

  form.addEventListener("submit", async (event) => {
    if (envelope.value) return;
    event.preventDefault();
    trouble.hidden = over.hidden = true;
    button.disabled = true;
    try {
      const answer = await fetch(form.dataset.intake, { headers: { Accept: "application/json" } });
      if (answer.status === 401) {
        wasOver = true;
        over.hidden = false;
        button.disabled = false;
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      if (wasOver) await renew(form);
      const ids = form.dataset.ids.split(" ");
      envelope.value = JSON.stringify(await seal(pasted.value, await answer.json(), form.dataset.seal, ids));
      pasted.value = "";
      form.submit();
    } catch {
      trouble.hidden = false;
      button.disabled = false;
    }
  });
  /* Back from the next page: an envelope is taken once, so the form begins anew. */
  addEventListener("pageshow", () => {
    envelope.value = "";
    button.disabled = false;
  });
}
