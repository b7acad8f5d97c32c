// The live page of frrcam: one stream of before | after drawn on a canvas, status by server-sent events, settings by POST.

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---------------------------------------------------------------- picture

const viewer = $("viewer"), canvas = $("picture"), context = canvas.getContext("2d"), divider = $("divider");
let newest = null; // ImageBitmap, before | after
let share = 0.5; // where the divider stands, 0 … 1
let comparing = false;

function draw() {
  if (!newest) return;
  const width = newest.width / 2, height = newest.height;
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
    viewer.style.setProperty("--aspect", width / height);
  }
  const x = comparing ? width : Math.round(share * width);
  if (x > 0) context.drawImage(newest, 0, 0, x, height, 0, 0, x, height);
  if (x < width) context.drawImage(newest, width + x, 0, width - x, height, x, 0, width - x, height);
}

function moveDivider(to) {
  share = clamp(to, 0, 1);
  divider.style.left = `${100 * share}%`;
  divider.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  divider.setAttribute("aria-valuetext", `${Math.round(100 * share)} % before`);
  showTags();
  draw();
}

function compare(on) {
  comparing = on;
  viewer.classList.toggle("comparing", on);
  $("compare").classList.toggle("comparing-button", on);
  showTags();
  draw();
}

function showTags() {
  $("tag-before").classList.toggle("faded", !comparing && share < 0.08);
  $("tag-after").classList.toggle("faded", comparing || share > 0.92);
}

viewer.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  viewer.setPointerCapture(event.pointerId);
  divider.focus({ preventScroll: true, focusVisible: false });
  follow(event);
  event.preventDefault();
});
viewer.addEventListener("pointermove", (event) => viewer.hasPointerCapture(event.pointerId) && follow(event));
function follow(event) {
  const box = canvas.getBoundingClientRect();
  moveDivider((event.clientX - box.left) / box.width);
}

const STEPS = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
divider.addEventListener("keydown", (event) => {
  if (!(event.key in STEPS)) return;
  moveDivider(share + STEPS[event.key]);
  event.preventDefault();
});

const button = $("compare");
button.addEventListener("pointerdown", () => compare(true));
for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(end, () => compare(false));
button.addEventListener("keydown", (event) => (event.key === " " || event.key === "Enter") && compare(true));
button.addEventListener("keyup", () => compare(false));

const isB = (event) => event.key.toLowerCase() === "b" && !event.ctrlKey && !event.metaKey && !event.altKey;
addEventListener("keydown", (event) => isB(event) && !event.repeat && compare(true));
addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && compare(false));
addEventListener("blur", () => compare(false));

// ---------------------------------------------------------------- stream

// Parts of a multipart stream, as Blobs. Read by hand: an <img> neither tells that its stream ended nor draws in step.
async function* parts(stream) {
  const reader = stream.getReader(), decoder = new TextDecoder();
  let buffer = new Uint8Array(0);
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(buffer.length + value.length);
    joined.set(buffer);
    joined.set(value, buffer.length);
    buffer = joined;
    return true;
  };
  try {
    for (;;) {
      const head = decoder.decode(buffer.subarray(0, 256));
      const end = head.indexOf("\r\n\r\n");
      const length = end < 0 ? -1 : Number(/content-length: (\d+)/i.exec(head)[1]);
      if (end < 0 || buffer.length < end + 6 + length) {
        if (!(await more())) return;
        continue;
      }
      yield new Blob([buffer.subarray(end + 4, end + 4 + length)], { type: "image/jpeg" });
      buffer = buffer.slice(end + 6 + length);
    }
  } finally {
    reader.cancel().catch(() => {}); // a picture that cannot be decoded would leave its stream open beside the next
  }
}

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));
let watching = null; // AbortController of the open stream; none while the page is hidden

async function watch() {
  const mine = (watching = new AbortController());
  while (watching === mine) {
    try {
      const response = await fetch("stream/split.mjpg", { signal: mine.signal, cache: "no-store" });
      if (!response.ok) throw new Error(`${response.status}`);
      for await (const blob of parts(response.body)) {
        const bitmap = await createImageBitmap(blob);
        newest?.close();
        newest = bitmap;
        showVeil();
        draw();
      }
    } catch (error) {
      if (mine.signal.aborted) return;
    }
    await pause(1000);
  }
}

// ---------------------------------------------------------------- status

