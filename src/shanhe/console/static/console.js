// Small conveniences; every page works without them.

const byId = (id) => document.getElementById(id);

const POPS = "details.menu[open], details.confirm[open], details.drawer[open]";

// What stands above the page closes when one turns to something else, by pointer or by key: it would lie over it.
function shut(target) {
  for (const open of document.querySelectorAll(POPS)) {
    if (!open.contains(target)) open.open = false;
  }
}
document.addEventListener("focusin", (event) => shut(event.target));

// The menu is longer than most screens: it opens where one is. Not by scrollIntoView, after which Tab begins there in
// some browsers and passes by the link to what the page is about.
const menu = document.querySelector(".side > div");
const here = menu?.querySelector("[aria-current]");
if (here) {
  const below = here.getBoundingClientRect().bottom - menu.getBoundingClientRect().bottom;
  if (below > 0) menu.scrollTop += Math.ceil(below);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const find = byId("find");
    if (find && find.offsetParent) {
      event.preventDefault();
      find.focus();
    }
  }
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll(POPS)) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  }
});

document.addEventListener("click", async (event) => {
  shut(event.target);
  const filler = event.target.closest("[data-fill]");
  if (filler) {
    const field = document.querySelector(filler.dataset.fill);
    if (field) {
      event.preventDefault();
      field.value = filler.dataset.value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    }
  }
  const copier = event.target.closest("[data-copy]");
  if (copier) {
    const text = document.querySelector(copier.dataset.copy).textContent;
    const before = copier.textContent;
    try {
      await navigator.clipboard.writeText(text);
      copier.textContent = document.body.dataset.copied;
      setTimeout(() => { copier.textContent = before; }, 2000);
    } catch {
      getSelection().selectAllChildren(document.querySelector(copier.dataset.copy));
    }
  }
});

// What answers a form is the form's page once more: Back and reload ask for that page, and not for sending it again.
if ("posted" in document.body.dataset && document.referrer.startsWith(`${location.origin}/`)) {
  history.replaceState(history.state, "", document.referrer);
}

// A form is sent once: pressing again while it is on its way does nothing. A file that is offered leaves the page where
// it is, so the button comes back after a while; another button of the form works at once.
const SENT_MS = 10000;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  const pressed = event.submitter ? `${event.submitter.name}=${event.submitter.value}` : "=";
  if (form.dataset.sent === pressed) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = pressed;
  if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
  setTimeout(() => again(form), SENT_MS);
});
function again(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(again));

// What was wrong with a form may stand far below: it is shown, and the field it asks to mend comes next with Tab.
const wrong = document.querySelector("main .note[data-mistake]");
if (wrong && !document.querySelector("main [autofocus]")) {
  wrong.tabIndex = -1;
  wrong.focus({ preventScroll: true });
  wrong.scrollIntoView({ block: "center" });
}

// The checksum of a file that stays where it is. Browsers have it on safe connections only.
for (const place of globalThis.crypto?.subtle ? document.querySelectorAll("[data-digest]") : []) {
  place.hidden = false;
  place.querySelector("input").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const found = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    byId(place.dataset.digest).value = Array.from(found, (byte) => byte.toString(16).padStart(2, "0")).join("");
  });
}

// A panel that refreshes itself must not take an open confirmation or a focused control away.
document.addEventListener("htmx:beforeRequest", (event) => {
  const panel = event.detail.elt;
  const trigger = panel.getAttribute("hx-trigger") || "";
  if (!trigger.startsWith("every")) return;
  if (document.hidden || panel.querySelector("details[open]") || panel.contains(document.activeElement)) event.preventDefault();
});

// A session that has ended takes nobody away from what they are writing: their form says so when it is sent, and keeps it.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { elt, xhr } = event.detail;
  if ((elt.getAttribute("hx-trigger") || "").startsWith("every") && xhr.getResponseHeader("hx-redirect")) event.preventDefault();
});

// Where no answer came, what is left of the one before would pass for it: a price for the amount that was typed since. Of
// what was asked to be done, and refused, the place stays as it is below the reason.
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failure, ({ detail: { elt, target, xhr } }) => {
    if ((elt.getAttribute("hx-trigger") || "").startsWith("every")) return;
    const refused = new DOMParser().parseFromString(xhr?.responseText || "", "text/html").querySelectorAll("[data-failed] > p");
    const why = Array.from(refused, (one) => one.textContent).join(" ") || document.body.dataset.unanswered;
    const note = Object.assign(document.createElement("p"), { className: "note bad", textContent: why });
    note.setAttribute("role", "alert");
    if (elt.hasAttribute("hx-post")) {
      target.querySelector(":scope > .note.bad")?.remove();
      target.prepend(note);
    } else target.replaceChildren(note);
  });
}

// Reading aloud, where the browser has a voice for the page's language; pressing again stops.
for (const button of window.speechSynthesis ? document.querySelectorAll("[data-speak]") : []) {
  const listen = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    if (speechSynthesis.speaking) {
      speechSynthesis.cancel();
      return;
    }
    const said = new SpeechSynthesisUtterance(document.querySelector(button.dataset.speak).innerText);
    said.lang = document.documentElement.lang;
    said.onend = said.onerror = () => { button.textContent = listen; };
    button.textContent = button.dataset.speakStop;
    speechSynthesis.speak(said);
  });
}

// Passkeys: the server speaks WebAuthn's JSON form.
const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function options(json, create) {
  const ready = { ...json, challenge: decode(json.challenge) };
  if (create) ready.user = { ...json.user, id: decode(json.user.id) };
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    if (json[list]) ready[list] = json[list].map((item) => ({ ...item, id: decode(item.id) }));
  }
  return ready;
}

function plain(credential) {
  const given = credential.response;
  const response = { clientDataJSON: encode(given.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (given[name]) response[name] = encode(given[name]);
  }
  if (given.getTransports) response.transports = given.getTransports();
  return { id: credential.id, rawId: encode(credential.rawId), type: credential.type, response, clientExtensionResults: {} };
}

async function passkey(place) {
  const send = (path, body) => fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json", "x-csrf-token": place.dataset.csrf },
    body: JSON.stringify(body || {}),
  }).then(async (answer) => {
    const said = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(String(answer.status)), { said: said.error && said.error.message });
    return said;
  });
  const creating = place.dataset.mode === "create";
  const password = place.querySelector("input[name=password]");
  const json = await send(`${place.dataset.passkey}/options`, password ? { password: password.value } : {});
  const asked = options(json.publicKey || json, creating);
  const credential = creating
    ? await navigator.credentials.create({ publicKey: asked })
    : await navigator.credentials.get({ publicKey: asked });
  const answer = plain(credential);
  const name = place.querySelector("input[name=name]");
  const done = await send(place.dataset.passkey, { ceremony_id: json.ceremony_id, credential: answer, name: name ? name.value : "" });
  location.assign(done.next);
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  place.hidden = false;
  place.querySelector("button").addEventListener("click", () => {
    const fail = place.querySelector("[data-fail]");
    fail.textContent = "";
    passkey(place).catch((error) => { fail.textContent = (place.dataset.mode === "create" && error.said) || fail.dataset.fail; });
  });
}
