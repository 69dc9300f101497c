// The flow editor: the form's groups become nodes on a canvas, joined by lines that are drawn with the mouse or by keys.
// The form is what counts: a group that is on the line from the data is used, and the form is sent as it always was.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 16;
const GAP = 28;
const form = document.getElementById("flow");
if (form) start(form);

function start(flow) {
  const stage = flow.querySelector(".flow-stage");
  const said = flow.querySelector("[role=status]");
  const words = stage.dataset;
  const nodes = new Map([...stage.querySelectorAll("[data-kind]")].map((node) => [node.dataset.kind, node]));
  const order = [...nodes.keys()];
  const next = new Map(); // kind → the kind that its line leads to
  const lines = document.createElementNS(SVG, "svg");
  let pending = null;

  lines.setAttribute("class", "flow-lines");
  lines.setAttribute("aria-hidden", "true");
  stage.prepend(lines);
  flow.classList.add("live");
  flow.querySelector(".flow-palette").hidden = false;
  for (const node of nodes.values()) for (const tool of node.querySelectorAll(".port, .grip, .away")) tool.hidden = false;

  const title = (kind) => nodes.get(kind).dataset.title;
  const there = (kind) => !nodes.get(kind).hidden;
  const say = (text, ...names) => { said.textContent = names.reduce((line, name, at) => line.replace(`{${at}}`, name), text); };

  function used() {
    const found = [];
    for (let kind = order[0]; kind; kind = next.get(kind)) found.push(kind);
    return found;
  }

  function fits(from, to) {
    return order.indexOf(from) < order.indexOf(to) && (from !== order[0] || to === "tune");
  }

  function draw() {
    const path = used();
    lines.replaceChildren();
    let low = 0;
    for (const [kind, node] of nodes) {
      const on = path.includes(kind);
      const box = node.querySelector("[data-use]");
      if (box) box.checked = on;
      node.classList.toggle("on", on);
      if (there(kind)) low = Math.max(low, node.offsetTop + node.offsetHeight);
      flow.querySelector(`[data-add=${kind}]`)?.toggleAttribute("disabled", there(kind));
      node.querySelector(".port.in")?.classList.toggle("joined", [...next.values()].includes(kind));
      node.querySelector(".port.out")?.classList.toggle("joined", next.has(kind));
    }
    stage.style.height = `${low + GAP}px`;
    for (const [from, to] of next) lines.append(line(spot(from, ".out"), spot(to, ".in")));
    const whole = ["tune", "evaluate"].every((kind) => path.includes(kind));
    const pruned = !path.includes("prune") || path.includes("quantize");
    flow.querySelector("[data-run]").disabled = !whole || !pruned;
    return !whole ? words.sayMissing : !pruned ? words.sayPruned : words.sayReady;
  }

  function spot(kind, side) {
    const port = nodes.get(kind).querySelector(`.port${side}`).getBoundingClientRect();
    const ground = stage.getBoundingClientRect();
    return [port.left + port.width / 2 - ground.left, port.top + port.height / 2 - ground.top];
  }

  function line([x, y], [toX, toY]) {
    const path = document.createElementNS(SVG, "path");
    const bend = Math.max(32, Math.abs(toX - x) / 2);
    path.setAttribute("d", `M${x} ${y} C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`);
    return path;
  }

  function join(from, to) {
    pending = null;
    if (!fits(from, to)) return say(words.sayOrder, title(from), title(to));
    for (const [kind, other] of next) if (other === to) next.delete(kind);
    next.set(from, to);
    say(`${words.sayJoined} ${draw()}`, title(from), title(to));
  }

  function part(kind) {
    for (const [from, to] of next) if (from === kind || to === kind) next.delete(from);
  }

  function place(kind) {
    const at = order.filter(there).indexOf(kind);
    const wide = nodes.get(kind).offsetWidth + GAP;
    const columns = Math.max(1, Math.floor((stage.clientWidth + GAP) / wide));
    const above = order.filter(there).slice(0, at).filter((_, n) => n % columns === at % columns);
    move(kind, (at % columns) * wide, above.reduce((sum, other) => sum + nodes.get(other).offsetHeight + GAP, 0));
  }

  function move(kind, x, y) {
    const node = nodes.get(kind);
    node.style.left = `${Math.max(0, Math.min(x, stage.clientWidth - node.offsetWidth))}px`;
    node.style.top = `${Math.max(0, y)}px`;
  }

  function add(kind) {
    nodes.get(kind).hidden = false;
    for (const other of order.filter(there)) place(other);
    say(`${words.sayAdded} ${draw()}`, title(kind));
    nodes.get(kind).querySelector(".grip").focus();
  }

  function chain(kinds) {
    next.clear();
    for (const one of order) nodes.get(one).hidden = !kinds.includes(one);
    for (const one of kinds) place(one);
    kinds.slice(1).forEach((one, at) => next.set(kinds[at], one));
    say(draw());
  }

  function away(kind) {
    part(kind);
    nodes.get(kind).hidden = true;
    say(`${words.sayAway} ${draw()}`, title(kind));
  }

  flow.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const kind = button.closest("[data-kind]")?.dataset.kind;
    if (button.dataset.add) add(button.dataset.add);
    else if ("usual" in button.dataset) chain(order);
    else if (button.classList.contains("away")) away(kind);
    else if (button.classList.contains("out")) {
      pending = kind;
      say(words.sayChoose, title(kind));
    } else if (button.classList.contains("in")) {
      if (pending) return join(pending, kind);
      for (const [from, to] of next) if (to === kind) next.delete(from);
      say(`${words.sayParted} ${draw()}`, title(kind));
    }
  });

  flow.addEventListener("keydown", (event) => {
    const grip = event.target.closest(".grip");
    if (event.key === "Escape") pending = null;
    if (!grip) return;
    const kind = grip.closest("[data-kind]").dataset.kind;
    const node = nodes.get(kind);
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (by) {
      event.preventDefault();
      move(kind, node.offsetLeft + by[0], node.offsetTop + by[1]);
      draw();
    } else if (event.key === "Delete" && kind !== order[0]) away(kind);
  });

  stage.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".grip, .port.out");
    if (!handle || event.button !== 0) return;
    const kind = handle.closest("[data-kind]").dataset.kind;
    const joining = handle.classList.contains("out");
    const node = nodes.get(kind);
    const from = [event.clientX, event.clientY];
    const at = [node.offsetLeft, node.offsetTop];
    const loose = joining ? line(spot(kind, ".out"), spot(kind, ".out")) : null;
    if (joining) lines.append(loose);
    const moved = (now) => {
      if (!joining) {
        move(kind, at[0] + now.clientX - from[0], at[1] + now.clientY - from[1]);
        return draw();
      }
      const ground = stage.getBoundingClientRect();
      const end = [now.clientX - ground.left, now.clientY - ground.top];
      loose.setAttribute("d", line(spot(kind, ".out"), end).getAttribute("d"));
      return null;
    };
    const done = (now) => {
      document.removeEventListener("pointermove", moved);
      document.removeEventListener("pointerup", done);
      if (!joining) return;
      loose.remove();
      const under = document.elementFromPoint(now.clientX, now.clientY)?.closest("[data-kind]");
      if (under && under !== node) join(kind, under.dataset.kind);
    };
    document.addEventListener("pointermove", moved);
    document.addEventListener("pointerup", done);
    if (!joining) event.preventDefault();
  });

  flow.addEventListener("toggle", draw, true); // a node that opens is higher
  // What was refused is shown again as it was built.
  chain("again" in words ? order.filter((kind) => nodes.get(kind).querySelector("[data-use]")?.checked ?? true) : [order[0]]);
  addEventListener("resize", () => { for (const kind of order.filter(there)) place(kind); draw(); });
}
