// Puts the parts together: settings -> look, connection -> lines and state, buttons and keys -> what they do.

import { Connection } from "./connection.js";
import { Lines } from "./lines.js";
import { Settings } from "./settings.js";

const NOTICE_MS = 8000;       // a notice stays at least so long, and until the next caption
const QUIET_MS = 500;         // between the lines of before and what a screen reader reads
const STATES = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection lost, trying again",
  ended: "Ended, waiting for the next session",
  refused: "This address no longer holds: open the one that asr live printed",
};
const KEYS = { "+": "larger", "=": "larger", "-": "smaller", n: "newest", t: "times", u: "unsure", d: "theme", p: "position", k: "copy",
               s: "save", c: "controls", "?": "help" };
const SCROLLING = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home"];      // they move what has the focus

const settings = new Settings();
const lines = new Lines(settings);
const connection = new Connection(settings);
const byId = (id) => document.getElementById(id);

const actions = {
  larger: () => settings.set("size", settings.size + 4),
  smaller: () => settings.set("size", settings.size - 4),
  times: () => settings.next("times"),
  unsure: () => settings.next("unsure"),
  theme: () => settings.next("theme"),
  position: () => settings.next("position"),
  controls: () => settings.next("controls"),
  newest: () => { lines.toNewest(); byId("captions").focus({ preventScroll: true }); },
  copy: () => copy(lines.text(), "The text is copied."),
  "copy-source": () => copy(settings.address(), "The address is copied."),
  save: () => byId("save").showModal(),
  settings: () => byId("settings").showModal(),
  help: () => byId("help").showModal(),
};

// The look.
function apply() {
  const { theme, size, width, lines: count, position, box } = settings;
  Object.assign(document.documentElement.dataset, { theme, position, lines: count ? "some" : "all", times: settings.times,
                                                    unsure: settings.unsure, controls: settings.controls });
  for (const [name, value] of Object.entries({ size: `${size}pt`, width: `${width}%`, lines: count, box: `${box}%` })) {
    document.documentElement.style.setProperty(`--${name}`, value);
  }
  for (const field of byId("settings").querySelectorAll("[name]")) {
    if (field.type === "checkbox") field.checked = settings[field.name];
    else field.value = settings[field.name];
  }
  byId("bar").querySelector("[data-do=times]").setAttribute("aria-pressed", settings.times);
  byId("source").value = settings.address();
}

// The state and what goes with it.
function tellState() {
  byId("state").dataset.state = connection.state;
  byId("state").textContent = STATES[connection.state];
  const gone = connection.state !== "live";
  byId("gone").hidden = !gone;
  for (const link of document.querySelectorAll("a.file")) link.hidden = gone;
}

let noticed = 0;
function notice(text) {
  noticed = Date.now();
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

function captioned() {
  if (Date.now() - noticed > NOTICE_MS) byId("notice").hidden = true;
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {                   // an address that is not this machine's is no secure context: the old way
    const area = Object.assign(document.createElement("textarea"), { value: text });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  document.querySelector("dialog[open]")?.close();
  notice(done);
  setTimeout(captioned, NOTICE_MS + 1);
}

let started = 0, before = 0;  // of the session in ms; the newest final when the page was opened
connection.addEventListener("hello", ({ detail }) => {
  started = Date.parse(detail.started);
  if (detail.other) lines.divide();
  if (detail.first) before = detail.last;
  if (detail.first && !before) lines.announce();
  lines.show({ words: [] });
});
connection.addEventListener("finals", ({ detail: { finals } }) => {
  lines.add(finals, started);
  captioned();
  if (before && finals.at(-1).number >= before) {
    before = 0;
    setTimeout(() => lines.announce(), QUIET_MS);
  }
});
connection.addEventListener("partial", ({ detail }) => { lines.show(detail, started); captioned(); });
connection.addEventListener("remark", ({ detail }) => notice(detail.text));
connection.addEventListener("state", tellState);

document.addEventListener("click", (event) => actions[event.target.closest("[data-do]")?.dataset.do]?.());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.key === "End") return void actions.newest();
  if (SCROLLING.includes(event.key) && document.activeElement === document.body) byId("captions").focus({ preventScroll: true });
  const action = actions[KEYS[event.key.toLowerCase()]];
  if (!action || !settings.keys) return;
  event.preventDefault();
  action();
});
byId("settings").addEventListener("change", ({ target }) => {
  if (target.name) settings.set(target.name, target.type === "checkbox" ? target.checked : target.value);
});
settings.addEventListener("change", apply);

for (const link of document.querySelectorAll("a.file")) link.href = `captions.${link.dataset.form}${settings.query()}`;
apply();
connection.open();
