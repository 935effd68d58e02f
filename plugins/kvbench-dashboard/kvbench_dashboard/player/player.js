// Several videos in step: one clock, one frame number, and no frame is drawn before all have it.
//
// Frames come from the dashboard's server one by one. The exact pixels (PNG) are shown whenever the
// videos stand still and always in the difference view. Large videos are played from smaller copies
// (JPEG), because their exact pixels are too many for most connections.

const AHEAD_FRAMES = 16;
const REQUESTS = 6; // what browsers send to one server at a time
const DECODED_BYTES = 512 * 2 ** 20; // of all clips together

/** The frames of one video: fetched when they are wanted, kept while there is room. */
class Clip {
  constructor(about, base, room) {
    Object.assign(this, about); // label, note, url, frames, width, height, fps, light, reference
    this.url = new URL(about.url, base);
    this.capacity = Math.max(2 * AHEAD_FRAMES, Math.floor(room / (4 * this.width * this.height)));
    this.pictures = new Map(); // name -> ImageBitmap, the least recently used first
    this.loading = new Set();
    this.problem = about.problem;
  }

  name(index, exact) {
    return `${Math.min(index, this.frames - 1)}.${exact || !this.light ? "png" : "jpg"}`;
  }

  picture(index, exact) {
    const name = this.name(index, exact);
    const found = this.pictures.get(name);
    if (found) {
      this.pictures.delete(name);
      this.pictures.set(name, found);
    }
    return found;
  }

  has(index, exact) {
    return this.pictures.has(this.name(index, exact));
  }

  async fetch(index, exact) {
    const name = this.name(index, exact);
    this.loading.add(name);
    try {
      const answer = await fetch(new URL(name + this.url.search, this.url));
      if (!answer.ok) throw new Error(await answer.text());
      const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
      this.pictures.set(name, await createImageBitmap(await answer.blob(), options));
    } catch (error) {
      this.problem = error.message;
    } finally {
      this.loading.delete(name);
    }
    for (const [oldest, picture] of this.pictures) {
      if (this.pictures.size <= this.capacity) break;
      picture.close();
      this.pictures.delete(oldest);
    }
  }
}

/** What is seen of one clip: its picture, and how it differs from the reference's. */
class Tile {
  constructor(clip) {
    this.clip = clip;
    this.root = element("figure", "tile");
    const caption = this.root.appendChild(element("figcaption"));
    caption.append(element("span", "name", clip.label), element("span", "note", clip.note));
    caption.title = clip.label;
    this.canvas = this.view("whole");
    if (clip.reference !== null) {
      this.apart = this.view("apart");
      this.measure = this.root.appendChild(element("span", "measure"));
    }
  }

  view(kind) {
    const view = this.root.appendChild(element("div", `view ${kind}`));
    const canvas = view.appendChild(element("canvas"));
    canvas.width = this.clip.width;
    canvas.height = this.clip.height;
    return canvas;
  }

  draw(picture, index, exact) {
    context(this.canvas).drawImage(picture, 0, 0);
    this.canvas.dataset.frame = index;
    this.canvas.dataset.exact = exact;
  }

  drawDifference(reference, index, gain) {
    const { width, height } = this.canvas;
    const ours = context(this.canvas).getImageData(0, 0, width, height);
    const theirs = context(reference.canvas).getImageData(0, 0, width, height).data;
    const squares = difference(ours.data, theirs, gain);
    context(this.apart).putImageData(ours, 0, 0);
    this.apart.dataset.frame = index;
    this.measure.textContent = described(squares / (3 * width * height));
  }

  fail() {
    this.root.querySelectorAll(".view, .measure").forEach((part) => part.remove());
    const view = this.root.appendChild(element("div", "view"));
    view.append(element("p", "problem", this.clip.problem));
    this.failed = true;
  }
}

