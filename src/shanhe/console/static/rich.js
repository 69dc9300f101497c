// A model's answer as people read it: headings, lists, code and what is stressed. Everything else stays the text it is, and
// nothing of it is ever markup.

const FENCE = /^\s*```/;
const HEAD = /^#{1,6}\s+(.*)$/;
const ITEM = /^(\s*)([-*+•]|\d+[.)、])\s+(.*)$/;
const STRESSED = /(\*\*[^*]+\*\*|`[^`]+`)/;

function made(name, className = "") {
  const one = document.createElement(name);
  if (className) one.className = className;
  return one;
}

function inline(place, text) {
  for (const part of text.split(STRESSED)) {
    const name = part.length > 4 && part.startsWith("**") && part.endsWith("**") ? "strong" : part.length > 2 && part.startsWith("`") && part.endsWith("`") ? "code" : "";
    if (!name) {
      place.append(part);
      continue;
    }
    const one = made(name);
    one.textContent = part.slice(name === "strong" ? 2 : 1, name === "strong" ? -2 : -1);
    place.append(one);
  }
  return place;
}

export function rich(text) {
  const all = document.createDocumentFragment();
  let code = null;
  let said = null; // the paragraph that the next line goes on with
  for (const line of text.split("\n")) {
    if (FENCE.test(line)) {
      code = code ? null : made("pre", "code");
      if (code) all.append(code);
      said = null;
    } else if (code) {
      code.append(`${line}\n`);
    } else if (!line.trim()) {
      said = null;
    } else if (HEAD.test(line)) {
      const head = made("strong");
      head.append(inline(document.createDocumentFragment(), line.match(HEAD)[1].replaceAll("**", "")));
      all.append(made("p"));
      all.lastChild.append(head);
      said = null;
    } else if (ITEM.test(line)) {
      const [, before, mark, rest] = line.match(ITEM);
      const item = made("p", before ? "item in" : "item");
      const sign = made("span", "quiet");
      sign.textContent = /\d/.test(mark) ? mark : "•";
      item.append(sign, inline(made("span"), rest));
      all.append(item);
      said = item.lastChild;
    } else if (said) {
      said.append(made("br"));
      inline(said, line.trim());
    } else {
      said = inline(made("p"), line);
      all.append(said);
    }
  }
  return all;
}
