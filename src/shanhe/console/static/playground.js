// The chat stream: posts to our own route, shows the answer as it comes, then the receipt of what it cost.

const PAYMENT_REQUIRED = 402;
const COMPOSING = 229;
const touch = matchMedia("(hover: none) and (pointer: coarse)");
const form = document.getElementById("play");
if (form) start(form);

function start(play) {
  const [said, prompt, stop, fresh, send, receipt] = ["said", "prompt", "stop", "fresh", "send", "receipt"].map((id) => document.getElementById(id));
  const hint = receipt.innerHTML;
  const hello = said.innerHTML;
  let turns = [];
  let running = null;
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
    turns.push({ role: "user", content: text });
    show("user", play.dataset.you, text);
    prompt.value = "";
    const turn = show("busy", model, "");
    const what = turn.querySelector(".what");
    running = new AbortController();
    busy(true);
    let costs = "";
    let pair = {};
    try {
      const answer = await fetch(play.dataset.chat, {
        method: "POST",
        signal: running.signal,
        headers: { "content-type": "application/json", accept: "text/event-stream", "x-csrf-token": play.dataset.csrf },
        body: JSON.stringify({
          model,
          messages: system ? [{ role: "system", content: system }, ...turns] : turns,
          max_tokens: Number(chosen("max")) || Number(play.dataset.tokens) || undefined,
          temperature: chosen("temperature") === "" ? undefined : Number(chosen("temperature")),
          inputs: told,
        }),
      });
      const [run, one] = ["run", "receipt"].map((what) => answer.headers.get(`x-shanhe-${what}`));
      costs = run ? `/playground/runs/${run}` : one ? `/receipts/${one}` : "";
      if (!answer.ok) {
        const problem = await answer.json().catch(() => null);
        throw Object.assign(new Error(problem?.error?.message || play.dataset.failed), { unpaid: answer.status === PAYMENT_REQUIRED });
      }
      for await (const event of events(answer.body)) {
        if (event.error) throw new Error(event.error.message || play.dataset.failed);
        const delta = event.choices?.[0]?.delta;
        if (delta?.content) {
          const follow = said.scrollHeight - said.scrollTop - said.clientHeight < 40;
          what.textContent += delta.content;
          if (follow) said.scrollTop = said.scrollHeight;
        }
        if (event.shanhe?.citations?.length) sources(turn, event.shanhe.citations);
      }
      turns.push({ role: "assistant", content: what.textContent });
      pair = { question: text, answer: what.textContent };
      if (first) first.disabled = true;
    } catch (error) {
      if (error.name === "AbortError") {
        turns.push({ role: "assistant", content: what.textContent });
        what.textContent += ` ${play.dataset.stopped}`;
      } else {
        turns.pop();
        turn.classList.add("failed");
        what.textContent = error.message || play.dataset.failed;
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
    if (!costs) return;
    if (!turn.classList.contains("failed")) look(turn, costs, pair);
    cost(turn, costs, pair);
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
      receipt.innerHTML = await answer.text();
    } finally {
      submitter.disabled = false;
    }
  });
  stop.addEventListener("click", () => running?.abort());
  fresh.addEventListener("click", () => {
    turns = [];
    looked = "";
    if (first) first.disabled = false;
    said.innerHTML = hello;
    receipt.innerHTML = hint;
    prompt.focus();
  });
}
