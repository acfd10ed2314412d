// The captions on the page: finals stay, the partial stands after them; who reads back is not pulled down.

const UNSURE = 0.5;           // a word whose chance to be right is below this is marked
const MOST = 5000, MOST_IN_PART = 60;          // lines kept on the page; where only some can be seen, few do
const NEAR_PX = 8;            // so far from the end is at the end
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export class Lines {
  #box = document.getElementById("captions");
  #lines = document.getElementById("lines");
  #partial = document.getElementById("partial");
  #newest = document.getElementById("newest");
  #waiting = document.getElementById("waiting");
  #following = true;
  #missed = 0;                // finals that came while the viewer read back
  #settings;

  constructor(settings) {
    this.#settings = settings;
    this.#box.addEventListener("scroll", () => this.#noticeScroll(), { passive: true });
    const keep = new ResizeObserver(() => this.#follow());
    keep.observe(this.#box);
    keep.observe(document.getElementById("block"));
  }

  // Finals of a session that started at `started` (ms).
  add(finals, started) {
    for (const final of finals) this.#lines.append(line(final, started));
    const most = this.#settings.lines && !this.#settings.controls ? MOST_IN_PART : MOST;
    while (this.#lines.childElementCount > most) this.#lines.firstElementChild.remove();
    this.#waiting.hidden = true;
    this.#missed += this.#following ? 0 : finals.length;
    this.show({ words: [] });
  }

  // The utterance that is being spoken, in a session that started at `started` (ms); without words, none.
  show({ words, committed, start_s }, started) {
    const texts = words.map(([text]) => text);
    const stands = texts.slice(0, committed).join(" ");
    const open = texts.slice(committed).join(" ");
    this.#partial.querySelector(".stands").textContent = stands && open ? `${stands} ` : stands;
    this.#partial.querySelector(".open").textContent = open;
    this.#partial.hidden = texts.length === 0;
    if (texts.length) {
      this.#waiting.hidden = true;
      setTime(this.#partial.querySelector("time"), started + 1000 * start_s);
    }
    this.#follow();
  }

  // Where another session begins.
  divide() {
    if (this.#lines.lastElementChild) this.#lines.append(document.createElement("hr"));
  }

  // Have a screen reader read what is added from now on.
  announce() {
    this.#lines.setAttribute("aria-live", "polite");
  }

  toNewest() {
    this.#following = true;
    this.#missed = 0;
    this.#follow();
  }

  text() {
    return [...this.#lines.children].map((element) => element.tagName === "HR" ? "" :
      (this.#settings.times ? `${element.querySelector("time").textContent}  ` : "") + element.querySelector(".text").textContent).join("\n");
  }

  #noticeScroll() {
    this.#following = this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < NEAR_PX;
    if (this.#following) this.#missed = 0;
    this.#tellMissed();
  }

  #follow() {
    if (this.#following) this.#box.scrollTop = this.#box.scrollHeight;
    this.#tellMissed();
  }

  #tellMissed() {
    this.#newest.hidden = this.#following || !this.#settings.controls;
    this.#newest.textContent = this.#missed ? `${this.#missed} new ↓` : "Newest ↓";
  }
}

function line({ number, start_s, words }, started) {
  const element = document.createElement("p");
  element.dataset.number = number;
  const time = document.createElement("time");
  setTime(time, started + 1000 * start_s);
  const text = document.createElement("span");
  text.className = "text";
  words.forEach(([word, confidence], index) => {
    if (index) text.append(" ");
    if (confidence < UNSURE) {
      const mark = document.createElement("span");
      mark.className = "unsure";
      mark.textContent = word;
      text.append(mark);
    } else {
      text.append(word);
    }
  });
  text.normalize();
  element.append(time, text);
  return element;
}

function setTime(element, at_ms) {
  const at = new Date(at_ms);
  element.dateTime = at.toISOString();
  element.textContent = CLOCK.format(at);
}
