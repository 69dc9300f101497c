// The flow editors: a form's groups become nodes on a canvas, joined by lines that are drawn with the mouse or by keys.
// The form is what counts and is sent as it always was. In the studio a group that is on the line from the data is used;
// in a workflow a line is what a select says, a place is a hidden field, and there has to be room for a canvas.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 16;
const GAP = 28;
const FEW = 3; // so many nodes of a workflow stand open
const ROOM = matchMedia("(min-width: 900px)");
const studio = document.getElementById("flow");
const steps = document.getElementById("steps");
if (studio) pipeline(studio);
if (steps && ROOM.matches) workflow(steps);
if (steps) variables(steps);

// -- what both are drawn with ----------------------------------------------------------------------------------------

function canvas(flow) {
  const stage = flow.querySelector(".flow-stage");
  const said = flow.querySelector("[role=status]");
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("class", "flow-lines");
  lines.setAttribute("aria-hidden", "true");
  stage.prepend(lines);
  flow.classList.add("live");
  for (const tool of stage.querySelectorAll(".port, .grip, .away")) tool.hidden = false;
  return { stage, said, lines };
}

function middle(stage, port) {
  const box = port.getBoundingClientRect();
  const ground = stage.getBoundingClientRect();
  return [box.left + box.width / 2 - ground.left, box.top + box.height / 2 - ground.top];
}

function bend([x, y], [toX, toY]) {
  const by = Math.max(32, Math.abs(toX - x) / 2);
  return `M${x} ${y} C${x + by} ${y} ${toX - by} ${toY} ${toX} ${toY}`;
}

function line(from, to) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", bend(from, to));
  return path;
}

function arrow(event) { // how far a grip is moved by a key
  const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (by) event.preventDefault();
  return by;
}

// A grip that is dragged moves its node, an outgoing port draws a line to the node it is let go over.
function drag({ stage, lines }, which, { move, join }) {
  stage.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".grip, .port.out");
    if (!handle || event.button !== 0) return;
    const node = handle.closest(which);
    const joining = handle.classList.contains("out");
    const from = [event.clientX, event.clientY];
    const at = [node.offsetLeft, node.offsetTop];
    const loose = joining ? line(middle(stage, handle), middle(stage, handle)) : null;
    if (joining) lines.append(loose);
    const moved = (now) => {
      if (!joining) return move(node, at[0] + now.clientX - from[0], at[1] + now.clientY - from[1]);
      const ground = stage.getBoundingClientRect();
      loose.setAttribute("d", bend(middle(stage, handle), [now.clientX - ground.left, now.clientY - ground.top]));
      return null;
    };
    const done = (now) => {
      document.removeEventListener("pointermove", moved);
      document.removeEventListener("pointerup", done);
      if (!joining) return;
      loose.remove();
      const under = document.elementFromPoint(now.clientX, now.clientY)?.closest(which);
      if (under && under !== node) join(handle, node, under);
    };
    document.addEventListener("pointermove", moved);
    document.addEventListener("pointerup", done);
    if (!joining) event.preventDefault();
  });
}

// -- the studio: a pipeline in a fixed order --------------------------------------------------------------------------

function pipeline(flow) {
  const ground = canvas(flow);
  const { stage, said, lines } = ground;
  const words = stage.dataset;
  const nodes = new Map([...stage.querySelectorAll("[data-kind]")].map((node) => [node.dataset.kind, node]));
  const order = [...nodes.keys()];
  const next = new Map(); // kind → the kind that its line leads to
  let pending = null;

  flow.querySelector(".flow-palette").hidden = false;

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
    return middle(stage, nodes.get(kind).querySelector(`.port${side}`));
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
    const [node, by] = [nodes.get(kind), arrow(event)];
    if (by) {
      move(kind, node.offsetLeft + by[0], node.offsetTop + by[1]);
      draw();
    } else if (event.key === "Delete" && kind !== order[0]) away(kind);
  });

  drag(ground, "[data-kind]", {
    move: (node, x, y) => { move(node.dataset.kind, x, y); draw(); },
    join: (handle, node, under) => join(node.dataset.kind, under.dataset.kind),
  });

  flow.addEventListener("toggle", draw, true); // a node that opens is higher
  // What was refused is shown again as it was built.
  chain("again" in words ? order.filter((kind) => nodes.get(kind).querySelector("[data-use]")?.checked ?? true) : [order[0]]);
  addEventListener("resize", () => { for (const kind of order.filter(there)) place(kind); draw(); });
}

// -- a workflow: any lines without circles ----------------------------------------------------------------------------