/** |a - b| times gain, written over a; returns the sum of the squared differences. */
function difference(a, b, gain) {
  let squares = 0;
  for (let i = 0; i < a.length; i += 4) {
    for (let channel = i; channel < i + 3; channel++) {
      const apart = Math.abs(a[channel] - b[channel]);
      squares += apart * apart;
      a[channel] = apart * gain; // the array clamps at 255
    }
  }
  return squares;
}

function described(meanSquare) {
  if (meanSquare === 0) return "this frame: identical";
  const psnr = 10 * Math.log10(255 ** 2 / meanSquare);
  return `this frame: PSNR ${psnr.toFixed(2)} dB`;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function context(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true });
}

class Player {
  constructor(root, data) {
    // The page lies one level below whatever address a proxy gives the dashboard.
    const base = new URL(".", window.location.href);
    const find = (name) => root.querySelector(name);
    this.root = root;
    this.scrub = find(".scrub");
    this.speed = find(".speed");
    this.loop = find(".loop");
    this.differing = find(".difference");
    this.gain = find(".gain");
    this.zoom = find(".zoom");
    const room = DECODED_BYTES / data.clips.length;
    this.tiles = data.clips.map((about) => new Tile(new Clip(about, base, room)));
    this.last = Math.max(0, ...data.clips.map((clip) => clip.frames - 1));
    this.fps = Math.max(...data.clips.map((clip) => clip.fps || 0)) || 1;
    this.index = Math.min(Number(root.dataset.frame || 0), this.last);
    this.playing = false;
    this.drawn = "";
    find(".tiles").replaceChildren(...this.tiles.map((tile) => tile.root));
    this.scrub.max = this.last;
    this.listening = new AbortController();
    this.listen();
    this.ticking = requestAnimationFrame((now) => this.tick(now));
  }

  listen() {
    const on = (target, event, action) =>
      target.addEventListener(event, action, { signal: this.listening.signal });
    const deeds = {
      first: () => this.goTo(0),
      back: () => this.goTo(this.index - 1),
      play: () => this.play(!this.playing),
      forward: () => this.goTo(this.index + 1),
      last: () => this.goTo(this.last),
    };
    const keys = {
      Home: "first", ArrowLeft: "back", " ": "play", ArrowRight: "forward", End: "last",
    };
    for (const button of this.root.querySelectorAll("button")) {
      on(button, "click", deeds[button.dataset.do]);
    }
    on(this.root, "keydown", (event) => {
      const typing = event.target.matches("select, input[type=checkbox], .gain");
      if (!(event.key in keys) || typing) return;
      event.preventDefault();
      deeds[keys[event.key]]();
    });
    on(this.scrub, "input", () => this.goTo(Number(this.scrub.value)));
    on(this.speed, "change", () => this.startClock(performance.now()));
    for (const control of [this.differing, this.gain]) on(control, "input", () => (this.drawn = ""));
    on(this.zoom, "change", () => this.magnify());
    on(this.root.querySelector(".tiles"), "pointermove", (event) => this.magnify(event));
  }

  destroy() {
    this.listening.abort();
    cancelAnimationFrame(this.ticking);
  }

  goTo(index) {
    this.play(false);
    this.index = Math.max(0, Math.min(index, this.last));
  }

  play(playing) {
    if (playing && this.index === this.last) this.index = 0;
    this.playing = playing;
    this.startClock(performance.now());
  }

  startClock(now) {
    this.clock = { now, index: this.index };
  }

  /** The same part of every picture, enlarged around the pointer. */
  magnify(event) {
    const view = event?.target.closest(".view");
    if (event && !view) return;
    if (view) {
      const box = view.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      this.focus = `${100 * x}% ${100 * y}%`;
    }
    for (const canvas of this.root.querySelectorAll("canvas")) {
      canvas.style.transform = `scale(${this.zoom.value})`;
      canvas.style.transformOrigin = this.focus ?? "50% 50%";
    }
  }

