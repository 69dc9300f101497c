// A gate without a network: tickets and cards are verified with keys that the page brought along, and what was let in
// waits here until it can be reported. The city's ledger moves once for a ticket, whoever reports it and how often.

const box = document.querySelector("#offline-gate");
const kit = JSON.parse(box.dataset.kit);
const words = JSON.parse(box.dataset.words);
const said = document.querySelector("#said");
const list = document.querySelector("#waiting");
const PLACE = `shanhe-gate-${kit.venue}`;
const DOMAIN = new TextEncoder().encode("shanhe-nomad-code/1\n");
const BATCH = 50;
const USED_MAX = 20_000;
const DAY_MS = 86_400_000;
const CITY_AHEAD_MS = 8 * 3_600_000;
const ORDINAL_1970 = 719_163; // days counted as the tickets count them: 1 January of year 1 is day 1
const CACHE = "shanhe-gate-1";
const REACH_MS = 3_000;
const AGAIN_MS = 4_000;
const SEND_MS = 60_000;
const SIGNED_OUT = [0, 401]; // 0: sent to the page that asks for it

const kept = () => JSON.parse(localStorage.getItem(PLACE) ?? "null") ?? {
  scanner: crypto.randomUUID().slice(0, 13), seq: 0, waiting: [], used: {}, problems: [],
};
const keep = (state) => localStorage.setItem(PLACE, JSON.stringify(state));

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const hex = (text) => Uint8Array.from(text.match(/../g), (pair) => Number.parseInt(pair, 16));
const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

// The few forms of MessagePack that a code is written in.
function unpacked(data) {
  let at = 0;
  const number = (size) => {
    let found = 0;
    for (let n = 0; n < size; n += 1) found = found * 256 + data[at++];
    return found;
  };
  const taken = (size) => data.slice(at, (at += size));
  const next = () => {
    const tag = data[at++];
    if (tag < 0x80) return tag;
    if (tag >= 0x90 && tag < 0xa0) return Array.from({ length: tag - 0x90 }, next);
    if (tag >= 0xa0 && tag < 0xc0) return new TextDecoder().decode(taken(tag - 0xa0));
    if (tag === 0xc4) return taken(number(1));
    if (tag === 0xd9) return new TextDecoder().decode(taken(number(1)));
    if (tag >= 0xcc && tag <= 0xcf) return number(1 << (tag - 0xcc));
    throw new Error("unreadable");
  };
  const found = next();
  if (at !== data.length) throw new Error("unreadable");
  return found;
}

async function signed(key, signature, data) {
  const opened = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "Ed25519" }, opened, signature, data);
}

// A ticket that the city signed and that is valid today; throws the name of what is wrong.
async function ticketOf(text) {
  const code = text.includes("c=") ? text.slice(text.lastIndexOf("c=") + 2).split("&")[0] : text;
  const [prefix, body, signature] = code.split(".");
  if (prefix !== "SH1" || !signature) throw new Error("unreadable");
  let wire;
  try {
    wire = unpacked(bytes(body));
  } catch {
    throw new Error("unreadable");
  }
  const [kind, id, , extra] = wire;
  if (kind !== "t") throw new Error("other_kind");
  if (!(await signed(hex(kit.public_key), bytes(signature), joined(DOMAIN, bytes(body))))) throw new Error("forged");
  const [n, first, last, companions, holder] = extra;
  const today = Math.floor((Date.now() + CITY_AHEAD_MS) / DAY_MS) + ORDINAL_1970;
  if (today < first || today > last) throw new Error("not_today");
  return { code, id: [...id].map((one) => one.toString(16).padStart(2, "0")).join(""), n, companions, holder };
}

// What a card shows: an SD-JWT of the city, verified with the cached key list.
async function cardOf(text) {
  const [token, ...shown] = text.split("~");
  const [head, body, signature] = token.split(".");
  const parsed = (part) => JSON.parse(new TextDecoder().decode(bytes(part)));
  let header;
  let claims;
  try {
    [header, claims] = [parsed(head), parsed(body)];
  } catch {
    throw new Error("unreadable");
  }
  const key = kit.keys.find((one) => one.kid === header.kid && one.crv === "Ed25519");
  if (!key || header.alg !== "EdDSA") throw new Error("forged");
  const data = new TextEncoder().encode(`${head}.${body}`);
  if (!(await signed(bytes(key.x), bytes(signature), data))) throw new Error("forged");
  const now = Date.now() / 1000;
  if ((claims.nbf ?? 0) > now || (claims.exp ?? Infinity) < now) throw new Error("not_today");
  const told = {};
  for (const one of shown.filter((part) => part && !part.includes("."))) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(one)));
    const mark = btoa(String.fromCharCode(...digest)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    if (!claims._sd?.includes(mark)) throw new Error("forged");
    const [, name, value] = parsed(one);
    told[name] = value;
  }
  return told;
}

