// What was typed is not lost with a session that ended, a connection that broke or a mistake that a page reports: it waits in
// this tab alone until the form has arrived, and comes back into the same form for the same person.
const PLACE = "shanhe.typed";
const CHARS_MAX = 200000;
const NEVER = "input[type=password], input[type=hidden], input[type=file], [autocomplete=one-time-code]";
const NUMBERS = ["id", "client_ref", "ref", "order_id"];
const NUMBER = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const here = () => location.pathname + location.search;

const fields = (form) => [...form.elements].filter((one) => one.name && one.matches("input, textarea, select") && !one.matches(NEVER));
// A form's own number has it arrive once, however often it is sent: it comes back, too. What else is hidden says which form it is.
const hidden = (form) => [...form.elements].filter((one) => one.type === "hidden" && one.name && one.name !== "csrf");
const numbers = (form) => hidden(form).filter((one) => NUMBERS.includes(one.name) && NUMBER.test(one.value));
const marks = (form) => JSON.stringify(hidden(form).filter((one) => !numbers(form).includes(one)).map((one) => [one.name, one.value]));
const ticked = (one) => one.matches("[type=checkbox], [type=radio]");

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE) || "null");
  } catch {
    return null;
  }
}

function keep(typed) {
  const text = JSON.stringify(typed);
  try {
    if (text.length <= CHARS_MAX) sessionStorage.setItem(PLACE, text);
  } catch {
    // A tab that may store nothing works as before.
  }
}

const forget = () => { try { sessionStorage.removeItem(PLACE); } catch { /* nothing is there */ } };

// A conversation (playground.js) is for who had it: it goes with their session, but for one that ran out under their hands.
try {
  const talk = JSON.parse(sessionStorage.getItem("shanhe.talk") || "null");
  const { who } = document.body.dataset;
  if (talk && (who ? who !== talk.who : new URLSearchParams(location.search).get("done") !== "session_over")) sessionStorage.removeItem("shanhe.talk");
} catch {
  // Nothing is there.
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || !document.body.dataset.who) return;
  const values = fields(form).map((one) => [one.name, one.value, ticked(one) ? one.checked : null]);
  if (!fields(form).some((one) => !ticked(one) && one.value)) return;
  keep({
    page: here(), form: form.getAttribute("action") || "", who: document.body.dataset.who, values, over: false,
    marks: marks(form), numbers: numbers(form).map((one) => [one.name, one.value]),
  });
});

// Only what the page left as it was when it was made: what the server put back itself, or somebody typed since, stands.
function fill(form, values) {
  const left = [...values];
  let filled = 0;
  for (const one of fields(form)) {
    const at = left.findIndex(([name, value, on]) => name === one.name && (on === null ? !ticked(one) : ticked(one) && value === one.value));
    if (at < 0) continue;
    const [[, value, on]] = left.splice(at, 1);
    if (on !== null) {
      if (one.checked === on) continue;
      one.checked = on;
    } else {
      const made = one.matches("select") ? [...one.options].findIndex((choice) => choice.defaultSelected) : one.defaultValue;
      const same = one.matches("select") ? one.selectedIndex === Math.max(made, 0) : one.value === made;
      const answered = document.querySelector("main .note[data-mistake]") && !one.matches("select") && made;
      if (one.value === value || !same || answered) continue;
      one.value = value;
    }
    one.dispatchEvent(new Event("input", { bubbles: true }));
    one.dispatchEvent(new Event("change", { bubbles: true }));
    filled += 1;
  }
  return filled;
}

function told(form) {
  const note = document.createElement("p");
  note.className = "hint";
  note.setAttribute("role", "status");
  form.prepend(note);
  note.textContent = document.body.dataset.restored;
}

function same(was) {
  const all = [...document.forms].filter((one) => one.method === "post" && (one.getAttribute("action") || "") === was.form);
  const alike = all.filter((one) => marks(one) === was.marks);
  if (all.length === 1) return alike[0];
  return alike.find((one) => JSON.stringify(numbers(one).map((each) => [each.name, each.value])) === JSON.stringify(was.numbers));
}

const typed = remembered();
if (typed) {
  const who = document.body.dataset.who;
  const [entry] = performance.getEntriesByType("navigation");
  const back = entry && ["back_forward", "reload"].includes(entry.type);
  const mistake = document.querySelector("main .note[data-mistake]");
  if (!who) {
    if (typed.over || new URLSearchParams(location.search).get("done") === "session_over") keep({ ...typed, over: true });
    else forget();
  } else if (who !== typed.who) {
    forget();
  } else if (document.querySelector("main [data-failed]")) {
    keep({ ...typed, failed: true }); // the page of an error: whoever goes back, by whichever way, finds what they wrote
  } else {
    if (!("posted" in document.body.dataset)) forget(); // the page that answers a form may be reloaded
    const form = same(typed);
    const wanted = mistake || (here().split("?")[0] === typed.page.split("?")[0] && (typed.over || typed.failed || back));
    if (form && wanted && fill(form, typed.values) && !mistake) {
      for (const one of numbers(form)) one.value = (typed.numbers.find(([name]) => name === one.name) || [])[1] || one.value;
      told(form);
      for (let around = form.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
      form.scrollIntoView({ block: "center" });
    }
  }
}
