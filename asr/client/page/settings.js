// What a viewer chooses: kept in the browser, overridden by the address (?theme=transparent&size=48&lines=3&controls=0).

const TABLE = {
  theme: { choices: ["auto", "dark", "light", "yellow", "transparent"] },
  size: { from: 16, to: 72, initial: window.innerWidth < 600 ? 20 : 32 },      // pt
  width: { from: 30, to: 100, initial: 100 },                                  // % of the window
  lines: { from: 0, to: 20, initial: 0 },                                      // 0: all that fit
  position: { choices: ["bottom", "top"] },
  box: { from: 0, to: 100, initial: 70 },                                      // % of black behind transparent lines
  times: { yes: false },
  unsure: { yes: true },
  controls: { yes: true },
  keys: { yes: true },
};
const STORE = "asr-captions";

export class Settings extends EventTarget {
  constructor() {
    super();
    this.token = new URLSearchParams(location.search).get("token");
    const kept = this.#kept();
    const given = Object.fromEntries(new URLSearchParams(location.search));
    for (const name in TABLE) {
      this[name] = valid(name, given[name]) ?? valid(name, kept[name]) ?? initial(name);
    }
  }

  // Take a value, which may be text; what is not valid changes nothing.
  set(name, value) {
    this[name] = valid(name, value) ?? this[name];
    try {
      localStorage.setItem(STORE, JSON.stringify({ ...this.#kept(), [name]: this[name] }));
    } catch { /* a browser that keeps nothing: the choice holds until the page is closed */ }
    this.dispatchEvent(new Event("change"));
  }

  // The choice after the present one.
  next(name) {
    const choices = TABLE[name].choices ?? [true, false];
    this.set(name, choices[(choices.indexOf(this[name]) + 1) % choices.length]);
  }

  // Of this page with the settings that are not the usual ones, and without controls.
  address() {
    const query = new URLSearchParams(this.token ? { token: this.token } : {});
    for (const name in TABLE) {
      if (name !== "controls" && this[name] !== initial(name)) {
        query.set(name, typeof this[name] === "boolean" ? Number(this[name]) : this[name]);
      }
    }
    query.set("controls", 0);
    return `${location.origin}/?${query}`;
  }

  // A query for this page's server, with the token where there is one.
  query(fields = {}) {
    const query = new URLSearchParams({ ...(this.token ? { token: this.token } : {}), ...fields }).toString();
    return query && `?${query}`;
  }

  #kept() {
    try {
      return JSON.parse(localStorage.getItem(STORE)) ?? {};
    } catch {
      return {};
    }
  }
}

function initial(name) {
  const { choices, initial, yes } = TABLE[name];
  return choices?.[0] ?? initial ?? yes;
}

function valid(name, value) {
  const { choices, from, to, yes } = TABLE[name];
  if (value === undefined || value === null || value === "") return undefined;
  if (choices) return choices.includes(value) ? value : undefined;
  if (yes !== undefined) return [true, "1", "true"].includes(value) ? true : [false, "0", "false"].includes(value) ? false : undefined;
  return Number.isFinite(Number(value)) ? Math.min(to, Math.max(from, Math.round(Number(value)))) : undefined;
}