function workflow(flow) {
  const ground = canvas(flow);
  const { stage, said, lines } = ground;
  const nodes = new Map([...stage.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  let pending = null; // the select that waits for its node

  if (nodes.size > FEW) for (const more of stage.querySelectorAll("details:not([data-wrong])")) more.open = false;

  const field = (node, axis) => node.querySelector(`[data-${axis}]`);

  function place(node, x, y) {
    const left = Math.round(Math.max(0, Math.min(x, stage.clientWidth - node.offsetWidth)));
    const top = Math.round(Math.max(0, y));
    node.style.left = `${left}px`;
    node.style.top = `${top}px`;
    field(node, "x").value = left;
    field(node, "y").value = top;
  }

  function apart() { // as they were left, unless one lies on another
    const seen = [];
    for (const node of nodes.values()) {
      place(node, Number(field(node, "x").value), Number(field(node, "y").value));
      const over = seen.some((other) => Math.abs(other.offsetLeft - node.offsetLeft) < node.offsetWidth
        && node.offsetTop < other.offsetTop + other.offsetHeight && other.offsetTop < node.offsetTop + node.offsetHeight);
      if (over) return tidy();
      seen.push(node);
    }
    return null;
  }

  function tidy() { // in rows, each node below all that lead to it; what nothing leads to comes last
    const depth = new Map([[document.getElementById("start").value, 0]]);
    for (let pass = 0; pass < nodes.size; pass += 1) {
      for (const [name, node] of nodes) {
        if (!depth.has(name)) continue;
        for (const { value } of node.querySelectorAll("[data-edge]")) {
          if (nodes.has(value)) depth.set(value, Math.min(nodes.size, Math.max(depth.get(value) ?? 0, depth.get(name) + 1)));
        }
      }
    }
    let [top, left, high, row] = [0, 0, 0, 0];
    const at = (name) => depth.get(name) ?? nodes.size + 1;
    for (const [name, node] of [...nodes].sort(([one], [other]) => at(one) - at(other))) {
      if (left && (at(name) !== row || left + node.offsetWidth > stage.clientWidth)) [top, left, high] = [top + high + GAP, 0, 0];
      row = at(name);
      place(node, left, top);
      [left, high] = [left + node.offsetWidth + GAP, Math.max(high, node.offsetHeight)];
    }
  }

  function draw() {
    lines.replaceChildren();
    let low = 0;
    for (const port of stage.querySelectorAll(".port")) port.classList.remove("joined");
    for (const node of nodes.values()) {
      low = Math.max(low, node.offsetTop + node.offsetHeight);
      for (const select of node.querySelectorAll("[data-edge]")) {
        const to = nodes.get(select.value);
        if (!to) continue;
        const [from, into] = [select.parentElement.querySelector(".port.out"), to.querySelector(".port.in")];
        from.classList.add("joined");
        into.classList.add("joined");
        lines.append(line(middle(stage, from), middle(stage, into)));
      }
    }
    stage.style.height = `${low + GAP}px`;
  }

  function join(select, name) {
    pending = null;
    if (![...select.options].some((option) => option.value === name)) return;
    select.value = name;
    said.textContent = stage.dataset.sayJoined;
    draw();
  }

  const order = flow.querySelector("[data-tidy]");
  order.hidden = false;
  order.addEventListener("click", () => { tidy(); draw(); });

  flow.addEventListener("click", (event) => {
    const port = event.target.closest(".port");
    if (!port) return;
    if (port.classList.contains("out")) {
      pending = port.parentElement.querySelector("[data-edge]");
      said.textContent = stage.dataset.sayChoose;
    } else if (pending) join(pending, port.closest("[data-node]").dataset.node);
  });

  flow.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pending = null;
    const node = event.target.closest(".grip")?.closest("[data-node]");
    const by = node && arrow(event);
    if (!by) return;
    place(node, node.offsetLeft + by[0], node.offsetTop + by[1]);
    draw();
  });

  drag(ground, "[data-node]", {
    move: (node, x, y) => { place(node, x, y); draw(); },
    join: (handle, node, under) => join(handle.parentElement.querySelector("[data-edge]"), under.dataset.node),
  });

  flow.addEventListener("change", draw);
  flow.addEventListener("toggle", draw, true);
  addEventListener("resize", draw);
  apart();
  draw();
}

// -- a workflow's variables: those known at a node, to be put in, and those that are typed and not known ----------------

function variables(form) {
  const { sayUnknown, sayPut } = form.querySelector(".flow-stage").dataset;
  const saved = new Set([...form.querySelectorAll("[data-writes]")].map((field) => field.value));
  const last = new WeakMap(); // node → the field that was written in last

  for (const name of form.querySelectorAll("[data-known] [data-name]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link mono small";
    button.dataset.name = button.textContent = name.dataset.name;
    button.setAttribute("aria-label", sayPut.replace("{0}", name.dataset.name));
    name.replaceWith(button);
  }

  const places = (field) => [...field.value.matchAll(/\{\{\s*([a-z][a-z0-9_]*)/g)].map((found) => found[1]);

  function check(field) {
    const node = field.closest("[data-node]");
    const said = field.parentElement.querySelector("[data-unknown]");
    const known = node.querySelector("[data-known]");
    if (field.dataset.takes !== "places" || !known) return;
    const names = new Set([...known.querySelectorAll("[data-name]")].map((one) => one.dataset.name.split(".")[0]));
    for (const { value } of form.querySelectorAll("[data-writes]")) if (!saved.has(value)) names.add(value); // not saved yet
    const strange = [...new Set(places(field))].filter((name) => !names.has(name));
    said.hidden = !strange.length;
    said.textContent = strange.length ? sayUnknown.replace("{0}", strange.join(", ")) : "";
  }

  function put(button) {
    const node = button.closest("[data-node]");
    const field = last.get(node) ?? node.querySelector("[data-takes]");
    const name = button.dataset.name;
    const plain = field.dataset.takes === "names";
    const [text, from, to] = [plain ? name.split(".")[0] : `{{${name}}}`, field.selectionStart, field.selectionEnd];
    const gap = plain && from && field.value[from - 1] !== " " ? " " : "";
    field.setRangeText(gap + text, from, to, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  form.addEventListener("focusin", ({ target }) => { if (target.dataset.takes) last.set(target.closest("[data-node]"), target); });
  form.addEventListener("input", ({ target }) => { if (target.dataset.takes) check(target); });
  form.addEventListener("click", ({ target }) => { if (target.closest("[data-known]") && target.dataset.name) put(target); });
  for (const field of form.querySelectorAll("[data-takes]")) check(field);
}
