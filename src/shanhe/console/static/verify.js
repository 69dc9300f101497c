// Verifies a .tlog-proof file here, in the browser: nothing is sent, and nothing is asked of the city.
// The formats are C2SP's tlog-proof, tlog-checkpoint, signed-note and tlog-cosignature; hashes are RFC 6962's.

const HEAD = "c2sp.org/tlog-proof@v1";
const FILE_BYTES_MAX = 512 * 1024;
const PATH_MAX = 63;
const SIGNATURES_MAX = 32;
const LOG = 1;
const WITNESS = 4;
const bytes = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Refused extends Error {}

function need(holds, why) {
  if (!holds) throw new Refused(why);
}

function joined(...parts) {
  const found = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}

const same = (a, b) => a.length === b.length && a.every((byte, n) => byte === b[n]);
const b64 = (data) => btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));

function unb64(encoded) {
  need(/^[A-Za-z0-9+/]+={0,2}$/.test(encoded) && encoded.length % 4 === 0, "malformed");
  const data = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  need(b64(data) === encoded, "malformed");
  return data;
}

function number(word) {
  need(/^(0|[1-9][0-9]{0,18})$/.test(word), "malformed");
  return BigInt(word);
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

const leafHash = (entry) => sha256(new Uint8Array([0]), entry);
const nodeHash = (left, right) => sha256(new Uint8Array([1]), left, right);

async function included(index, size, leaf, path, root) {
  if (index >= size) return false;
  let [position, last, found] = [index, size - 1n, leaf];
  for (const sibling of path) {
    if (last === 0n) return false;
    if (position & 1n || position === last) {
      found = await nodeHash(sibling, found);
      while (position && !(position & 1n)) [position, last] = [position >> 1n, last >> 1n];
    } else {
      found = await nodeHash(found, sibling);
    }
    [position, last] = [position >> 1n, last >> 1n];
  }
  return last === 0n && same(found, root);
}

async function readKey(vkey) {
  const [, name, id, material] = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
  need(name, "key");
  const data = unb64(material);
  const key = await crypto.subtle.importKey("raw", data.slice(1), { name: "Ed25519" }, false, ["verify"]);
  return { vkey, name, id, kind: data[0], key };
}

function readNote(raw) {
  const at = raw.lastIndexOf("\n\n");
  need(at > 0 && raw.endsWith("\n") && !/[\u0000-\u0009\u000b-\u001f]/.test(raw), "malformed");
  const rows = raw.slice(at + 2, -1).split("\n");
  need(rows.length <= SIGNATURES_MAX, "malformed");
  const signatures = rows.map((row) => {
    const [, name, encoded] = /^\u2014 ([^\s+]+) (\S+)$/.exec(row) ?? [];
    need(name, "malformed");
    const data = unb64(encoded);
    need(data.length > 4, "malformed");
    const id = Array.from(data.slice(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { name, id, data: data.slice(4) };
  });
  return { body: raw.slice(0, at + 1), signatures };
}

async function signers(note, keys) {
  const found = [];
  for (const { name, id, data } of note.signatures) {
    const key = keys.find((one) => one.name === name && one.id === id);
    if (!key) continue;
    let [signed, message, time] = [data, note.body, null];
    if (key.kind === WITNESS) {
      need(data.length === 72, "signature");
      time = new DataView(data.buffer, data.byteOffset, 8).getBigUint64(0);
      [signed, message] = [data.slice(8), `cosignature/v1\ntime ${time}\n${note.body}`];
    }
    const holds = signed.length === 64 && (await crypto.subtle.verify("Ed25519", key.key, signed, bytes.encode(message)));
    need(holds, "signature");
    found.push({ ...key, time });
  }
  return found;
}

function readOpening(line) {
  const raw = text.decode(unb64(line));
  const parts = JSON.parse(raw);
  need(parts !== null && typeof parts === "object" && Object.values(parts).every((one) => typeof one === "string"), "malformed");
  const names = Object.keys(parts).sort();
  need(["entry sum", "entry private salt sum"].includes(names.join(" ")), "malformed");
  const written = (list) => `{${list.map((name) => `"${name}":${JSON.stringify(parts[name])}`).join(",")}}`;
  need(written(names) === raw, "malformed");
  return { parts, rest: written(names.filter((name) => name !== "sum")) };
}

export async function verify(file, vkeys) {
  need(file.length <= FILE_BYTES_MAX, "malformed");
  const [head, extra, ...more] = text.decode(file).split("\n");
  need(head === HEAD && extra?.startsWith("extra "), "not_a_proof");
  const body = more.join("\n");
  const gap = body.indexOf("\n\n");
  need(gap > 0, "malformed");
  const [first, ...rest] = body.slice(0, gap).split("\n");
  need(first.startsWith("index ") && rest.length <= PATH_MAX, "malformed");
  const index = number(first.slice(6));
  const path = rest.map(unb64);
  need(path.every((one) => one.length === 32), "malformed");
  const { parts, rest: opening } = readOpening(extra.slice(6));
  need(same(unb64(parts.sum), await sha256(bytes.encode(`${opening}\n${body}`))), "altered");

  const note = readNote(body.slice(gap + 2));
  const lines = note.body.split("\n");
  need(lines.length === 4 && lines[0] && lines[3] === "", "malformed");
  const [origin, size, root] = [lines[0], number(lines[1]), unb64(lines[2])];
  const keys = await Promise.all(vkeys.map(readKey));
  const signed = await signers(note, keys);
  need(signed.some((key) => key.kind === LOG && key.name === origin), "unsigned");

  const raw = unb64(parts.entry);
  need(await included(index, size, await leafHash(raw), path, root), "not_in_tree");
  const entry = JSON.parse(text.decode(raw));
  let hidden = null;
  if (parts.private) {
    const [salt, data] = [unb64(parts.salt), unb64(parts.private)];
    const commit = await sha256(bytes.encode("shanhe-commit/v1\n"), salt, data);
    need(salt.length === 16 && entry.commit === b64(commit), "not_committed");
    hidden = JSON.parse(text.decode(data));
  }
  return { origin, index, size, entry, hidden, logs: signed.filter((key) => key.kind === LOG), witnesses: signed.filter((key) => key.kind === WITNESS) };
}

// ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────

const form = document.getElementById("proof");
if (form) start(form);

function start(zone) {
  const words = JSON.parse(zone.dataset.words);
  const keys = JSON.parse(zone.dataset.keys);
  const input = zone.querySelector("input[type=file]");
  const result = document.getElementById("result");
  const put = (tag, content, name = "") => Object.assign(document.createElement(tag), { textContent: content, className: name });
  const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  function amount(asset, minor) {
    const digits = { credit: 6, cny: 2, voucher: 2 }[asset] ?? 0;
    const [whole, part] = [String(minor).padStart(digits + 1, "0").slice(0, -digits || undefined), digits ? String(minor).padStart(digits + 1, "0").slice(-digits) : ""];
    const shown = part.replace(/0+$/, "");
    return `${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${shown ? `.${shown}` : ""} ${words[`asset_${asset}`] ?? asset}`;
  }

  function sentences({ entry, hidden }) {
    const type = entry.type ?? entry.kind;
    const what = words[`type_${type}`] ?? type;
    if (!hidden?.transfers) return [fill(words.said_record, { day: entry.day, what })];
    const sums = new Map();
    for (const [, , , minor, asset] of hidden.transfers) sums.set(asset, (sums.get(asset) ?? 0) + minor);
    const amounts = Array.from(sums, ([asset, minor]) => amount(asset, minor)).join(words.and);
    const found = [fill(words.said_posting, { day: entry.day, what, amounts })];
    const used = hidden.evidence?.buckets;
    if (hidden.evidence?.model && used) {
      const tokens = Object.values(used).filter(Number.isInteger).reduce((sum, one) => sum + one, 0);
      found.push(fill(words.said_call, { model: hidden.evidence.model, tokens }));
    }
    if (hidden.memo) found.push(fill(words.said_memo, { memo: hidden.memo }));
    return found;
  }

  function row(list, name, value) {
    list.append(put("dt", name), Object.assign(put("dd", ""), { innerText: value }));
  }

  function good(name, found) {
    const note = put("div", "", "note good");
    const about = put("div", "");
    about.append(put("strong", words.valid), ...sentences(found).map((one) => put("p", one)));
    note.append(about);
    const facts = put("dl", "", "facts small");
    row(facts, words.file, name);
    if (found.hidden?.id) row(facts, words.receipt, found.hidden.id);
    if (found.hidden?.at) row(facts, words.at, new Date(found.hidden.at).toLocaleString(document.documentElement.lang, { timeZone: "Asia/Shanghai" }));
    row(facts, words.place, fill(words.place_of, { index: found.index, size: found.size, origin: found.origin }));
    row(facts, words.signed_by, found.logs.map((key) => key.vkey).join("\n"));
    row(facts, words.witnesses, found.witnesses.map((key) => key.name).join("\n") || words.no_witness);
    if (found.entry.rules) row(facts, words.rules, found.entry.rules.map((rule) => rule.slice(0, 28)).join("\n"));
    result.replaceChildren(note, facts);
  }

  function bad(name, error) {
    const why = error instanceof Refused ? words[`bad_${error.message}`] : words.bad_malformed;
    const note = put("div", "", "note bad");
    const about = put("div", "");
    about.append(put("strong", fill(words.invalid, { file: name })), put("p", why ?? words.bad_malformed));
    note.append(about);
    result.replaceChildren(note);
  }

  async function check(file) {
    if (!file) return;
    try {
      good(file.name, await verify(new Uint8Array(await file.arrayBuffer()), keys));
    } catch (error) {
      bad(file.name, error);
    }
    result.focus();
  }

  if (!globalThis.crypto?.subtle) {
    const note = put("div", "", "note warn");
    note.append(put("div", words.no_crypto));
    result.replaceChildren(note);
    return;
  }
  input.addEventListener("change", () => check(input.files[0]).finally(() => (input.value = "")));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    check(event.dataTransfer.files[0]);
  });
}