const LEVELS = { running: "good", idle: "good", "no camera": "bad", "no output": "bad", gone: "bad" };
const STAGES = ["capture", "detect", "track", "align", "restore", "light", "compose", "convert", "publish"];
const HISTORY = 120; // half-seconds
const history = [];
let gone = false;

function showVeil() {
  $("veil").hidden = !gone && newest !== null;
  if (gone) $("veil-text").textContent = "frrcam does not answer; trying again. If it was restarted, open the address that it printed.";
  else $("veil-text").textContent = "Waiting for the first picture …";
}

function setGone(value) {
  gone = value;
  document.body.classList.toggle("gone", gone);
  if (gone) setState("gone", "no answer");
  showVeil();
}

function setState(state, text = state) {
  if ($("state").textContent !== text) $("state").textContent = text; // else a screen reader says it at every event
  $("state").dataset.level = LEVELS[state] ?? "wait";
}

const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : "–");

function showStatus(status) {
  setState(status.state);
  $("route").textContent = [status.camera, status.output].filter(Boolean).join(" → ");
  const { p50, p95 } = status.frame_ms;
  $("fps").textContent = number(status.fps, status.fps < 10 ? 1 : 0);
  $("frame-ms").textContent = number(p50, p50 < 10 ? 1 : 0);
  $("faces").textContent = status.faces;
  $("rung").textContent = status.rung || status.state;
  $("reason").textContent = status.rung_reason;
  $("reason").hidden = !status.rung_reason;
  $("model").textContent = [status.model, status.provider].filter(Boolean).join(" on ");
  $("budget").textContent = status.period_ms ? `budget ${number(status.period_ms, 1)} ms` : "";
  if (Number.isFinite(p50)) history.push([p50, p95]);
  if (history.length > HISTORY) history.shift();
  drawSpark(status.period_ms);
  showStages(status.stages_ms, status.period_ms);
  showNotices(status.notices);
  const late = number(100 * status.late_share, 1), fresh = number(100 * status.fresh_share, 1);
  $("footer").textContent =
    `${status.frames} frames of ${status.size.join(" × ")} since ${clock(status.started)} · ${late} % late, ${fresh} % of those with a face fresh · frrcam ${status.version}`;
}

const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function drawSpark(period) {
  const top = Math.max(1.25 * period, ...history.map(([, p95]) => 1.1 * p95), 1);
  const x = (index) => (240 * (HISTORY - history.length + index)) / (HISTORY - 1);
  const y = (ms) => 56 - (56 * ms) / top;
  const line = (which) => history.map((pair, index) => `${x(index).toFixed(1)},${y(pair[which]).toFixed(1)}`).join(" ");
  $("spark-p50").setAttribute("points", line(0));
  $("spark-p95").setAttribute("points", line(1));
  $("spark-area").setAttribute("points", history.length ? `${x(0).toFixed(1)},56 ${line(0)} 240,56` : "");
  for (const end of ["y1", "y2"]) $("spark-budget").setAttribute(end, y(period).toFixed(1));
  $("spark-budget").toggleAttribute("hidden", !period);
}

function showStages(stages, period) {
  const entries = STAGES.map((name, index) => ({ name, index, ms: stages[name]?.p50 })).filter(({ ms }) => ms !== undefined);
  const total = Math.max(period, entries.reduce((sum, { ms }) => sum + ms, 0)) || 1;
  $("stages").replaceChildren(
    ...entries.map(({ ms, index }) => {
      const bar = document.createElement("span");
      bar.className = `stage-${index}`;
      bar.style.width = `${(100 * ms) / total}%`;
      return bar;
    }),
  );
  $("stages").setAttribute("aria-label", "Time by stage: " + entries.map(({ name, ms }) => `${name} ${number(ms, 1)} ms`).join(", "));
  $("legend").replaceChildren(
    ...entries.map(({ name, ms, index }) => {
      const item = document.createElement("li"), dot = document.createElement("i");
      dot.className = `stage-${index}`;
      item.append(dot, `${name} ${number(ms, 1)}`);
      return item;
    }),
  );
}

const lines = new Map(); // what stands there already stays, or a screen reader says all of it again
function showNotices(notices) {
  const keyed = new Map(notices.map((notice) => [`${notice.time} ${notice.text}`, notice]));
  $("no-notices").hidden = notices.length > 0;
  for (const [key, item] of lines) {
    if (keyed.has(key)) continue;
    item.remove();
    lines.delete(key);
  }
  for (const [key, notice] of keyed) {
    if (lines.has(key)) continue;
    const item = document.createElement("li"), time = document.createElement("time"), text = document.createElement("span");
    time.textContent = clock(notice.time);
    text.textContent = notice.text;
    item.append(time, text);
    lines.set(key, item);
    $("notices").prepend(item);
  }
}

