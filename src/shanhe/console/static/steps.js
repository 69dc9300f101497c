// The workflow editor: the form's groups become nodes on a canvas where there is room for one. The form is what counts:
// a line is what a select says, a place is a hidden field, and everything is kept by the form's own buttons.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 16;
const GAP = 32;
const FEW = 3; // so many nodes stand open
const ROOM = matchMedia("(min-width: 900px)");
const form = document.getElementById("steps");
if (form && ROOM.matches) start(form);

function start(flow) {
  const stage = flow.querySelector(".flow-stage");
  const said = flow.querySelector("[role=status]");
  const nodes = new Map([...stage.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  const lines = document.createElementNS(SVG, "svg");
  let pending = null; // the select that waits for its node

  lines.setAttribute("class", "flow-lines");
  lines.setAttribute("aria-hidden", "true");
  stage.prepend(lines);
  flow.classList.add("live");
  for (const tool of stage.querySelectorAll(".port, .grip")) tool.hidden = false;
  if (nodes.size > FEW) for (const more of stage.querySelectorAll("details")) more.open = false;

  const field = (node, axis) => node.querySelector(`[data-${axis}]`);

  function place(node, x, y) {
    const left = Math.round(Math.max(0, Math.min(x, stage.clientWidth - node.offsetWidth)));
    const top = Math.round(Math.max(0, y));
    node.style.left = `${left}px`;
    node.style.top = `${top}px`;
    field(node, "x").value = left;
    field(node, "y").value = top;
  }

  function apart() { // nobody lies on another when the page opens
    const seen = [];
    for (const node of nodes.values()) {
      place(node, Number(field(node, "x").value), Number(field(node, "y").value));
      const over = () => seen.find((other) => Math.abs(other.offsetLeft - node.offsetLeft) < node.offsetWidth
        && node.offsetTop < other.offsetTop + other.offsetHeight && other.offsetTop < node.offsetTop + node.offsetHeight);
      for (let found = over(), tries = 0; found && tries < nodes.size; found = over(), tries += 1) {
        place(node, node.offsetLeft, found.offsetTop + found.offsetHeight + GAP);
      }
      seen.push(node);
    }
  }

  function middle(port) {
    const box = port.getBoundingClientRect();
    const ground = stage.getBoundingClientRect();
    return [box.left + box.width / 2 - ground.left, box.top + box.height / 2 - ground.top];
  }

  function line([x, y], [toX, toY]) {
    const path = document.createElementNS(SVG, "path");
    const bend = Math.max(32, Math.abs(toX - x) / 2);
    path.setAttribute("d", `M${x} ${y} C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`);
    return path;
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
        lines.append(line(middle(from), middle(into)));
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
    const grip = event.target.closest(".grip");
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (!grip || !by) return;
    event.preventDefault();
    const node = grip.closest("[data-node]");
    place(node, node.offsetLeft + by[0], node.offsetTop + by[1]);
    draw();
  });

  stage.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".grip, .port.out");
    if (!handle || event.button !== 0) return;
    const node = handle.closest("[data-node]");
    const joining = handle.classList.contains("out");
    const from = [event.clientX, event.clientY];
    const at = [node.offsetLeft, node.offsetTop];
    const loose = joining ? line(middle(handle), middle(handle)) : null;
    if (joining) lines.append(loose);
    const moved = (now) => {
      if (!joining) {
        place(node, at[0] + now.clientX - from[0], at[1] + now.clientY - from[1]);
        return draw();
      }
      const ground = stage.getBoundingClientRect();
      loose.setAttribute("d", line(middle(handle), [now.clientX - ground.left, now.clientY - ground.top]).getAttribute("d"));
      return null;
    };
    const done = (now) => {
      document.removeEventListener("pointermove", moved);
      document.removeEventListener("pointerup", done);
      if (!joining) return;
      loose.remove();
      const under = document.elementFromPoint(now.clientX, now.clientY)?.closest("[data-node]");
      if (under && under !== node) join(handle.parentElement.querySelector("[data-edge]"), under.dataset.node);
    };
    document.addEventListener("pointermove", moved);
    document.addEventListener("pointerup", done);
    if (!joining) event.preventDefault();
  });

  flow.addEventListener("change", draw);
  flow.addEventListener("toggle", draw, true);
  addEventListener("resize", draw);
  apart();
  draw();
}
