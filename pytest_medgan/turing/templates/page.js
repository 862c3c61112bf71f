"use strict";
(() => {
  const config = JSON.parse(document.getElementById("config").textContent);
  const at = (id) => document.getElementById(id);
  const storeName = `medgan-turing-${config.page}`;
  const [low, high] = config.window || [0, 255];
  const unit = config.window ? " HU" : "";
  const span = high - low;
  const widest = Math.max(2 * span, ...config.presets.map((preset) => preset.width));
  const narrowest = span / 50;

  /* what is kept between visits: the window, and for each reader the answers */
  let kept = { last: "", view: null, readers: {} };
  let canKeep = true;
  try {
    const found = JSON.parse(localStorage.getItem(storeName) || "null");
    if (found && typeof found.readers === "object") kept = found;
  } catch { canKeep = false; }

  function keep() {
    try { localStorage.setItem(storeName, JSON.stringify(kept)); } catch { canKeep = false; }
    at("storage-note").hidden = canKeep;
  }

  const emptyState = () => ({ started: null, finished: null, answers: {} });
  let reader = "";
  let state = emptyState();

  const answered = (of = state) => Object.keys(of.answers).length;
  function firstOpen() {
    for (let i = 0; i < config.count; i += 1) if (!state.answers[i]) return i;
    return config.count;
  }

  /* the image: windowed by a table of grey levels, enlarged and moved */
  const canvas = at("view"), context = canvas.getContext("2d");
  const slice = document.createElement("canvas");
  slice.width = config.width;
  slice.height = config.height;
  const sliceContext = slice.getContext("2d", { willReadFrequently: true });
  const fullWindow = { centre: (low + high) / 2, width: span };
  const view = { ...fullWindow, zoom: 1, x: 0, y: 0 };
  let place = 0, shownAt = 0, away = 0, leftAt = 0;

  function draw() {
    const left = (place % config.columns) * config.width, top = Math.floor(place / config.columns) * config.height;
    sliceContext.drawImage(at("slices"), left, top, config.width, config.height, 0, 0, config.width, config.height);
    const image = sliceContext.getImageData(0, 0, config.width, config.height);
    const table = new Uint8ClampedArray(256);
    for (let grey = 0; grey < 256; grey += 1) {
      table[grey] = ((low + span * grey / 255 - view.centre) / view.width + 0.5) * 255;
    }
    for (let i = 0; i < image.data.length; i += 4) {
      image.data[i] = image.data[i + 1] = image.data[i + 2] = table[image.data[i]];
    }
    sliceContext.putImageData(image, 0, 0);
    const side = canvas.width / view.zoom, reach = (canvas.width - side) / 2;
    view.x = Math.max(-reach, Math.min(reach, view.x));
    view.y = Math.max(-reach, Math.min(reach, view.y));
    const scale = canvas.width / Math.max(config.width, config.height) * view.zoom;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const w = config.width * scale, h = config.height * scale;
    context.drawImage(slice, canvas.width / 2 - w / 2 - view.x * view.zoom, canvas.height / 2 - h / 2 - view.y * view.zoom, w, h);
    for (const [name, text] of [["centre", `${Math.round(view.centre)}${unit}`], ["width", `${Math.round(view.width)}${unit}`], ["zoom", `${view.zoom}×`]]) {
      at(name).value = view[name];
      at(`${name}-value`).value = text;
    }
    for (const button of document.querySelectorAll(".preset")) {
      const on = Number(button.dataset.centre) === view.centre && Number(button.dataset.width) === view.width;
      button.setAttribute("aria-pressed", String(on));
    }
  }

  function look(change) {
    Object.assign(view, change);
    view.centre = Math.max(low, Math.min(high, view.centre));
    view.width = Math.max(narrowest, Math.min(widest, view.width));
    view.zoom = Math.max(1, Math.min(8, view.zoom));
    draw();
    if ("centre" in change || "width" in change) {
      kept.view = { centre: view.centre, width: view.width };
      keep();
    }
  }

  const reset = () => look({ ...fullWindow, zoom: 1, x: 0, y: 0 });

  /* the test */
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);
  function choose(name, value) {
    document.querySelectorAll(`input[name=${name}]`).forEach((input) => { input.checked = input.value === String(value); });
    at("confirm").disabled = !chosen("answer") || !chosen("confidence");
  }

  function only(section) {
    for (const name of ["start", "test", "end"]) at(name).hidden = name !== section;
    document.body.classList.toggle("dark", section === "test");
  }

  function show(i) {
    if (i >= config.count) {
      if (!state.finished) { state.finished = new Date().toISOString(); keep(); }
      only("end");
      at("end-title").focus();
      return;
    }
    place = i;
    only("test");
    const before = state.answers[i];
    choose("answer", before ? before.answer : "");
    choose("confidence", before ? before.confidence : "");
    at("place").textContent = `Image ${i + 1} of ${config.count}`;
    at("progress").value = answered();
    at("back").disabled = i === 0;
    shownAt = performance.now();
    away = 0;
    look({ zoom: 1, x: 0, y: 0 });
    at("place").focus({ preventScroll: true });
    at("spoken").textContent = `Image ${i + 1} of ${config.count}`;
  }

  function confirm() {
    const answer = chosen("answer"), confidence = chosen("confidence");
    if (!answer || !confidence) {
      at("spoken").textContent = answer ? "Say how sure you are, 1 to 5." : "Say whether it is real (R) or generated (G).";
      return;
    }
    const before = state.answers[place];
    const seconds = Math.max(0, performance.now() - shownAt - away) / 1000 + (before ? before.seconds : 0);
    state.answers[place] = { answer: answer.value, confidence: Number(confidence.value), seconds: Math.round(seconds * 100) / 100 };
    keep();
    at("progress").value = answered();
    show(before && answered() < config.count ? Math.min(place + 1, firstOpen()) : place + 1 < config.count && !state.finished ? place + 1 : firstOpen());
  }

  function back() { if (place > 0) show(place - 1); }

  function save() {
    const answers = Object.keys(state.answers).map(Number).sort((a, b) => a - b).map((i) => ({ image: i, ...state.answers[i] }));
    const content = {
      schema: config.schema, schema_version: config.schema_version, page: config.page, count: config.count,
      commitment: config.commitment, reader, started: state.started,
      finished: answers.length === config.count ? state.finished : null, answers,
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${JSON.stringify(content, null, 1)}\n`], { type: "application/json" }));
    link.download = `answers-${reader.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "") || "reader"}-${config.page.slice(0, 6)}.json`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    at("saved").textContent = `${answers.length} answers saved.`;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leftAt = performance.now();
    else if (leftAt) { away += performance.now() - leftAt; leftAt = 0; }
  });

  /* the first section: one button, which says what it does for the reader named */
  function nameChanged() {
    const known = kept.readers[at("reader").value.trim()];
    const done = known ? answered(known) : 0;
    at("progress-note").hidden = !done;
    at("progress-note").textContent = done ? `${done} of ${config.count} images are answered.` : "";
    at("begin").textContent = done ? "Continue" : "Begin";
  }
  at("reader").addEventListener("input", nameChanged);
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = at("reader").value.trim();
    if (!name) return;
    reader = kept.last = name;
    state = kept.readers[name] = kept.readers[name] || emptyState();
    state.started = state.started || new Date().toISOString();
    keep();
    if (document.activeElement) document.activeElement.blur();
    show(firstOpen());
  });

  at("confirm").addEventListener("click", confirm);
  at("back").addEventListener("click", back);
  at("review").addEventListener("click", () => show(config.count - 1));
  at("save").addEventListener("click", save);
  at("save-early").addEventListener("click", save);
  at("forget").addEventListener("click", () => {
    if (!window.confirm("Remove your answers from this browser? Answers that you have not saved are lost.")) return;
    delete kept.readers[reader];
    kept.last = "";
    keep();
    at("reader").value = at("saved").textContent = "";
    nameChanged();
    only("start");
  });
  for (const name of ["answer", "confidence"]) {
    at(name).addEventListener("change", () => { at("confirm").disabled = !chosen("answer") || !chosen("confidence"); });
  }
  for (const name of ["centre", "width", "zoom"]) {
    at(name).addEventListener("input", (event) => look({ [name]: Number(event.target.value) }));
  }

  /* presets: by button or key. After a click with the mouse, Enter must confirm the answer and not press the button */
  const apply = (button) => look({ centre: Number(button.dataset.centre), width: Number(button.dataset.width) });
  for (const button of document.querySelectorAll(".preset")) {
    button.addEventListener("click", (event) => { apply(button); if (event.detail) button.blur(); });
  }
  at("reset").addEventListener("click", (event) => { reset(); if (event.detail) at("reset").blur(); });

  document.addEventListener("keydown", (event) => {
    if (at("test").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const control = event.target.closest("input[type=range], input[type=checkbox], button, summary");
    const key = event.key;
    if (key === "Enter") { if (control) return; event.preventDefault(); confirm(); return; }
    if (control && control.type === "range" && key.startsWith("Arrow")) return;
    if (event.target.type === "radio" && key.startsWith("Arrow")) return;
    const step = canvas.width / view.zoom / 10;
    const actions = {
      r: () => choose("answer", "real"), g: () => choose("answer", "generated"), Backspace: back,
      "+": () => look({ zoom: view.zoom + 0.5 }), "=": () => look({ zoom: view.zoom + 0.5 }), "-": () => look({ zoom: view.zoom - 0.5 }),
      "[": () => look({ centre: view.centre + span / 40 }), "]": () => look({ centre: view.centre - span / 40 }),
      ",": () => look({ width: view.width - span / 20 }), ".": () => look({ width: view.width + span / 20 }), 0: reset,
      ArrowLeft: () => look({ x: view.x - step }), ArrowRight: () => look({ x: view.x + step }),
      ArrowUp: () => look({ y: view.y - step }), ArrowDown: () => look({ y: view.y + step }),
    };
    for (const button of document.querySelectorAll(".preset")) actions[button.dataset.key] = () => apply(button);
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    if (/^[1-5]$/.test(key)) choose("confidence", key);
    else if (action) action();
    else return;
    event.preventDefault();
    if (key.toLowerCase() in { r: 1, g: 1 }) at("spoken").textContent = chosen("answer").value;
  });

  /* dragging: up and right as on a viewer for radiologists, brighter and softer; or the image under the pointer moves */
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    grip = { left: event.clientX, top: event.clientY, ...view };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const right = event.clientX - grip.left, down = event.clientY - grip.top;
    if (at("drag-moves").checked) {
      const scale = canvas.width / canvas.clientWidth / view.zoom;
      look({ x: grip.x - right * scale, y: grip.y - down * scale });
    } else {
      const perPixel = span / canvas.clientWidth;
      look({ centre: grip.centre + down * perPixel, width: grip.width + right * perPixel });
    }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { grip = null; });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); look({ zoom: view.zoom + (event.deltaY < 0 ? 0.5 : -0.5) }); }, { passive: false });

  for (const [name, least, most] of [["centre", low, high], ["width", narrowest, widest]]) {
    Object.assign(at(name), { min: least, max: most, step: "any" });
  }
  if (kept.view) Object.assign(view, kept.view);
  at("reader").value = kept.last;
  at("storage-note").hidden = canKeep;
  nameChanged();
  at("slices").decode().then(() => draw());
})();
