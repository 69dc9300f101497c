// The chat stream: posts to our own route, shows the answer as it comes, then the receipt of what it cost. The conversation
// stays in this tab alone: whoever goes on to a receipt or buys credits finds it when they come back.

const PAYMENT_REQUIRED = 402;
const COMPOSING = 229;
const touch = matchMedia("(hover: none) and (pointer: coarse)");
const form = document.getElementById("play");
const PLACE = "shanhe.talk";
const CHARS_MAX = 200000;
if (form) start(form, (await import(form.dataset.rich)).rich);

function start(play, rich) {
  const [said, prompt, stop, fresh, send, receipt] = ["said", "prompt", "stop", "fresh", "send", "receipt"].map((id) => document.getElementById(id));
  const hint = receipt.innerHTML;
  const hello = said.innerHTML;
  let past = []; // what was said: by whom, what it cost, and what came between
  let running = null;
  let latest = () => {}; // shows what the last answer cost
  const first = document.getElementById("first"); // what an agent is told before a conversation
  let told = {};
  let looked = ""; // where the cost that is shown comes from
  let asked = {}; // question and answer whose cost is shown, for a thumb that shares both

  function show(role, by, text) {
    document.getElementById("hello")?.remove();
    const turn = document.createElement("div");
    turn.className = `turn ${role}`;
    const name = document.createElement("div");
    name.className = "by";
    name.textContent = by;
    const what = document.createElement("div");
    what.className = "what";
    what.textContent = text;
    turn.append(name, what);
    said.append(turn);
    said.scrollTop = said.scrollHeight;
    return turn;
  }

  function sources(turn, cited) {
    const list = document.createElement("details");
    const head = document.createElement("summary");
    head.textContent = play.dataset.sources ?? "";
    list.className = "small";
    list.append(head, ...cited.map((one) => {
      const line = document.createElement("p");
      line.textContent = `${one.document} · ${(play.dataset.page ?? "#").replace("#", one.page)} — ${one.text}`;
      return line;
    }));
    turn.append(list);
  }

  function keep() {
    const [who, page] = [document.body.dataset.who, location.pathname];
    const left = running ? past.at(-1) : null; // an answer that somebody walked away from
    const kept = past.filter((one) => one.text).map((one) => (one === left ? { ...one, why: "stopped" } : one));
    const text = JSON.stringify({ who, page, told, typed: prompt.value, past: kept });
    try {
      if ((past.length || prompt.value) && text.length <= CHARS_MAX) sessionStorage.setItem(PLACE, text);
      else sessionStorage.removeItem(PLACE);
    } catch {
      // A tab that may store nothing works as before.
    }
  }

  function found() {
    // What this person said on this page of this tab; kept.js forgets it for everybody else.
    let was = null;
    try {
      was = JSON.parse(sessionStorage.getItem(PLACE) || "null");
    } catch {
      return;
    }
    if (!was || was.page !== location.pathname || was.who !== document.body.dataset.who || !document.getElementById("hello")) return;
    ({ past, told } = was);
    prompt.value ||= was.typed;
    if (first && past.length) {
      for (const one of first.elements) one.value = told[one.name.replace("told_", "")] ?? one.value;
      first.disabled = true;
    }
    past.forEach((one, place) => {
      const turn = show(one.role === "user" ? "user" : "", one.by, one.text);
      if (one.role !== "user") settled(turn, one, past[place - 1]?.text);
    });
    latest();
  }

  function settled(turn, one, question) {
    // An answer that has come to its end, as it is read; what broke it off stands below it.
    turn.classList.remove("busy");
    const what = turn.querySelector(".what");
    what.classList.add("rich");
    what.replaceChildren(rich(one.text));
    if (one.sources) sources(turn, one.sources);
    if (one.why) {
      const why = document.createElement("p");
      why.className = one.why === "broke" || one.why === "lost" ? "mistake" : "hint";
      why.textContent = play.dataset[one.why];
      turn.append(why);
    }
    if (one.costs) look(turn, one.costs, one.why && one.why !== "cut" ? {} : { question, answer: one.text });
  }

  function look(turn, costs, said) {
    // Each answer leads to its own cost and rating, the earlier ones too.
    const open = document.createElement("button");
    open.type = "button";
    open.className = "link small";
    open.textContent = play.dataset.look;
    open.addEventListener("click", async () => {
      await cost(turn, costs, said);
      receipt.tabIndex = -1;
      receipt.focus();
    });
    turn.append(open);
    latest = () => cost(turn, costs, said);
  }

  async function cost(turn, costs, said) {
    asked = said;
    looked = costs;
    for (const one of document.querySelectorAll("#said .turn[aria-current]")) one.removeAttribute("aria-current");
    turn.setAttribute("aria-current", "true");
    await paid(costs);
  }

  function busy(on) {
    stop.hidden = !on;
    send.disabled = on;
    fresh.disabled = on;
    said.setAttribute("aria-busy", String(on)); // an answer is read aloud when it is there, and not word by word
  }

  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        for (const line of block.split(/\r?\n/)) {
          if (line.startsWith("data:") && line.slice(5).trim() !== "[DONE]") yield JSON.parse(line.slice(5));
        }
      }
    }
  }

  async function paid(path) {
    // A stopped answer is booked by the gateway after us; ask until it is there.
    for (let wait = 150; wait < 5000; wait *= 1.6) {
      const answer = await fetch(path, { headers: { "hx-request": "true", accept: "text/html" } });
      if (looked !== path) return; // another answer's was asked for meanwhile
      if (answer.ok) {
        receipt.innerHTML = await answer.text();
        return;
      }
      await new Promise((wake) => setTimeout(wake, wait));
    }
  }

  async function ask() {
    const text = prompt.value.trim();
    if (!text || running) return;
    if (first && !first.disabled) {
      if (![...first.elements].every((one) => one.reportValidity())) return;
      told = Object.fromEntries([...first.elements].filter((one) => one.value.trim()).map((one) => [one.name.replace("told_", ""), one.value]));
    }
    const model = document.getElementById("model").value;
    const chosen = (id) => document.getElementById(id)?.value.trim() ?? ""; // an agent's page has no such choices
    const system = chosen("system");
    const by = document.querySelector("#model option:checked")?.dataset.title || play.dataset.by || model;
    past.push({ role: "user", by: play.dataset.you, text });
    show("user", play.dataset.you, text);
    prompt.value = "";
    const turn = show("busy", by, "");
    const what = turn.querySelector(".what");
    const messages = past.map((one) => ({ role: one.role, content: one.text }));
    const one = { role: "assistant", by, text: "", costs: "" };
    past.push(one);
    running = new AbortController();
    busy(true);
    try {
      const answer = await fetch(play.dataset.chat, {
        method: "POST",
        signal: running.signal,
        headers: { "content-type": "application/json", accept: "text/event-stream", "x-csrf-token": play.dataset.csrf },
        body: JSON.stringify({
          model,
          messages: system ? [{ role: "system", content: system }, ...messages] : messages,
          max_tokens: Number(chosen("max")) || Number(play.dataset.tokens) || undefined,
          temperature: chosen("temperature") === "" ? undefined : Number(chosen("temperature")),
          inputs: told,
        }),
      });
      const [run, receipt] = ["run", "receipt"].map((what) => answer.headers.get(`x-shanhe-${what}`));
      one.costs = run ? `/playground/runs/${run}` : receipt ? `/receipts/${receipt}` : "";
      if (!answer.ok) {
        const problem = await answer.json().catch(() => null);
        throw Object.assign(new Error(), { said: problem?.error?.message, unpaid: answer.status === PAYMENT_REQUIRED });
      }
      for await (const event of events(answer.body)) {
        if (event.error) throw Object.assign(new Error(), { why: "broke" });
        const choice = event.choices?.[0];
        if (choice?.delta?.content) {
          const follow = said.scrollHeight - said.scrollTop - said.clientHeight < 40;
          what.textContent = one.text += choice.delta.content;
          if (follow) said.scrollTop = said.scrollHeight;
        }
        if (choice?.finish_reason === "length") one.why = "cut";
        if (event.shanhe?.citations?.length) one.sources = event.shanhe.citations;
      }
      if (first) first.disabled = true;
    } catch (error) {
      // What was delivered is paid for: it stays, with what became of the rest below it.
      one.why = error.name === "AbortError" ? "stopped" : error.why ?? (error.said === undefined ? "lost" : "failed");
      if (!one.text) past.splice(-2);
      if (!one.text && one.why !== "stopped") {
        turn.classList.add("failed");
        what.textContent = error.said || play.dataset[one.why === "broke" ? "failed" : one.why];
        if (error.unpaid && play.dataset.topup) {
          const link = document.createElement("a");
          link.href = play.dataset.topup;
          link.textContent = play.dataset.topupSays;
          what.append(" ", link);
        }
        prompt.value ||= text;
      }
    } finally {
      turn.classList.remove("busy");
      running = null;
      busy(false);
      prompt.focus();
    }
    if (one.text || one.why === "stopped") {
      settled(turn, one, text);
      if (one.costs) latest();
    } else if (one.costs) cost(turn, one.costs, {});
    keep();
  }

  play.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  prompt.addEventListener("keydown", (event) => {
    // Enter that ends the choice of a character sends nothing (Safari says so by the code only); on a screen to touch it
    // begins a line, as everywhere there.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== COMPOSING && !touch.matches) {
      event.preventDefault();
      ask();
    }
  });
  document.getElementById("thumb")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { target, submitter } = event;
    const fields = new URLSearchParams(new FormData(target, submitter));
    if (fields.has("share")) for (const [name, most] of [["question", 4000], ["answer", 30000]]) fields.set(name, Array.from(asked[name] ?? "").slice(0, most).join(""));
    submitter.disabled = true;
    try {
      const answer = await fetch(submitter.formAction, { method: "POST", body: fields, headers: { "hx-request": "true", accept: "text/html" } });
      const away = answer.headers.get("hx-redirect"); // the session is over
      if (away) location.assign(away);
      else receipt.innerHTML = await answer.text();
    } catch {
      const note = Object.assign(document.createElement("p"), { className: "note bad", textContent: document.body.dataset.unanswered });
      note.setAttribute("role", "alert");
      const rating = document.getElementById("rating");
      rating.querySelector(":scope > .note")?.remove();
      rating.prepend(note);
    } finally {
      submitter.disabled = false;
    }
  });
  stop.addEventListener("click", () => running?.abort());
  fresh.addEventListener("click", () => {
    past = [];
    told = {};
    looked = "";
    if (first) first.disabled = false;
    said.innerHTML = hello;
    receipt.innerHTML = hint;
    keep();
    prompt.focus();
  });
  addEventListener("pagehide", keep);
  found();
}