let events = null; // EventSource of the status; none while the page is hidden

function listen() {
  const mine = (events = new EventSource("events"));
  mine.onmessage = (event) => {
    const { status, settings } = JSON.parse(event.data);
    if (gone) setGone(false);
    showStatus(status);
    if (!sending && performance.now() > quietUntil) showSettings(settings);
  };
  mine.onerror = () => {
    setGone(true);
    mine.close();
    setTimeout(() => events === mine && listen(), 1000);
  };
}

// ---------------------------------------------------------------- settings

const strength = $("strength"), enabled = $("enabled"), mirror = $("mirror"), maxFaces = $("max-faces");
const KINDS = ["light", "colour", "noise", "sharpness"], PRESETS = document.querySelectorAll("[data-preset]");
const before = {}; // amounts from before their switch was turned off
let waiting = {}, sending = false, quietUntil = 0, preset = "natural";

function showAmount(kind, percent) {
  $(kind).value = percent;
  $(`${kind}-value`).textContent = `${percent} %`;
  $(`${kind}-on`).checked = percent > 0;
  if (percent > 0) before[kind] = percent;
}

function showPreset(name) {
  preset = name;
  for (const button of PRESETS) {
    const chosen = button.dataset.preset === name;
    button.setAttribute("aria-checked", chosen);
    button.tabIndex = chosen ? 0 : -1;
  }
}

function showSettings(settings) {
  strength.value = Math.round(100 * settings.strength);
  $("strength-value").textContent = `${strength.value} %`;
  for (const kind of KINDS) showAmount(kind, Math.round(100 * settings[kind]));
  showPreset(settings.preset);
  $("reach").value = settings.reach;
  $("where").checked = settings.where === "face";
  enabled.checked = settings.enabled;
  mirror.checked = settings.mirror;
  if (document.activeElement !== maxFaces) maxFaces.value = settings.max_faces;
}

// One request at a time; what changes meanwhile goes with the next one.
async function post(changes) {
  Object.assign(waiting, changes);
  if (sending) return;
  sending = true;
  while (Object.keys(waiting).length) {
    const body = JSON.stringify(waiting);
    waiting = {};
    try {
      const response = await fetch("settings", { method: "POST", body, headers: { "Content-Type": "application/json" } });
      const answer = await response.json();
      $("refusal").hidden = response.ok;
      $("refusal").textContent = answer.error ?? "";
      if (response.ok && !Object.keys(waiting).length) showSettings(answer);
    } catch {
      setGone(true);
    }
  }
  sending = false;
  quietUntil = performance.now() + 600; // an event that was on its way may still hold the old values
}

strength.addEventListener("input", () => {
  $("strength-value").textContent = `${strength.value} %`;
  post({ strength: strength.value / 100 });
});
for (const kind of KINDS) {
  $(kind).addEventListener("input", () => {
    showAmount(kind, Number($(kind).value));
    post({ [kind]: $(kind).value / 100 });
  });
  $(`${kind}-on`).addEventListener("change", () => {
    const percent = $(`${kind}-on`).checked ? before[kind] ?? 100 : 0;
    showAmount(kind, percent);
    post({ [kind]: percent / 100 });
  });
}
PRESETS.forEach((button, index) => {
  button.addEventListener("click", () => post({ preset: button.dataset.preset }));
  button.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = PRESETS[(index + step + PRESETS.length) % PRESETS.length];
    next.focus();
    next.click();
  });
});
$("reset").addEventListener("click", () => post({ preset, strength: 1 }));
$("reach").addEventListener("change", () => post({ reach: $("reach").value }));
$("where").addEventListener("change", () => post({ where: $("where").checked ? "face" : "scene" }));
enabled.addEventListener("change", () => post({ enabled: enabled.checked }));
mirror.addEventListener("change", () => post({ mirror: mirror.checked }));
maxFaces.addEventListener("change", () => maxFaces.value && post({ max_faces: Number(maxFaces.value) }));

// ---------------------------------------------------------------- shown or hidden

// A hidden page holds no connection: nothing is encoded for it, and a browser opens six to an address and no more.
function attend() {
  watching?.abort();
  events?.close();
  watching = events = null;
  if (document.hidden) return;
  watch();
  listen();
}

document.addEventListener("visibilitychange", attend);
moveDivider(0.5);
showVeil();
attend();