  get alive() {
    return this.tiles.filter((tile) => !tile.clip.problem);
  }

  /** Whether frames must have their exact pixels to be shown. */
  get strict() {
    return this.differing.checked;
  }

  tick(now) {
    for (const tile of this.tiles) if (tile.clip.problem && !tile.failed) tile.fail();
    if (this.playing) this.advance(now);
    this.want();
    this.draw();
    this.ticking = requestAnimationFrame((next) => this.tick(next));
  }

  all(index, exact) {
    return this.alive.every((tile) => tile.clip.has(index, exact));
  }

  /** Move on to the frame that is due, or wait for it: then time stands still for all clips. */
  advance(now) {
    const elapsed = ((now - this.clock.now) / 1000) * this.fps * Number(this.speed.value);
    let due = this.clock.index + Math.floor(elapsed);
    if (due === this.index) return;
    if (due > this.last) {
      if (!this.loop.checked) {
        this.index = this.last;
        this.playing = false;
        return;
      }
      this.index = due = 0;
      this.startClock(now);
    }
    if (this.all(due, this.strict)) {
      this.index = due;
    } else {
      if (this.index < this.last && this.all(this.index + 1, this.strict)) this.index += 1;
      this.startClock(now);
    }
  }

  /** Ask for what is missing now and soon, nearest first. */
  want() {
    const exact = this.strict || !this.playing;
    let free = REQUESTS - this.alive.reduce((sum, tile) => sum + tile.clip.loading.size, 0);
    for (let ahead = 0; ahead < AHEAD_FRAMES; ahead++) {
      let index = this.index + ahead;
      if (index > this.last) index -= this.last + 1;
      if (index > this.last) return;
      for (const { clip } of this.alive) {
        if (free <= 0) return;
        const name = clip.name(index, exact);
        if (clip.pictures.has(name) || clip.loading.has(name)) continue;
        clip.fetch(index, exact);
        free -= 1;
      }
      if (!this.playing && ahead === 2) return; // standing still: this frame and the next two
    }
  }

  draw() {
    const exact = this.all(this.index, true);
    const ready = exact || (!this.strict && this.all(this.index, false));
    this.root.classList.toggle("differing", this.differing.checked);
    this.tell(ready, exact);
    const state = `${this.index} ${exact} ${this.differing.checked} ${this.gain.value}`;
    if (!ready || state === this.drawn) return;
    this.drawn = state;
    for (const tile of this.alive) {
      tile.draw(tile.clip.picture(this.index, exact), this.index, exact);
    }
    if (this.differing.checked) this.drawDifferences();
    this.root.dataset.frame = this.index;
  }

  drawDifferences() {
    for (const tile of this.alive) {
      const reference = this.tiles[tile.clip.reference];
      if (reference && !reference.clip.problem) {
        tile.drawDifference(reference, this.index, 2 ** this.gain.value);
      }
    }
  }

  tell(ready, exact) {
    const seconds = (this.index / this.fps).toFixed(2);
    this.scrub.value = this.index;
    write(this.root, ".where", `frame ${this.index + 1} of ${this.last + 1} · ${seconds} s`);
    write(this.root, ".gain-text", `${2 ** this.gain.value} ×`);
    this.root.classList.toggle("playing", this.playing);
    write(this.root, ".state", !ready ? "loading …" : exact ? "exact pixels" : "compressed copy");
  }
}

function write(root, where, text) {
  const target = root.querySelector(where);
  if (target.textContent !== text) target.textContent = text;
}

const players = new WeakMap();

/** Called by Streamlit with each run of the page. */
export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".player");
  const wanted = JSON.stringify(data);
  const known = players.get(root);
  if (known?.wanted !== wanted) {
    known?.player.destroy();
    players.set(root, { wanted, player: new Player(root, data) });
  }
  return () => {
    players.get(root)?.player.destroy();
    players.delete(root);
  };
}