const filled = (text, values) => text.replaceAll(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

function tell(kind, text) {
  said.className = `note ${kind}`;
  said.textContent = text;
  said.hidden = false;
}

// A browser that is in some network says it is online, whether or not the city can be reached from there.
let reached = navigator.onLine;

async function reach() {
  try {
    await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(REACH_MS) });
    reached = true;
  } catch {
    reached = false;
  }
  draw();
}

function draw() {
  const state = kept();
  document.querySelector("#count").textContent = filled(words.count, { n: state.waiting.length });
  document.querySelector("#line").textContent = reached ? words.online : words.offline;
  list.replaceChildren(...[...state.problems, ...state.waiting].map((one) => {
    const item = document.createElement("li");
    item.textContent = one.why ?? filled(words.waits, one);
    item.className = one.why ? "bad" : "";
    return item;
  }));
}

// One at a time over all tabs of this device: two taps are not two visits.
const alone = (work) => navigator.locks.request(PLACE, work);

async function scanned(form) {
  const text = form.code.value.trim();
  try {
    if (text.includes("~")) {
      const card = await cardOf(text);
      tell("good", filled(words.card, { days: card.days_at_least ?? "—" }));
      form.reset();
      return;
    }
    const ticket = await ticketOf(text);
    const companions = Number.parseInt(form.companions.value || "0", 10);
    if (!form.present.checked) throw new Error("holder");
    if (!(companions >= 0 && companions <= ticket.companions)) throw new Error("companions");
    await alone(() => {
      const state = kept();
      if (state.used[ticket.id]) throw new Error("used");
      const line = { code: ticket.code, at: new Date().toISOString(), scanner: state.scanner, seq: state.seq, companions, n: ticket.n };
      state.seq += 1;
      state.used[ticket.id] = line.at;
      state.waiting.push(line);
      keep(state);
    });
    tell("good", filled(words.admitted, { n: ticket.n, people: companions + 1, holder: ticket.holder }));
    form.reset();
  } catch (error) {
    tell("bad", words[error.message] ?? words.unreadable);
  }
  draw();
  report();
}

// Report what waits, a batch at a time; what was answered is not reported again.
let reporting = false;
let refused = false; // the session has ended, or may not: whoever signs in again, scans or asks for it tries again

async function report() {
  if (reporting) return; // whoever does takes along what comes meanwhile
  reporting = true;
  try {
    await reach();
    if (reached) await send();
  } finally {
    reporting = false;
  }
  draw();
}

async function send() {
  await alone(async () => {
    for (;;) {
      const batch = kept().waiting.slice(0, BATCH);
      if (batch.length === 0) return;
      const scans = batch.map(({ code, at, scanner, seq, companions }) => ({ code, at, scanner, seq, companions }));
      const body = new URLSearchParams({ csrf: box.dataset.csrf, scans: JSON.stringify(scans) });
      let answer;
      try {
        answer = await fetch(box.dataset.report, { method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(SEND_MS) });
      } catch {
        reached = false; // no network after all: the next time
        return;
      }
      if (answer.type === "opaqueredirect" || !answer.ok) {
        const later = answer.status >= 500 || answer.status === 429;
        refused = !later;
        tell("warn", later ? words.later : SIGNED_OUT.includes(answer.status) ? words.sign_in : words.refused);
        return;
      }
      refused = false;
      const done = new Map((await answer.json()).data.map((one) => [one.seq, one]));
      const state = kept();
      for (const line of state.waiting.filter((one) => done.has(one.seq))) {
        const { outcome, zh, en } = done.get(line.seq);
        if (outcome !== "settled" && outcome !== "known") {
          state.problems.push({ why: `${filled(words.waits, line)} ${document.documentElement.lang.startsWith("zh") ? zh : en}` });
        }
      }
      state.waiting = state.waiting.filter((one) => !done.has(one.seq));
      const used = Object.entries(state.used);
      state.used = Object.fromEntries(used.slice(-USED_MAX));
      keep(state);
    }
  });
}

// Keep this page and its files for the next time there is no network.
async function stored() {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(box.dataset.worker, { scope: "/venues/" });
  await navigator.serviceWorker.ready;
  const files = performance.getEntriesByType("resource").map((one) => one.name).filter((name) => new URL(name).pathname.startsWith("/static/"));
  if (reached) await (await caches.open(CACHE)).addAll([location.pathname, ...new Set(files)]);
  box.dataset.ready = "yes";
  document.querySelector("#ready").textContent = words.ready;
}

document.querySelector("#offline-form").addEventListener("submit", (event) => {
  event.preventDefault();
  scanned(event.target);
});
document.querySelector("#report").addEventListener("click", report);
addEventListener("online", report);
addEventListener("offline", reach);
setInterval(() => refused || (reached && kept().waiting.length === 0) || report(), AGAIN_MS); // no event tells of every network
draw();
reach().then(() => {
  report();
  return stored();
}).catch(() => tell("warn", words.not_kept));
